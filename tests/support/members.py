"""What a member of a consumer group does when partitions come and go."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from consumer.kafka.source import Committed


class Beginning:
    """Reads every partition from its first record on, whenever it comes."""

    def assigned(self, committed: Mapping[int, Committed]) -> Mapping[int, int]:
        """Begin with the first record of each."""
        return dict.fromkeys(committed, 0)

    def revoked(self, partitions: Sequence[int]) -> None:
        """Nothing is to be made durable."""

    def lost(self, partitions: Sequence[int]) -> None:
        """Nothing is kept of them."""
