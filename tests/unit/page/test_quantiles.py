import math

import numpy as np
import pytest

from consumer.demo.samples import quantile as demo_quantile
from consumer.page.quantiles import quantile

BOUNDS = np.array([0.1, 0.5, 1.0, math.inf])


@pytest.mark.parametrize("share", [0.01, 0.5, 0.95, 1.0])
@pytest.mark.parametrize(
    "cumulative",
    [[10, 10, 10, 10], [0, 4, 8, 8], [0, 0, 0, 5], [1, 2, 3, 40], [0, 0, 7, 7], [0.5, 0.5, 1, 1]],
)
def test_it_estimates_as_the_demo_does_one_by_one(share: float, cumulative: list[float]) -> None:
    expected = demo_quantile(share, dict(zip(BOUNDS.tolist(), cumulative, strict=True)))
    assert quantile(share, BOUNDS, np.array([cumulative]))[0] == pytest.approx(expected)


def test_no_observation_has_no_quantile() -> None:
    assert np.isnan(quantile(0.5, BOUNDS, np.zeros((2, 4)))).all()
    assert np.isnan(quantile(0.5, np.zeros(0), np.zeros((2, 0)))).all()


def test_beyond_the_last_bound_it_is_that_bound() -> None:
    assert quantile(0.99, BOUNDS, np.array([[0, 0, 0, 9.0]])).tolist() == [1.0]
