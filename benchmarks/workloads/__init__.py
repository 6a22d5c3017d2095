"""Deterministic OTLP workloads: the same bytes on every machine.

``shop``: 50 services of a web shop, about 4,800 combinations of service, span name, kind
and status. ``wide``: ids in the span names, about 20,600 of them. A record is what the
collector of one node would flush: 100 to 1,000 spans of some fifteen pods, so that the
spans of a trace are spread over records. ``tenants``: the spans of shop, dealt out by
trace, ten in a record, each tenant its own records.

Times are fixed: the spans begin within 60 s from 1,700,000,000 s on.
"""
