"""Histograms of the minute roll-ups: how long jobs waited and ran, in milliseconds, by fixed bounds."""

from __future__ import annotations

from collections.abc import Sequence

# Upper bounds; what is above the last goes into one more bucket. The migration that counts has the same numbers.
BOUNDS_MS: tuple[float, ...] = (1, 5, 10, 25, 50, 100, 250, 500, 1000, 5000, 30000, 300000)


def quantile(counts: Sequence[int], q: float) -> float | None:
    """Return the q-quantile of a histogram in milliseconds, interpolated within its bucket; None when it is empty.

    Args:
        counts: one count per bound and one for what is above them all.
        q: 0 to 1; 0.5 is the median.

    What lies above the last bound is answered by that bound: it is at least that long.
    """
    if len(counts) != len(BOUNDS_MS) + 1:
        raise ValueError(f"a histogram has {len(BOUNDS_MS) + 1} counts, this one {len(counts)}")
    if not 0 <= q <= 1:
        raise ValueError("q lies between 0 and 1")
    total = sum(counts)
    if not total:
        return None
    wanted, below = q * total, 0
    for index, count in enumerate(counts):
        if count and below + count >= wanted:
            if index == len(BOUNDS_MS):
                break
            low = BOUNDS_MS[index - 1] if index else 0.0
            return low + (BOUNDS_MS[index] - low) * max(0.0, wanted - below) / count
        below += count
    return BOUNDS_MS[-1]
