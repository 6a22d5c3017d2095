"""``traces_target_info``: the attributes of resources as labels of a gauge.

Rules: tempo-behaviour.md 1.1 (``job`` and ``instance``) and 1.3.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from processors.batch import EMPTY, Codes, Mask, SpanBatch
from processors.delta import DeltaFrame, Family, Instrument, Schema
from processors.grouping import distinct, group
from processors.labels import INTRINSIC_LABELS, Dictionary, label_name

SERVICE_NAMESPACE, SERVICE_INSTANCE = "service.namespace", "service.instance.id"
IDENTITY = (SERVICE_NAMESPACE, SERVICE_INSTANCE)
"""Resource attributes that :func:`target_labels` needs, besides ``service.name``."""

_RESERVED = (*INTRINSIC_LABELS, "job", "instance")
_LEFT_OUT = ("", "service.name", *IDENTITY)
_FAMILY = Family(
    "traces_target_info", Instrument.GAUGE, "The resource attributes of a target; always 1."
)


def target_labels(
    batch: SpanBatch, dictionary: Dictionary, *, with_instance: bool
) -> dict[str, Codes]:
    """``job`` and ``instance`` of each span's resource."""
    resources = batch.resources
    namespace = resources.attributes[SERVICE_NAMESPACE]
    job = dictionary.combine([namespace, resources.service], _job)
    labels = {"job": job[batch.resource]}
    if with_instance:
        labels["instance"] = resources.attributes[SERVICE_INSTANCE][batch.resource]
    return labels


def target_info(
    batch: SpanBatch,
    dictionary: Dictionary,
    target: Mapping[str, Codes],
    excluded: Collection[str],
) -> Iterator[DeltaFrame]:
    """One gauge per resource that has spans in ``batch`` and something to tell.

    ``target`` are the :func:`target_labels` of each span; attributes in ``excluded`` are
    not told. Resources with equal label names share a frame (tempo-behaviour.md 1.3).
    """
    text = dictionary.text()
    told = _Told(text, excluded)
    by_names: dict[tuple[str, ...], list[_Rows]] = {}
    for alike in _alike(batch, target):
        for names, part in alike.gauges(told, batch.strings.valid):
            by_names.setdefault(names, []).append(part)
    frames = [(names, _Rows.concatenate(parts)) for names, parts in by_names.items()]
    for names, rows in sorted(frames, key=lambda each: int(each[1].order[0])):
        yield DeltaFrame(
            schema=Schema(label_names=names, families=(_FAMILY,)),
            tenants=batch.records.tenants,
            tenant=rows.codes[:, 0],
            strings=text,
            labels=rows.codes[:, 1:],
            values=(np.ones((len(rows.order), 1)),),
            present=(None,),
            is_info=True,
        )


@dataclass(frozen=True, slots=True)
class _Rows:
    """``n`` distinct rows of ``codes`` (uint32[n, k]): a tenant and labels.

    ``order`` (intp[n], ascending) is when each appeared first.
    """

    order: NDArray[np.intp]
    codes: Codes

    @classmethod
    def of(cls, order: NDArray[np.intp], codes: Codes) -> _Rows:
        """Of equal rows the first."""
        first = group([*codes.T]).first
        return cls(order[first], codes[first])

    @classmethod
    def concatenate(cls, parts: Sequence[_Rows]) -> _Rows:
        """The rows of all ``parts``."""
        if len(parts) == 1:
            return parts[0]
        order = np.concatenate([part.order for part in parts])
        place = np.argsort(order)
        return cls.of(order[place], np.concatenate([part.codes for part in parts])[place])


@dataclass(frozen=True, slots=True)
class _Alike:
    """Resources with equal ``keys`` of attributes, in equal order.

    The columns of ``rows`` are the tenant, the labels of ``target`` and the values of ``keys``.
    """

    target: Sequence[str]
    keys: Sequence[int]
    rows: _Rows

    def gauges(self, told: _Told, valid: Mask) -> Iterator[tuple[tuple[str, ...], _Rows]]:
        """What they tell, by label names: those of labels that are not empty.

        Of attributes with one label name the last one wins, and an empty one wins by
        deleting. A resource without a target, or with nothing else to tell, tells nothing;
        nor does one of which an attribute is not UTF-8.
        """
        codes, width = self.rows.codes, 1 + len(self.target)
        column = {told[key]: at for at, key in enumerate(self.keys, width)}
        column.pop("", None)
        is_told = self._has_something(list(column.values()), valid)
        column |= {name: at for at, name in enumerate(self.target, 1)}
        names = sorted(column)
        places = np.array([column[name] for name in names])
        is_there = codes[:, places] > EMPTY
        shown = group([is_told, *is_there.T])
        for number, row in enumerate(shown.first.tolist()):
            if is_told[row]:
                rows = np.flatnonzero(shown.of_row == number)
                columns = np.append(0, places[is_there[row]])
                own_names = tuple(compress(names, is_there[row].tolist()))
                yield own_names, _Rows.of(self.rows.order[rows], codes[np.ix_(rows, columns)])

    def _has_something(self, labels: list[int], valid: Mask) -> Mask:
        """Which rows have something in columns of the target and in ``labels``, all UTF-8."""
        codes, target = self.rows.codes, slice(1, 1 + len(self.target))
        is_there = np.any(codes[:, target] > EMPTY, axis=1) & np.any(
            codes[:, labels] > EMPTY, axis=1
        )
        if not valid.all():
            is_valid = np.append(valid, np.True_)[np.minimum(codes[:, labels], len(valid))]
            is_there &= is_valid.all(axis=1)
        return np.asarray(is_there)


def _alike(batch: SpanBatch, target: Mapping[str, Codes]) -> Iterator[_Alike]:
    """The distinct resources of the spans in ``batch``, by the keys of their attributes.

    Most resources of a batch are there many times, once a record. The spans of one follow each
    other.
    """
    table, resource = batch.resources, batch.resource
    first = np.flatnonzero(np.append(np.True_, resource[1:] != resource[:-1])[: len(resource)])
    identity = np.column_stack(
        [batch.tenant()[first], *(codes[first] for codes in target.values())]
    )
    starts, ends = (table.all_offsets[resource[first] + more] for more in (0, 1))
    sizes = ends - starts
    for size in distinct(sizes[sizes > 0]).tolist():
        of_size = np.flatnonzero(sizes == size)
        places = starts[of_size, np.newaxis] + np.arange(size)
        keys = table.all_keys[places]
        codes = np.column_stack([identity[of_size], table.all_values[places]])
        by_keys = group([*keys.T])
        for number, row in enumerate(by_keys.first.tolist()):
            rows = np.flatnonzero(by_keys.of_row == number)
            yield _Alike(tuple(target), keys[row].tolist(), _Rows.of(of_size[rows], codes[rows]))


class _Told(dict[int, str]):
    """Code of an attribute's key -> its label name; empty where it is not told."""

    def __init__(self, text: Sequence[str], excluded: Collection[str]) -> None:
        super().__init__()
        self._text = text
        self._left_out = {*_LEFT_OUT, *excluded}

    def __missing__(self, key: int) -> str:
        attribute = self._text[key]
        is_told = attribute not in self._left_out and attribute[0] not in "0123456789"
        name = self[key] = label_name(attribute, _RESERVED) if is_told else ""
        return name


def _job(namespace: str, service: str) -> str:
    """Empty without a service name: a namespace alone never makes a job."""
    return f"{namespace}/{service}" if namespace and service else service
