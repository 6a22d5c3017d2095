from tests.chaos.load import Purchases
from tests.chaos.truth import Logged, Series, Truth, truth_of
from tests.support.otlp import record

INTERVAL_MS, WAIT_MS = 1_000, 5_000
CALLS, EDGES = "traces_spanmetrics_calls_total", "traces_service_graph_request_total"


def logged(*times_ms: int, partitions: tuple[int, ...] = (0, 0, 0)) -> list[Logged]:
    """One purchase: the records of ``web``, ``orders`` and ``mail`` with these times."""
    tenant, _, parts = Purchases(1).next(1_700_000_000_000_000_000)
    return [
        Logged(partitions[at], at, time_ms, tenant, record(parts[at]))
        for at, time_ms in enumerate(times_ms)
    ]


def truth(log: list[Logged]) -> Truth:
    return truth_of(log, interval_ms=INTERVAL_MS, wait_ms=WAIT_MS)


def gains(found: Truth, name: str, **labels: str) -> dict[int, float]:
    """By tick, over the series that have ``labels``."""
    total: dict[int, float] = {}
    for series, each in found.gains.items():
        if series[0] == name and labels.items() <= dict(series[1]).items():
            for tick, value in each.items():
                total[tick] = total.get(tick, 0.0) + value
    return total


def edges(found: Truth) -> dict[tuple[str, str], dict[int, float]]:
    def ends(series: Series) -> tuple[str, str]:
        labels = dict(series[1])
        return labels["client"], labels["server"]

    return {ends(s): dict(each) for s, each in found.gains.items() if s[0] == EDGES}


def test_spans_count_at_the_end_of_the_interval_of_their_record() -> None:
    found = truth(logged(10_001, 10_999, 11_001))
    assert gains(found, CALLS) == {11_000: 5, 12_000: 1}
    assert gains(found, CALLS, service="mail") == {12_000: 1}


def test_an_edge_counts_when_its_second_half_is_there() -> None:
    assert edges(truth(logged(10_001, 12_001, 14_001))) == {
        ("web", "orders"): {13_000: 1},
        ("orders", "orders-db"): {13_000: 1},
        ("orders", "mail"): {15_000: 1},
        ("user", "web"): {16_000: 1},
    }


def test_a_record_of_the_past_counts_at_the_clock_of_its_partition() -> None:
    assert gains(truth(logged(10_001, 8_001, 3_001)), CALLS) == {11_000: 6}
    apart = truth(logged(10_001, 8_001, 10_002, partitions=(0, 1, 0)))
    assert gains(apart, CALLS) == {11_000: 3, 9_000: 3}


def test_a_record_that_was_written_twice_counts_twice_and_its_edges_once() -> None:
    web, orders, mail = logged(10_001, 10_002, 10_003)
    found = truth([web, orders, orders, mail, mail])
    assert gains(found, CALLS) == {11_000: 2 + 2 * 3 + 2 * 1}
    assert {pair: sum(each.values()) for pair, each in edges(found).items()} == {
        ("web", "orders"): 1,
        ("orders", "orders-db"): 1,
        ("orders", "mail"): 1,
        ("user", "web"): 1,
    }


def test_the_end_is_when_the_last_edge_was_given_up() -> None:
    found = truth(logged(10_001, 10_002, 10_003))
    assert found.end_ms() >= 10_003 + WAIT_MS + INTERVAL_MS
    assert found.end_ms() % INTERVAL_MS == 0
