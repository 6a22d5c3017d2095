"""``traces_target_info``: the attributes of resources as labels of a gauge.

Rules: tempo-behaviour.md 1.1 (``job`` and ``instance``) and 1.3.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from processors.batch import ABSENT, EMPTY, Codes, SpanBatch
from processors.delta import DeltaFrame, Family, Instrument, Schema
from processors.grouping import group
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
    text, valid = dictionary.text(), batch.strings.valid
    told, are_valid = _Told(text, excluded), bool(valid.all())
    keys, values = batch.resources.all_keys, batch.resources.all_values
    by_names: dict[tuple[str, ...], dict[tuple[int, ...], None]] = {}
    for attributes, (tenant, *of_target) in _distinct(batch, target):
        identity = {name: code for name, code in zip(target, of_target, strict=True) if text[code]}
        labels = told.labels(keys[attributes].tolist(), values[attributes].tolist())
        is_valid = are_valid or all(code >= len(valid) or valid[code] for code in labels.values())
        if identity and labels and is_valid:
            labels |= identity
            names = tuple(sorted(labels))
            row = (tenant, *(labels[name] for name in names))
            by_names.setdefault(names, {})[row] = None
    for names, distinct in by_names.items():
        table = np.array(list(distinct), dtype=np.uint32)
        yield DeltaFrame(
            schema=Schema(label_names=names, families=(_FAMILY,)),
            tenants=batch.records.tenants,
            tenant=table[:, 0],
            strings=dictionary.text(),
            labels=table[:, 1:],
            values=(np.ones((len(table), 1)),),
            present=(None,),
            is_info=True,
        )


def _distinct(
    batch: SpanBatch, target: Mapping[str, Codes]
) -> Iterator[tuple[slice, tuple[int, ...]]]:
    """(attributes of a resource, (tenant, codes of ``target``)), once for equal ones.

    Most resources of a batch are there many times, once a record.
    """
    table = batch.resources
    first = group([batch.resource]).first
    columns = [batch.tenant()[first], *(codes[first] for codes in target.values())]
    identities = zip(*(column.tolist() for column in columns), strict=True)
    size = table.all_keys.itemsize
    keys, values, offsets = table.all_keys.tobytes(), table.all_values.tobytes(), table.all_offsets
    seen: set[tuple[tuple[int, ...], bytes, bytes]] = set()
    for row, identity in zip(batch.resource[first].tolist(), identities, strict=True):
        attributes = slice(int(offsets[row]), int(offsets[row + 1]))
        as_bytes = slice(attributes.start * size, attributes.stop * size)
        resource = (identity, keys[as_bytes], values[as_bytes])
        if resource not in seen:
            seen.add(resource)
            yield attributes, identity


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

    def labels(self, keys: Sequence[int], values: Sequence[int]) -> dict[str, int]:
        """Label name -> code of the value, for each attribute of a resource that is told.

        Of attributes with one label name the last one wins, and an empty one wins by deleting.
        """
        labels = dict(zip(map(self.__getitem__, keys), values, strict=True))
        labels.pop("", None)
        if EMPTY in labels.values() or ABSENT in labels.values():
            labels = {name: value for name, value in labels.items() if value > EMPTY}
        return labels


def _job(namespace: str, service: str) -> str:
    """Empty without a service name: a namespace alone never makes a job."""
    return f"{namespace}/{service}" if namespace and service else service
