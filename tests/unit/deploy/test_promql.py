"""The reader of PromQL that the other tests rely on finds every name."""

from __future__ import annotations

import pytest

from tests.support.promql import labels_of, metrics_of


@pytest.mark.parametrize(
    ("expression", "metrics", "labels"),
    [
        ("up", {"up"}, set()),
        (
            'sum by (le, job) (rate(a_bucket{job=~"x|y", pod!=""}[5m])) / b_total offset 1h',
            {"a_bucket", "b_total"},
            {"le", "job", "pod"},
        ),
        ('rate({__name__=~"a_total|b_total"}[5m]) > 0', {"a_total", "b_total"}, set()),
        ("a unless on (x) (max by (x, y) (b) == bool 1)", {"a", "b"}, {"x", "y"}),
        ("a * on (x) group_left (z) b or vector(0.5)", {"a", "b"}, {"x", "z"}),
        (
            'sum by (id, server) (label_replace(a, "id", "$1", "server", "(.*)"))',
            {"a"},
            {"server"},
        ),
        (
            'sum by (id, client) (label_join(a{client="c"}, "id", " → ", "client", "server"))',
            {"a"},
            {"client"},
        ),
    ],
)
def test_the_metrics_and_labels_of_an_expression_are_found(
    expression: str, metrics: set[str], labels: set[str]
) -> None:
    assert metrics_of(expression) == metrics
    assert labels_of(expression) == labels
