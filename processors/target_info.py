"""``traces_target_info``: the attributes of resources as labels of a gauge.

Rules: tempo-behaviour.md 1.1 (``job`` and ``instance``) and 1.3.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

import numpy as np

from processors.batch import Codes, SpanBatch
from processors.delta import DeltaFrame, Family, Instrument, Schema
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
    by_names: dict[tuple[str, ...], dict[tuple[int, ...], None]] = {}
    for resource, (tenant, *of_target) in _distinct(batch, target):
        identity = {name: code for name, code in zip(target, of_target, strict=True) if text[code]}
        labels = _resource_labels(batch, resource, text, excluded)
        is_valid = all(code >= len(valid) or valid[code] for code in labels.values())
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
) -> Iterator[tuple[int, tuple[int, ...]]]:
    """(row of a resource, (tenant, codes of ``target``)), once for equal attributes.

    Most resources of a batch are there many times, once a record.
    """
    table = batch.resources
    rows, first = np.unique(batch.resource, return_index=True)
    columns = [batch.tenant()[first], *(codes[first] for codes in target.values())]
    identities = zip(*(column.tolist() for column in columns), strict=True)
    keys, values = table.all_keys.tobytes(), table.all_values.tobytes()
    offsets = (table.all_offsets * table.all_keys.itemsize).tolist()
    seen: set[tuple[tuple[int, ...], bytes, bytes]] = set()
    for row, identity in zip(rows.tolist(), identities, strict=True):
        attributes = slice(offsets[row], offsets[row + 1])
        resource = (identity, keys[attributes], values[attributes])
        if resource not in seen:
            seen.add(resource)
            yield row, identity


def _resource_labels(
    batch: SpanBatch, resource: int, text: Sequence[str], excluded: Collection[str]
) -> dict[str, int]:
    """Label name -> code of the value, for each attribute that is told.

    Of attributes with one label name the last one wins, and an empty one wins by deleting.
    """
    table = batch.resources
    row = slice(int(table.all_offsets[resource]), int(table.all_offsets[resource + 1]))
    labels: dict[str, int] = {}
    for key, value in zip(
        table.all_keys[row].tolist(), table.all_values[row].tolist(), strict=True
    ):
        attribute = text[key]
        if attribute in _LEFT_OUT or attribute in excluded or attribute[0] in "0123456789":
            continue
        labels[label_name(attribute, _RESERVED)] = value
    return {name: value for name, value in labels.items() if text[value]}


def _job(namespace: str, service: str) -> str:
    """Empty without a service name: a namespace alone never makes a job."""
    return f"{namespace}/{service}" if namespace and service else service
