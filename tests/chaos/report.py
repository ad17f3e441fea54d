"""The table that a run prints."""

from __future__ import annotations

import math
from collections import Counter

from tests.chaos import faults as F
from tests.chaos.arena import Arena, say
from tests.chaos.faults import Fault
from tests.chaos.verdict import Verdict


def percentile(values: list[float], share: float) -> float:
    """Return the nearest-rank percentile; 0 without values."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else 0.0


def times(values: list[float]) -> str:
    """Return count, p50, p99 and maximum of seconds."""
    if not values:
        return "none"
    p50, p99 = percentile(values, 0.5), percentile(values, 0.99)
    return f"{len(values):4d} jobs   p50 {p50:5.2f}   p99 {p99:5.2f}   max {max(values):5.2f} s"


def print_faults(arena: Arena, done: list[Fault], verdict: Verdict) -> None:
    """Print how many faults of each kind there were, and how many met a job that had begun and did not settle."""
    sent = Counter(fault.kind for fault in done)
    say(f"{'fault':<30}{'done':>6}{'hit':>6}")
    for kind in (F.KILL_WORKER, F.KILL_CONSUMER, F.TERM, F.HUP, F.STOP, F.FAST, F.IMMEDIATE):
        say(f"{kind:<30}{sent[kind]:>6}{verdict.hits[kind]:>6}")
    say(f"{F.KILL_SCHEDULER:<30}{sent[F.KILL_SCHEDULER]:>6}     -")
    cuts = Counter((cut.place, cut.answered) for cut in arena.proxy.cuts)
    for (place, answered), count in sorted(cuts.items()):
        say(f"{'cut ' + ('after ' if answered else 'before ') + place:<30}{count:>6}     -")
    say(f"{'interrupted a running job':<30}{'':>6}{sum(verdict.hits.values()):>6}   ({verdict.hit_claims} jobs)")


def print_outcome(verdict: Verdict) -> None:
    """Print what became of the jobs."""
    say(f"orders {verdict.orders}, jobs {verdict.jobs}, repeated outside effects {verdict.repeated}")
    say(f"lost {verdict.lost}, duplicate effects {verdict.duplicates}, ledger gap {verdict.gap}")


def print_times(verdict: Verdict) -> None:
    """Print how long interrupted jobs waited until they were claimed again, and what no fault explains."""
    for kind in F.MEASURED:
        say(f"runs again after {kind:<30}{times(verdict.again_s[kind])}")
    say(f"{'the same beside a restart':<47}{times(verdict.beside_restart_s)}")
    say(f"interrupted without a fault of their consumer: {len(verdict.unexplained)}")
    for line in (*verdict.unexplained[:10], *verdict.slow):
        say(f"  {line}")
