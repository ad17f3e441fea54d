"""The three parts of a run: faults, poison and crash points."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import fmean

from skeldir_huey.queue.desk import MAX_BATCH
from tests.chaos import crash_points, report, verdict, work
from tests.chaos import faults as F
from tests.chaos.arena import Arena, say
from tests.chaos.producers import Producers
from tests.waiting import until

Findings = tuple[list[str], list[str]]  # problems, and reasons why nothing was measured

WORKERS = 16
DRAIN_S = 60.0
UNDONE = """
select (select count(*) from huey.job where task_name like 'chaos.%%' and task_name <> 'chaos.minute')
     + (select count(*) from chaos_order o where o.sure
         and not exists (select from huey.job_attempt a where a.task_id = o.task_id and a.ended))
"""


def faults(arena: Arena, given: argparse.Namespace) -> Findings:
    """Producers, three consumers, and whatever can happen to them, for as long as the budget says."""
    frozen_after_s, heartbeat_s = (15.0, 3.0) if given.budget >= 60 else (4.0, 1.0)
    settings = {
        "SKELDIR_MAX_DEATHS": "100",
        "SKELDIR_FROZEN_AFTER_S": f"{frozen_after_s:g}",
        "SKELDIR_HEARTBEAT_S": f"{heartbeat_s:g}",
        "SKELDIR_MUTANT": given.mutant,
    }
    arena.start_consumer("threads", "-w", "2", "-c", "1", **settings)
    arena.start_consumer("short", "-w", "2", "-c", "1", "-t", "0.1", **settings)
    arena.start_consumer("processes", "-w", "6", "-k", "process", "-c", "1", **settings)
    # With room for what is rescued all at once, after 15 s, from all that were frozen: how soon it runs is measured.
    arena.start_consumer(F.SURVIVOR, "-w", "6", "-c", "1", **settings)
    arena.wait_until_up()
    say(f"4 consumers with {WORKERS} workers are up; frozen after {frozen_after_s:g} s without heartbeat")
    arena.lag.clear()
    waves = F.waves(given.budget)
    producers = Producers(given.seed, given.orders, given.budget * (1 - 0.1 / waves), arena.tenants, waves)
    producers.start()
    doer = F.Faults(arena, given.seed, given.budget, frozen_after_s + 3)
    doer.run()
    too_busy, late_s = arena.lag.too_busy(), list(arena.lag.late_s)
    placed = producers.join(DRAIN_S)
    drained_s = drain(arena)
    arena.stop_consumers()

    found = verdict.judge(arena, doer.done, most_repeated(arena, doer.done))
    report.print_faults(arena, doer.done, found)
    report.print_outcome(found)
    report.print_times(found)
    noticed = arena.events("consumer_rescued", "job_fenced", "settlement_failed", "claims_released", "claim_failed")
    say(f"log: {', '.join(f'{name} {count}' for name, count in noticed.items())}")
    say(
        f"drained after {drained_s:.1f} s; {producers.unsure} answers to producers lost; lag p99 {_lag(late_s):.2f} s; "
        f"{fmean(arena.lag.load or [0.0]):.1f} threads for each processor"
    )

    found.problems += producers.broken
    invalid = [] if placed or producers.broken else ["the producers did not place all orders"]
    hits, stops = sum(found.hits.values()), found.hits[F.STOP]
    slow = [f"only {hits} faults interrupted a running job, {given.min_hits} are wanted"] * (hits < given.min_hits)
    slow += [f"only {stops} SIGSTOPs interrupted a running job, 3 are asked for"] * (stops < 3)
    for kind, times in found.again_s.items():
        p99 = report.percentile(times, 0.99)
        limit = frozen_after_s + verdict.FROZEN_MORE_S if kind == F.STOP else verdict.AGAIN_LIMIT_S
        if p99 > limit:
            slow.append(f"after {kind} jobs ran again within {p99:.1f} s (p99), {limit:g} s is the limit")
    if slow and too_busy:
        invalid += [f"{line}, but {too_busy}" for line in slow]
    else:
        found.problems += slow
    return found.problems, invalid


def _lag(late_s: list[float]) -> float:
    return report.percentile(late_s, 0.99)


def most_repeated(arena: Arena, done: list[F.Fault]) -> int:
    """Return how many outside effects may be repeated: what ran at each fault, and for each cut what was settled."""
    batches = sum(cut.place == "batch" for cut in arena.proxy.cuts)
    return sum(len(fault.claims) for fault in done) + len(arena.proxy.cuts) + batches * MAX_BATCH


def drain(arena: Arena) -> float:
    """Wait until everything that was ordered has ended; what has not after a minute is lost. Returns seconds."""
    began = time.monotonic()
    try:
        until(lambda: arena.query(UNDONE) == [(0,)], DRAIN_S, every=0.1)
    except AssertionError:
        say("not everything has ended")
    return time.monotonic() - began


def poison(arena: Arena, given: argparse.Namespace) -> Findings:
    """Three jobs that kill whoever runs them, among 49 innocents: three letters and 49 effects."""
    for number in range(49):
        work.effect(f"poison.innocent-{number}", 0.0, tenant_id=arena.tenants[number % 3])
        if number in (5, 20, 35):
            work.poison()
    settings = {"SKELDIR_MAX_DEATHS": "3", "SKELDIR_MUTANT": given.mutant}
    for name in ("one", "two"):
        arena.start_consumer(name, "-w", "2", "-k", "process", "-c", "1", **settings)
    arena.wait_until_up()
    try:
        until(lambda: arena.query("select count(*) from huey.job where task_name like 'chaos.%%'") == [(0,)], 60)
    except AssertionError:
        say("not everything has ended")
    arena.stop_consumers()
    letters = arena.query("select task_name, error_type, error_message from worker_failed_jobs order by task_id")
    died = "its worker died 3 times while it ran"
    effects = arena.query("select count(*), count(distinct marker) from chaos_effect where marker like 'poison%%'")
    starts = arena.query(
        "select count(*) from chaos_claim where task_id in (select task_id from worker_failed_jobs) group by task_id"
    )
    claims = sorted(count for (count,) in starts)
    say(f"letters {len(letters)}, innocents done {effects[0][0]}, claims of each poison {claims}")
    problems = []
    if letters != [("chaos.poison", "worker_lost", died)] * 3:
        problems.append(f"expected three letters of poison after exactly 3 deaths, got {letters}")
    if effects != [(49, 49)]:
        problems.append(f"expected 49 innocents once each, got {effects}")
    if any(count > 4 for count in claims):  # one more: a death in a batch is nobody's
        problems.append(f"poison was claimed {claims} times")
    found = verdict.Verdict()
    verdict._ledger(arena, found)
    return problems + found.problems, []


def points(arena: Arena, given: argparse.Namespace) -> Findings:
    """Let processes end themselves at each named point, `rounds` times, while orders keep coming."""
    crash_points.put_tokens(given.rounds)
    settings = {"SKELDIR_MAX_DEATHS": "100", "SKELDIR_MUTANT": given.mutant, "SKELDIR_MUTANT_CRASH_AT": "all"}
    for name in ("one", "two"):
        arena.start_consumer(name, "-w", "4", "-k", "process", "-c", "0.2", **settings)
    arena.wait_until_up()
    planned = len(crash_points.POINTS) * given.rounds
    say(f"{len(crash_points.POINTS)} points, {planned} crashes to come")
    total = max(100, 40 * given.rounds)
    producers = Producers(given.seed, total, 4.0 * given.rounds, arena.tenants)
    producers.start()
    limit_s = 60 + 12.0 * given.rounds
    try:
        until(lambda: not any(crash_points.tokens_left().values()), limit_s, every=0.5)
    except AssertionError:
        pass
    left = {point: count for point, count in crash_points.tokens_left().items() if count}
    placed = producers.join(DRAIN_S)
    say(f"{planned - sum(left.values())} crashes" + (f"; still to come: {left}" if left else ""))
    drain(arena)
    arena.stop_consumers()
    # A crash interrupts one job, one in the middle of a batch all that was claimed or done with it.
    most = planned + 4 * given.rounds * MAX_BATCH
    found = verdict.judge(arena, [], most)
    report.print_outcome(found)
    found.problems += producers.broken
    invalid = [f"crash points that were not reached often enough: {left}"] if left else []
    invalid += [] if placed or producers.broken else ["the producers did not place all orders"]
    return found.problems, invalid


PARTS: dict[str, Callable[[Arena, argparse.Namespace], Findings]] = {
    "faults": faults,
    "poison": poison,
    "points": points,
}
