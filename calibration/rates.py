"""How often something rare happens: events an hour, with an exact interval."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """Events an hour, with its 95 % interval from `low` to `high`."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.2f} ({self.low:.2f}–{self.high:.2f})"


def hourly(count: int, hours: float) -> Rate:
    """The rate of events that come independently of one another (a Poisson process).

    Args:
        count: Events that were counted.
        hours: For how long; above 0.
    """
    low, high = poisson_interval(count)
    return Rate(count / hours, low / hours, high / hours)


def poisson_interval(count: int, confidence: float = 0.95) -> tuple[float, float]:
    """The exact interval of a Poisson mean (Garwood 1936, Biometrika 28).

    It holds all means with which neither so few nor so many events are rarer than half of what
    `confidence` leaves: P(X ≥ count; low) = P(X ≤ count; high) = (1 − confidence) / 2.

    Args:
        count: Events that were counted, 0 or more.
        confidence: 0…1.

    Returns:
        low and high; low is 0 for no events.
    """
    tail = (1 - confidence) / 2
    low = _mean_where(count - 1, 1 - tail) if count else 0.0
    return low, _mean_where(count, tail)


def _mean_where(count: int, chance: float) -> float:
    """The mean with P(X ≤ count) = chance, by bisection: the chance falls as the mean grows."""
    low, high = 0.0, count + 12 * math.sqrt(count + 1) + 40
    while high - low > 1e-12 * high:
        mean = (low + high) / 2
        if mean in (low, high):
            break
        if _at_most(count, mean) > chance:
            low = mean
        else:
            high = mean
    return (low + high) / 2


def _at_most(count: int, mean: float) -> float:
    """P(X ≤ count) of a Poisson distribution; in logarithms, since powers overflow."""
    return math.fsum(
        math.exp(i * math.log(mean) - mean - math.lgamma(i + 1)) for i in range(count + 1)
    )
