from __future__ import annotations

from consumer.remote_write.shards import Shards, shards_for
from tests.unit.remote_write.fakes import block

ROWS = [[str(row)] for row in range(10)]
BUCKETS = [block(ROWS, constant=(("le", str(bound)),)) for bound in range(8)]


def test_a_small_tenant_has_one_shard() -> None:
    assert shards_for(BUCKETS, 4, 100).count == 1


def test_there_are_as_many_shards_as_full_requests_up_to_the_most() -> None:
    assert shards_for(BUCKETS, 4, 40).count == 2
    assert shards_for(BUCKETS, 4, 1).count == 4


def test_the_load_is_shared_out() -> None:
    cut = Shards(4).cut(BUCKETS)
    assert {shard: sum(map(len, blocks)) for shard, blocks in cut.items()} == dict.fromkeys(
        range(4), 20
    )


def test_a_series_stays_in_its_shard_whatever_comes_with_it() -> None:
    shards = Shards(3)
    first = shards.cut(BUCKETS)
    later = shards.cut([block(ROWS, name="other"), *reversed(BUCKETS)])
    for shard, blocks in first.items():
        names = {each.constant_labels for each in later[shard] if each.name == "calls_total"}
        assert names == {each.constant_labels for each in blocks}
