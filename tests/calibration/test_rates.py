"""The exact interval of a rate, against tables and against slow versions."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from calibration.rates import hourly, poisson_interval

# Garwood's table, as textbooks print it.
TABLE = {0: (0.0, 3.689), 1: (0.0253, 5.572), 2: (0.242, 7.225), 5: (1.623, 11.668)}
TABLE |= {10: (4.795, 18.390), 50: (37.111, 65.919), 100: (81.364, 121.627)}


@pytest.mark.parametrize("count", TABLE)
def test_the_interval_is_that_of_the_table(count: int) -> None:
    assert poisson_interval(count) == pytest.approx(TABLE[count], abs=6e-4)


@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("count", [0, 1, 3, 17, 60])
def test_the_tails_are_half_of_what_is_left(count: int, confidence: float) -> None:
    """P(X ≤ k; m) is the integral of x^k e^-x / k! from m on: no sum of Poisson terms."""
    low, high = poisson_interval(count, confidence)

    def at_most(k: int, mean: float) -> float:
        x = np.linspace(mean, mean + 40 * np.sqrt(k + 2) + 100, 400_001)
        log = k * np.log(np.maximum(x, 1e-300)) - x - np.log(np.arange(1.0, k + 1)).sum()
        return float(np.trapezoid(np.exp(log), x))

    tail = (1 - confidence) / 2
    assert at_most(count, high) == pytest.approx(tail, abs=1e-7)
    if count:
        assert 1 - at_most(count - 1, low) == pytest.approx(tail, abs=1e-7)
    else:
        assert low == 0.0


def test_sums_agree_with_exact_fractions() -> None:
    """e^-m by its series, all in fractions, at the bounds that were found."""
    low, high = (Fraction(bound) for bound in poisson_interval(4))

    def at_most(k: int, mean: Fraction) -> float:
        term, series, few = Fraction(1), Fraction(0), Fraction(0)
        for i in range(120):
            series += term
            few += term if i <= k else 0
            term = (term * mean / (i + 1)).limit_denominator(10**40)
        return float(few / series)

    assert at_most(4, high) == pytest.approx(0.025, abs=1e-9)
    assert 1 - at_most(3, low) == pytest.approx(0.025, abs=1e-9)


def test_rates_are_counts_an_hour() -> None:
    rate = hourly(3, 1.5)
    assert rate.value == 2.0
    assert (1.5 * rate.low, 1.5 * rate.high) == pytest.approx(poisson_interval(3))
    assert str(hourly(0, 5.0)) == "0.00 (0.00–0.74)"
