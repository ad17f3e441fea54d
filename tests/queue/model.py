"""A model of the queue, and the machine that leads real jobs and modelled ones through the same random lives.

Producers enqueue, once or again; consumers claim, finish, fail, give back, die, and finish late; time goes on, minutes
tick. After every step the tables must say what the model says: no job lost or conjured up, each effect once, the ledger
without a gap.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from skeldir_huey.queue import cron, rescue
from skeldir_huey.queue.claims import Claim, ClaimedMessage
from skeldir_huey.queue.liveness import lock_key
from skeldir_huey.queue.storage import statement
from tests.queue.model_world import World

MAX_DEATHS = 3
HOUR = dt.timedelta(hours=1)
RETRY_DELAY = 3600  # seconds of the host's clock; the machine's is two hours ahead: due at the next promotion
Plan = tuple[int, int, bool]  # retries, their delay, whether the job adds a child
PLANS: list[Plan] = [(0, 0, False), (0, 0, True), (1, 0, True), (1, RETRY_DELAY, False)]
MINUTELY = "model.minutely"


@dataclass
class Modelled:
    """What the model knows of a job."""

    state: str = "waiting"
    run_at: dt.datetime | None = None
    retries: int = 0
    retry_delay: int = 0
    has_child: bool = False
    minutely: bool = False
    attempt: int = 0
    deaths: int = 0
    token: UUID | None = None
    owner: UUID | None = None
    claim_alone: bool = False
    claim_apart: bool = False
    counts: bool = False  # a death of its consumer now would be counted

    def back(self, uncounted: bool) -> None:
        self.state, self.token, self.owner = "waiting", None, None
        self.attempt -= uncounted

    def row(self) -> list[Any]:
        token = str(self.token) if self.token else None
        return [self.state, self.attempt, self.deaths, token, self.claim_alone, self.claim_apart]


class QueueMachine(RuleBasedStateMachine):
    """Three consumers. What a dead one had in its hands may still be finished, too late."""

    world: World  # set by the fixture

    @initialize()
    def begin(self) -> None:
        self.world.empty()
        self.base = dt.datetime.now(dt.UTC)
        self.now = self.base.replace(second=0, microsecond=0) + 2 * HOUR
        self.jobs: dict[str, Modelled] = {}  # not ended
        self.ended: list[list[str]] = []
        self.letters: list[list[str]] = []
        self.effects: list[str] = []
        self.hands: list[Claim] = []  # as executors hold them, whether they still count or not
        self.last_minute: dt.datetime | None = None
        self.alive = [self.new_consumer() for _ in range(3)]
        self.dead: set[UUID] = set()

    def new_consumer(self) -> UUID:
        consumer = uuid4()
        self.world.sql(
            "insert into huey.consumer (id, host, pid, worker_type, worker_count, lanes, version)"
            " select %s, 'h', 1, 'thread', 1, '{ingest}', 'v' from pg_advisory_lock(%s)",
            (consumer, lock_key(consumer)),
        )
        return consumer

    def held(self, claim: Claim) -> Modelled | None:
        """Return the job of a claim that still counts."""
        job = self.jobs.get(claim.task_id)
        return job if job is not None and job.token == claim.token else None

    def hand(self, which: int) -> Claim:
        """Return one of the claims in somebody's hands. When there is none, a job is claimed, and added if need be."""
        if not self.hands:
            if not any(job.state == "waiting" for job in self.jobs.values()):
                self.add(PLANS[which % len(PLANS)], None)
            self.claim_for(which % 3, 1)
        return self.hands[which % len(self.hands)]

    def take(self, which: int) -> Claim:
        claim = self.hand(which)
        self.hands.remove(claim)
        return claim

    def end(self, task_id: str, outcome: str, error_type: str | None = None) -> None:
        del self.jobs[task_id]
        self.ended.append([task_id, outcome])
        if error_type is not None:
            self.letters.append([task_id, error_type])

    # -- producers and time -------------------------------------------------------------------------------------------

    @rule(plan=st.sampled_from(PLANS), count=st.integers(1, 3), later=st.booleans(), again=st.booleans())
    def enqueue(self, plan: Plan, count: int, later: bool, again: bool) -> None:
        for _ in range(count):
            self.add(plan, self.now + HOUR if later else None)
        if again:  # by a producer that never heard whether its commit arrived
            task = self.world.step.s(False, tenant_id=self.world.tenant)
            task.id = next(iter(self.jobs))
            self.world.huey.enqueue(task)

    def add(self, plan: Plan, run_at: dt.datetime | None) -> None:
        retries, delay, child = plan
        task = self.world.step.s(child, retries=retries, retry_delay=delay, tenant_id=self.world.tenant)
        task.eta = run_at.replace(tzinfo=None) if run_at else None
        self.world.huey.enqueue(task)
        self.jobs[task.id] = Modelled("scheduled" if run_at else "waiting", run_at, retries, delay, child)

    @rule(hours=st.integers(0, 1), minutes=st.integers(0, 1), consumers=st.sampled_from([0, 0, 1, 2]))
    def wait(self, hours: int, minutes: int, consumers: int) -> None:
        """Promote what has become due; one or two consumers look at a minute that is new, or was seen before."""
        self.now += hours * HOUR + dt.timedelta(minutes=minutes)
        self.world.huey.storage.run(statement("promote"), {"now": self.now})
        for job in self.jobs.values():
            if job.state == "scheduled" and job.run_at is not None and job.run_at <= self.now:
                job.state = "waiting"
        for _ in range(consumers):
            cron.tick(self.world.huey, self.now)
        if consumers:
            self.expect_tick()
        self.world.huey.storage.run(statement("fold_flow"))

    def expect_tick(self) -> None:
        found = {
            task_id for (task_id,) in self.world.sql(f"select task_id from huey.job where task_name = '{MINUTELY}'")
        }
        new = found - set(self.jobs)
        expected = 1 if self.last_minute is None or self.now > self.last_minute else 0
        assert len(new) == expected, f"{len(new)} jobs for one minute"
        self.last_minute = self.now
        self.jobs |= {task_id: Modelled(minutely=True) for task_id in new}

    # -- consumers ----------------------------------------------------------------------------------------------------

    @rule(who=st.integers(0, 2), total=st.sampled_from([1, 1, 3]))
    def claim(self, who: int, total: int) -> None:
        self.claim_for(who, total)

    def claim_for(self, who: int, total: int) -> None:
        storage = self.world.huey.storage
        own, storage.consumer_id = storage.consumer_id, self.alive[who]
        try:
            claims = storage.claim(uuid4(), total, now=self.now)
        finally:
            storage.consumer_id = own
        waiting = {task_id for task_id, job in self.jobs.items() if job.state == "waiting"}
        taken = {claim.task_id for claim in claims}
        assert len(taken) == len(claims) <= total, f"{len(claims)} claims for {len(taken)} jobs, asked for {total}"
        assert taken <= waiting, "claimed what does not wait"
        assert taken or not waiting, "jobs wait, but none was claimed"
        for claim in claims:
            job = self.jobs[claim.task_id]
            assert len(claims) == 1 or not job.claim_alone, "after a death a job is claimed by itself"
            job.state, job.token, job.owner = "running", claim.token, self.alive[who]
            job.attempt += 1
            job.counts = len(claims) == 1
            self.hands.append(claim)

    @rule(which=st.integers(0, 11))
    def succeed(self, which: int) -> None:
        """Execute a claimed job to its end, whoever has it by now."""
        claim, job = self.execute(which, None)
        if job is None:
            return  # fenced: nothing of it happened
        self.end(claim.task_id, "done")
        if not job.minutely:
            self.effects.append(claim.task_id)
        if job.has_child:
            assert self.world.child is not None
            self.jobs[self.world.child] = Modelled()

    @rule(which=st.integers(0, 11), interrupted=st.booleans())
    def fail(self, which: int, interrupted: bool) -> None:
        """Execute a claimed job that fails after its effect, or is interrupted there."""
        claim, job = self.execute(which, KeyboardInterrupt if interrupted else ValueError)
        if job is None:
            return
        if interrupted:
            job.back(uncounted=True)
        elif job.retries:
            job.retries -= 1
            job.claim_alone = job.claim_apart = False  # it came to an end of its own
            job.back(uncounted=False)
            if job.retry_delay:
                job.state, job.run_at = "scheduled", self.base + dt.timedelta(seconds=job.retry_delay)
        else:
            self.end(claim.task_id, "dead", "permanent")

    def execute(self, which: int, fault: type[BaseException] | None) -> tuple[Claim, Modelled | None]:
        claim = self.take(which)
        self.world.fault, self.world.child = fault, None
        self.world.huey.execute(self.world.huey.task_of(ClaimedMessage.of(claim)))
        return claim, self.held(claim)

    @rule(which=st.lists(st.integers(0, 11), min_size=1, max_size=4))
    def succeed_together(self, which: list[int]) -> None:
        """Settle plain successes in one statement, each fenced on its own."""
        claims = [self.take(one) for one in which]
        nothing = [None] * len(claims)
        settled = self.world.huey.storage.settle_done(
            {
                "ids": [claim.id for claim in claims],
                "tokens": [claim.token for claim in claims],
                "results": nothing,
                "run_ms": [1.0] * len(claims),
                "workers": ["w"] * len(claims),
                "revoke_keys": nothing,
                "now": None,
            }
        )
        expected = [claim for claim in claims if self.held(claim)]
        same("settled together", settled, {claim.id for claim in expected})
        for claim in expected:
            self.end(claim.task_id, "done")

    @rule(which=st.integers(0, 11), still_working=st.booleans())
    def give_back(self, which: int, still_working: bool) -> None:
        """Release a claim: nobody began it, or its process does not know of it any more, but its worker goes on."""
        claim = self.hand(which) if still_working else self.take(which)
        job = self.held(claim)
        same("given back", self.world.huey.storage.release([claim]), job is not None)
        if job is not None:
            job.back(uncounted=True)

    @rule(which=st.integers(0, 11), ran_long=st.booleans(), seen=st.booleans())
    def die(self, which: int, ran_long: bool, seen: bool) -> None:
        """A consumer that has claims dies, and another one starts. What it was doing may yet be finished, too late.

        If a job of it ran for more than a second, that is recorded: the death is its own, even if claimed with others,
        unless there are others still and it is no suspect, or there is another suspect.
        """
        claim = self.hand(which)
        job = self.held(claim)
        if ran_long:
            self.world.huey.storage.run(statement("mark_started"), {"ids": [claim.id], "tokens": [claim.token]})
            if job is not None:
                job.counts = True
        if job is None or job.owner not in self.alive:
            return
        self.alive[self.alive.index(job.owner)] = self.new_consumer()
        self.world.sql("select pg_advisory_unlock(%s)", (lock_key(job.owner),))
        self.dead.add(job.owner)
        if seen:
            self.rescue()

    @rule()
    def sweep(self) -> None:
        self.rescue()

    def rescue(self) -> None:
        """Rescue the jobs of the dead, and of nobody else."""
        rescue.Rescuer(self.world.huey).sweep()
        owners = [job.owner for job in self.jobs.values()]
        accused = [job.owner for job in self.jobs.values() if job.claim_alone]
        for task_id, job in list(self.jobs.items()):
            if job.owner not in self.dead:
                continue
            beside = (accused if job.claim_alone else owners).count(job.owner) - 1
            job.counts &= not beside
            job.claim_apart |= job.claim_alone and beside > 0
            if job.counts and job.deaths + 1 >= MAX_DEATHS:
                self.end(task_id, "dead", "worker_lost")
                continue
            job.deaths += job.counts
            job.claim_alone = True
            job.back(uncounted=not job.counts)

    @invariant()
    def tables_say_what_the_model_says(self) -> None:
        jobs, ended, letters, effects, gap = self.world.sql("execute snapshot")[0]
        same("jobs", jobs, {task_id: job.row() for task_id, job in self.jobs.items()})
        same("ends", sorted(ended), sorted(self.ended))
        same("letters", sorted(letters), sorted(self.letters))
        same("effects, each once", sorted(effects), sorted(self.effects))
        same("gap of the ledger", gap, 0)


def same(what: str, found: Any, expected: Any) -> None:
    assert found == expected, f"{what}: the tables say {found}, the model says {expected}"
