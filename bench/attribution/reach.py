"""The aims, and which of them this run met."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable
from typing import Any

from bench.attribution.rules import ONE
from bench.queue.reach import Aim, aim

Line = dict[str, Any]


def median(lines: Iterable[Line], name: str) -> float | None:
    """Return the median of a figure over the lines that have it, or None."""
    found = [line[name] for line in lines if line.get(name) is not None]
    return statistics.median(found) if found else None


def reach(lines: list[Line]) -> list[Aim]:
    """Return every aim of attribution's speed with the figure of this run."""

    def of(part: str, name: str, **which: str) -> float | None:
        return median((line for line in lines if line["part"] == part and which.items() <= line.items()), name)

    models = dict.fromkeys(line["model"] for line in lines if line["part"] == "rules")
    worst = max((value for model in models if (value := of("rules", "times_floor", model=model))), default=None)
    slowest = max((value for model in models if (value := of("rules", "again_ratio", model=model))), default=None)
    original = of("peers", "us_per_row", peer="the original's design, even_split")
    small, large = of("growth", "seconds", size="one"), of("growth", "seconds", size="ten")
    return [
        aim(f"one rule model ({ONE}), times the floor", of("rules", "times_floor", model=ONE), "<= 3"),
        aim("the slowest rule model, times the floor", worst, "<= 3"),
        aim(
            f"all rule models together, times one ({ONE})",
            _ratio(of("together", "seconds"), of("rules", "seconds", model=ONE)),
            "<= 2",
        ),
        # Nine versions write seven times the rows of one: their bare insert alone takes longer than twice one run.
        aim(
            "the same per row written",
            _ratio(_per_row(of, "together"), _per_row(of, "rules", model=ONE)),
            "<= 2",
        ),
        aim(
            "the original's design, times ours per row",
            _ratio(original, of("peers", "us_per_row", peer="ours, even_split")),
            ">= 4",
        ),
        aim("one day of thirty, ms", of("day", "first_ms"), "<= 150"),
        aim("one day of thirty again, nothing changed, ms", of("day", "again_ms"), "<= 150"),
        aim(f"re-run ({ONE}) where nothing changed / first run", of("rules", "again_ratio", model=ONE), "<= 0.5"),
        aim("the same of the slowest rule model", slowest, "<= 0.5"),
        aim("Markov order 1 from stored counts, s", of("markov", "train_s"), "<= 1"),
        aim("its bootstrap of 300 draws, s", of("markov", "bootstrap_s"), "<= 10"),
        aim("time of ten times the events, times", _ratio(large, small), "<= 11"),
        aim("worker's memory at ten times the events, MiB", of("growth", "rss_mb", size="ten"), "<= 200"),
    ]


def _per_row(of: Callable[..., float | None], part: str, **which: str) -> float | None:
    return _ratio(of(part, "seconds", **which), of(part, "rows", **which))


def _ratio(value: float | None, base: float | None) -> float | None:
    return value / base if value and base else None
