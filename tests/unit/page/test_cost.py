from benchmarks.page import measure


def test_what_the_page_costs_is_measured() -> None:
    figures = measure(20_000)
    assert 19_000 < figures["series"] <= 20_000
    assert figures["page_milliseconds_per_tick"] > 0
    assert figures["page_milliseconds_per_view"] > 0
    assert figures["bytes_per_view"] > 10_000
