"""The verdict: what the database and the file of outside effects say after the run."""

from __future__ import annotations

import datetime as dt
from bisect import bisect_right
from collections import Counter, defaultdict
from dataclasses import dataclass, field
from uuid import UUID

from skeldir_huey.queue.storage import statement
from tests.chaos import faults as F
from tests.chaos.arena import Arena
from tests.chaos.faults import Fault
from tests.chaos.producers import expected_effects

AGAIN_LIMIT_S = 5.0
FROZEN_MORE_S = 5.0  # above SKELDIR_FROZEN_AFTER_S

# How long a fault can be felt: a frozen one wakes, a restart is over, and both left dead connections behind.
LASTS_S = {F.STOP: 25.0, F.FAST: 10.0, F.IMMEDIATE: 10.0, F.TERM: 6.0, F.HUP: 6.0}

SETTLED = "select task_id, claimed_at from huey.job_attempt where outcome in ('done', 'errored', 'dead', 'cancelled')"
NOT_ENDED = """
select o.marker from chaos_order o
 where o.sure and not exists (select from huey.job_attempt a where a.task_id = o.task_id and a.ended) order by marker
"""
ENDED_TWICE = (
    "select task_name, count(*) from huey.job_attempt where ended group by task_id, task_name having count(*) > 1"
)
LETTERS = """
select coalesce(o.kind, l.task_name), o.marker, count(*)
  from worker_failed_jobs l left join chaos_order o on o.task_id = l.task_id
 where l.task_name <> 'chaos.poison' group by 1, 2, l.task_id
"""


def moment(at: dt.datetime) -> str:
    """Return a time as starts.log writes it."""
    return f"{at.timestamp():.6f}"


@dataclass
class Verdict:
    """What was found; `problems` is empty when every promise was kept."""

    problems: list[str] = field(default_factory=list)
    orders: int = 0
    jobs: int = 0
    lost: int = 0
    duplicates: int = 0
    repeated: int = 0
    unexplained: list[str] = field(default_factory=list)
    gap: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    hit_claims: int = 0
    slow: list[str] = field(default_factory=list)
    again_s: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))  # by kind of fault
    beside_restart_s: list[float] = field(default_factory=list)

    def must(self, kept: bool, problem: str) -> None:
        if not kept:
            self.problems.append(problem)


class Facts:
    """What was written down during the run, read once."""

    def __init__(self, arena: Arena) -> None:
        self.settled = {(task_id, moment(at)) for task_id, at in arena.query(SETTLED)}
        self.claims: dict[str, list[tuple[float, UUID]]] = defaultdict(list)
        for task_id, consumer_id, at in arena.query("select * from chaos_claim order by claimed_at"):
            self.claims[task_id].append((at.timestamp(), consumer_id))
        path = arena.folder / "starts.log"
        lines = [line.split() for line in path.read_text().splitlines()] if path.exists() else []
        self.starts = {(task_id, at) for task_id, at, _ in lines}

    def interrupted(self, task_id: str, claimed_at: str) -> bool:
        """Say whether a claim's task had begun, and the claim never settled."""
        return (task_id, claimed_at) in self.starts and (task_id, claimed_at) not in self.settled

    def next_claim(self, task_id: str, claimed_at: float) -> float | None:
        """Return when a job was claimed the next time after this claim."""
        times = [at for at, _ in self.claims[task_id]]
        place = bisect_right(times, claimed_at + 1e-7)
        return times[place] if place < len(times) else None


def judge(arena: Arena, done: list[Fault], most_repeated: int) -> Verdict:
    """Compare what was ordered with what there is.

    Args:
        most_repeated: how many outside effects the faults may have repeated.
    """
    verdict, facts = Verdict(), Facts(arena)
    _orders(arena, verdict)
    _effects(arena, verdict)
    _letters(arena, verdict)
    _ledger(arena, verdict)
    _ticks(arena, verdict)
    _recovery(facts, done, verdict)
    _outside(arena, facts, done, verdict)
    problem = f"{verdict.repeated} outside effects were repeated, the faults explain {most_repeated}"
    verdict.must(verdict.repeated <= most_repeated, problem)
    return verdict


def _orders(arena: Arena, verdict: Verdict) -> None:
    ((verdict.orders, unsure),) = arena.query("select count(*), count(*) filter (where not sure) from chaos_order")
    ((verdict.jobs,),) = arena.query("select count(distinct task_id) from chaos_claim")
    missing = [marker for (marker,) in arena.query(NOT_ENDED)]
    verdict.lost += len(missing)
    verdict.must(not missing, f"{len(missing)} orders have not ended: {missing[:5]}")
    twice = arena.query(ENDED_TWICE)
    verdict.duplicates += len(twice)
    verdict.must(not twice, f"{len(twice)} jobs ended more than once: {twice[:5]}")
    left = arena.query("select task_name, state, last_error from huey.job where task_name like 'chaos.%%' limit 5")
    left = [row for row in left if row[0] != "chaos.minute"]
    verdict.must(not left, f"jobs are left: {left}")
    verdict.must(unsure < 50, f"{unsure} enqueues without a sure answer: the producers did not get through")


def _effects(arena: Arena, verdict: Verdict) -> None:
    wanted: Counter[str] = Counter()
    for marker, kind in arena.query("select marker, kind from chaos_order"):
        wanted.update(expected_effects(kind, marker))
    found = Counter(
        dict(arena.query("select marker, count(*) from chaos_effect where marker not like 'poison%%' group by 1"))
    )
    missing = sorted((wanted - found).elements())
    more = sorted((found - wanted).elements())
    verdict.lost += len(missing)
    verdict.duplicates += len(more)
    verdict.must(not missing, f"{len(missing)} effects are missing: {missing[:5]}")
    verdict.must(not more, f"{len(more)} effects are there too often: {more[:5]}")


def _letters(arena: Arena, verdict: Verdict) -> None:
    letters = arena.query(LETTERS)
    wrong = [row for row in letters if row[0] != "hopeless" or row[2] != 1]
    verdict.must(not wrong, f"{len(wrong)} jobs were buried by mistake or twice: {wrong[:5]}")
    ((hopeless,),) = arena.query("select count(*) from chaos_order where kind = 'hopeless'")
    verdict.must(len(letters) - len(wrong) == hopeless, f"{len(letters)} dead letters for {hopeless} hopeless jobs")


def _ledger(arena: Arena, verdict: Verdict) -> None:
    ledger = arena.query(statement("ledger"))
    wrong = [row for row in ledger if row[-1]]
    verdict.gap = sum(abs(row[-1]) for row in wrong)
    verdict.must(not wrong, f"the ledger does not add up: {wrong}")
    verdict.must(bool(ledger), "the ledger is empty")


def _ticks(arena: Arena, verdict: Verdict) -> None:
    rows = arena.query("select tick_key, task_id from chaos_tick where tick_key like '%%chaos.minute@%%'")
    keys = [key for key, _ in rows]
    minutes = sorted(dt.datetime.fromisoformat(key.split("@")[1]) for key in set(keys))
    verdict.must(len(keys) == len(set(keys)), f"{len(keys) - len(set(keys))} minutes were added twice")
    whole = bool(minutes) and (minutes[-1] - minutes[0]) / dt.timedelta(minutes=1) == len(minutes) - 1
    verdict.must(whole, f"minutes are missing: {len(minutes)} from {minutes[:1]} to {minutes[-1:]}")


def _recovery(facts: Facts, done: list[Fault], verdict: Verdict) -> None:
    restarts = [fault.at.timestamp() for fault in done if fault.kind in F.RESTARTS]
    for fault in done:
        hit = [(task_id, at) for task_id, at in fault.claims if facts.interrupted(task_id, moment(at))]
        verdict.hits[fault.kind] += bool(hit)
        verdict.hit_claims += len(hit)
        if fault.kind not in F.MEASURED:
            continue
        began = fault.at.timestamp()
        for task_id, claimed_at in hit:
            again = facts.next_claim(task_id, claimed_at.timestamp())
            if again is None:
                continue  # it never ran again: counted as lost
            took = again - began
            if any(began - 2 < restart < again for restart in restarts):
                verdict.beside_restart_s.append(took)
            else:
                verdict.again_s[fault.kind].append(took)
                if fault.kind != F.STOP and took > AGAIN_LIMIT_S:
                    verdict.slow.append(f"{fault.kind} at {fault.at:%H:%M:%S}: {task_id} ran again after {took:.1f} s")


def _outside(arena: Arena, facts: Facts, done: list[Fault], verdict: Verdict) -> None:
    """Count jobs that began again without a failed attempt; each needs a fault of its consumer."""
    moments: dict[UUID | None, list[tuple[float, float]]] = defaultdict(list)
    for fault in done:
        began = fault.at.timestamp()
        for consumer_id in [None] if fault.kind in F.RESTARTS else fault.consumers:
            moments[consumer_id].append((began, began + LASTS_S.get(fault.kind, 3.0)))
    for cut in arena.proxy.cuts:
        moments[UUID(cut.application.removeprefix("skeldir:"))].append((cut.at, cut.at + 3.0))
    for task_id, claimed_at in facts.starts:
        if not facts.interrupted(task_id, claimed_at):
            continue
        verdict.repeated += 1
        began = float(claimed_at)
        consumer = next((who for at, who in facts.claims[task_id] if f"{at:.6f}" == claimed_at), None)
        again = facts.next_claim(task_id, began) or float("inf")
        reasons = [at for at, over in (*moments[consumer], *moments[None]) if at <= again and began <= over]
        if not reasons:
            verdict.unexplained.append(f"{task_id} claimed at {claimed_at} by {consumer}")
