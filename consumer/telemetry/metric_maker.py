"""Makes metrics on a registry that is passed in, and remembers what they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram


@dataclass(frozen=True, slots=True)
class Description:
    """A line of the reference."""

    name: str
    type: str
    labels: tuple[str, ...]
    help: str


@dataclass(slots=True)
class Maker:
    """Makes metrics on one registry and remembers what they are."""

    registry: CollectorRegistry
    made: list[Description] = field(default_factory=list)

    def counter(self, name: str, text: str, labels: Sequence[str] = ()) -> Counter:
        """Make a counter; ``name`` is without prefix, ``_total`` is added."""
        self.made.append(Description(f"spanmill_{name}_total", "counter", tuple(labels), text))
        return Counter(f"spanmill_{name}", text, labels, registry=self.registry)

    def gauge(self, name: str, text: str, labels: Sequence[str] = ()) -> Gauge:
        """Make a gauge."""
        self.made.append(Description(f"spanmill_{name}", "gauge", tuple(labels), text))
        return Gauge(f"spanmill_{name}", text, labels, registry=self.registry)

    def histogram(
        self, name: str, text: str, buckets: Sequence[float], labels: Sequence[str] = ()
    ) -> Histogram:
        """Make a classic histogram with these bounds, in seconds."""
        self.made.append(Description(f"spanmill_{name}", "histogram", tuple(labels), text))
        return Histogram(
            f"spanmill_{name}", text, labels, registry=self.registry, buckets=tuple(buckets)
        )
