"""Faults: what is done to consumers and server, when, and which claims it met. What it did to them is asked later."""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

from tests.chaos.arena import Arena, Consumer, say
from tests.waiting import until

KILL_WORKER = "kill -9 worker process"
KILL_SCHEDULER = "kill -9 scheduler"
KILL_CONSUMER = "kill -9 consumer"
TERM = "SIGTERM consumer"
HUP = "SIGHUP consumer"
STOP = "SIGSTOP past the heartbeat"
FAST = "Postgres fast restart"
IMMEDIATE = "Postgres immediate restart"
CUT = "connection cut"
RESTARTS = (FAST, IMMEDIATE)
MEASURED = (KILL_WORKER, KILL_CONSUMER, TERM, HUP, STOP)  # how soon its jobs run again
SURVIVOR = "survivor"  # a consumer that only the server's faults reach: with it, another one lives

# How many of each in a wave of 75 seconds; a longer budget has several.
WAVE_S = 75.0
DECK = {KILL_WORKER: 72, CUT: 30}
WHOLE = {KILL_CONSUMER: 5, KILL_SCHEDULER: 3, TERM: 4, HUP: 2}  # one after the other, see CALM_S
STOPS = 4  # at the same time, at the beginning
RESTARTS_AT = ((0.32, FAST), (0.5, IMMEDIATE), (0.68, FAST), (0.86, IMMEDIATE))  # of the wave
CALM_S = 5.0  # between two faults that take somebody who rescues: another one lives meanwhile
UP_S = 2.5  # how long that one has been there: it has seen everybody's locks
_VICTIM_WITHIN_S = 1.0
PATIENT = "chaos.patient"

RUNNING = """
select j.task_id, j.claimed_at, j.consumer_id, c.pid, clock_timestamp(), j.task_name
  from huey.job j join huey.consumer c on c.id = j.consumer_id where j.state = 'running'
"""


@dataclass(frozen=True)
class Running:
    """A claimed job as the database shows it."""

    task_id: str
    claimed_at: dt.datetime
    consumer_id: UUID
    pid: int
    now: dt.datetime
    task_name: str


@dataclass
class Fault:
    """One fault that was done, with the claims of its victims at that moment, by the database's clock."""

    kind: str
    at: dt.datetime
    claims: list[tuple[str, dt.datetime]] = field(default_factory=list)
    consumers: set[UUID] = field(default_factory=set)


class Faults:
    """Does faults for `budget_s` seconds, by a plan that the seed decides."""

    def __init__(self, arena: Arena, seed: int, budget_s: float, frozen_s: float) -> None:
        self.done: list[Fault] = []
        self.skipped = 0
        self._arena = arena
        self._rng = random.Random(seed)
        self._budget_s = budget_s
        self._frozen_s = frozen_s
        self._last_calm = 0.0
        self._frozen: list[tuple[float, int]] = []
        self._actions: dict[str, Callable[[], Fault | None]] = {
            KILL_WORKER: self._kill_worker,
            KILL_SCHEDULER: self._kill_scheduler,
            KILL_CONSUMER: self._kill_consumer,
            TERM: lambda: self._end(TERM, signal.SIGTERM),
            HUP: lambda: self._end(HUP, signal.SIGHUP),
            STOP: self._stop,
            FAST: lambda: self._restart(FAST, signal.SIGINT),
            IMMEDIATE: lambda: self._restart(IMMEDIATE, signal.SIGQUIT),
            CUT: self._cut,
        }
        self._plan = self._make_plan()

    def _make_plan(self) -> list[tuple[float, str]]:
        count = waves(self._budget_s)
        length_s = self._budget_s / count
        return sorted((length_s * n + at, kind) for n in range(count) for at, kind in self._make_wave(length_s))

    def _make_wave(self, length_s: float) -> list[tuple[float, str]]:
        share, first, last = length_s / WAVE_S, 1.8, length_s * 0.97
        plan: list[tuple[float, str]] = []
        for deck in (DECK, WHOLE):
            kinds = [kind for kind, count in deck.items() for _ in range(max(1, round(count * share)))]
            self._rng.shuffle(kinds)
            plan += [(first + (last - first) * n / len(kinds), kind) for n, kind in enumerate(kinds)]
        plan += [(0.7 + 0.2 * n, STOP) for n in range(STOPS)]
        restarts = RESTARTS_AT if length_s >= 40 else RESTARTS_AT[2:]
        return plan + [(length_s * at, kind) for at, kind in restarts]

    def run(self) -> None:
        """Do the plan. A fault that finds no running job within a second is left out; late ones follow at once."""
        began = time.monotonic()
        for number, (at, kind) in enumerate(self._plan):
            if time.monotonic() - began > self._budget_s:
                self.skipped += len(self._plan) - number
                break
            self._wait(began + at)
            fault = self._actions[kind]()
            if fault is None and kind in WHOLE:
                self._wait(time.monotonic() + 1.0)
                fault = self._actions[kind]()
            if fault is None:
                self.skipped += 1
            else:
                self.done.append(fault)
            if number % 20 == 19:
                say(f"  {time.monotonic() - began:5.1f} s: {len(self.done)} faults, {self.skipped} without a victim")
        self._wait(began + self._budget_s)
        self.thaw(everything=True)

    def _wait(self, moment: float) -> None:
        def come() -> bool:
            self.thaw()
            return time.monotonic() >= moment

        until(come, moment - time.monotonic() + 5)

    def thaw(self, everything: bool = False) -> None:
        """Wake what has been frozen long enough."""
        for when, pid in list(self._frozen):
            if everything or time.monotonic() >= when:
                self._frozen.remove((when, pid))
                _send(pid, signal.SIGCONT)

    # -- victims ------------------------------------------------------------------------------------------------------

    def _running(self) -> list[Running]:
        frozen = {pid for _, pid in self._frozen}
        return [row for row in (Running(*row) for row in self._arena.query(RUNNING)) if row.pid not in frozen]

    def _find(self, wanted: Callable[[Running], bool]) -> tuple[Running, list[Running]] | None:
        """Return a running job whose consumer is a fit victim, and all that run now; None after a second."""
        end = time.monotonic() + _VICTIM_WITHIN_S
        while time.monotonic() < end:
            running = self._running()
            fit = [row for row in running if wanted(row)]
            if fit:
                return self._rng.choice(fit), running
            self._wait(time.monotonic() + 0.02)
        return None

    def _met(self, kind: str, running: list[Running], pids: set[int]) -> Fault:
        """Return the fault with what ran in these processes."""
        mine = [row for row in running if row.pid in pids]
        ids = self._arena.query("select id from huey.consumer where pid = any(%s)", (list(pids),))
        return Fault(kind, running[0].now, [(row.task_id, row.claimed_at) for row in mine], {one for (one,) in ids})

    def _may_go(self, consumer: Consumer) -> bool:
        """Say whether a consumer or its scheduler may go: another one lives, and will for a while."""
        frozen = {pid for _, pid in self._frozen}
        others = [one for one in self._arena.consumers if one is not consumer and one.process.pid not in frozen]
        calm = time.monotonic() - self._last_calm > CALM_S
        return calm and any(one.up_s() > UP_S for one in others)

    def _of(self, is_process: bool) -> list[Consumer]:
        return [one for one in self._victims() if one.is_process == is_process and one.is_up]

    def _victims(self) -> list[Consumer]:
        return [one for one in self._arena.consumers if one.name != SURVIVOR]

    # -- faults -------------------------------------------------------------------------------------------------------

    def _kill_worker(self) -> Fault | None:
        pids = {pid for one in self._of(is_process=True) for pid in one.pids()[1:]}
        found = self._find(lambda row: row.pid in pids)
        if found is None:
            return None
        victim, running = found
        _send(victim.pid, signal.SIGKILL)
        return self._met(KILL_WORKER, running, {victim.pid})

    def _kill_scheduler(self) -> Fault | None:
        workers = {pid for (pid,) in self._arena.query("select pid from huey.consumer")}
        for consumer in filter(self._may_go, self._of(is_process=True)):
            for pid in set(consumer.pids()[1:]) - workers:
                self._last_calm = time.monotonic()
                _send(pid, signal.SIGKILL)
                ((now,),) = self._arena.query("select clock_timestamp()")
                return Fault(KILL_SCHEDULER, now)
        return None

    def _whole(self, kind: str, consumers: Callable[[], list[Consumer]]) -> tuple[Fault, Consumer] | None:
        # The kernel wakes the frozen children of a parent that dies, which would spoil their case.
        frozen = {pid for _, pid in self._frozen}
        fit = [one for one in consumers() if one.is_up and self._may_go(one) and not frozen & set(one.pids())]
        owner = {pid: one for one in fit for pid in one.pids()}
        if not owner:
            return None
        found = self._find(lambda row: row.pid in owner)
        if found is None:
            return None
        victim, running = found
        consumer = owner[victim.pid]
        self._last_calm = time.monotonic()
        return self._met(kind, running, set(consumer.pids())), consumer

    def _kill_consumer(self) -> Fault | None:
        found = self._whole(KILL_CONSUMER, self._victims)
        if found is None:
            return None
        _send(found[1].process.pid, signal.SIGKILL)  # its children notice by themselves
        return found[0]

    def _end(self, kind: str, how: signal.Signals) -> Fault | None:
        found = self._whole(kind, lambda: [one for one in self._victims() if "-t" in one.options])
        if found is None:
            return None
        if how == signal.SIGHUP:
            found[1].restarting()
        _send(found[1].process.pid, how)
        return found[0]

    def _stop(self) -> Fault | None:
        """Freeze a worker process, or for the first time a whole consumer, before a patient job's transaction."""
        whole = not self._frozen
        for _ in range(3):
            pids = {pid for one in self._of(is_process=not whole) for pid in one.pids()}
            found = self._find(lambda row, pids=pids: row.pid in pids and row.task_name == PATIENT)  # type: ignore[misc]
            if found is None:
                continue
            victim, running = found
            _send(victim.pid, signal.SIGSTOP)
            if any(row.task_id == victim.task_id and row.claimed_at == victim.claimed_at for row in self._running()):
                self._frozen.append((time.monotonic() + self._frozen_s, victim.pid))
                return self._met(STOP, running, {victim.pid})
            _send(victim.pid, signal.SIGCONT)  # the job ended just before
        return None

    def _restart(self, kind: str, how: signal.Signals) -> Fault | None:
        found = self._find(lambda row: True)
        if found is None:
            return None
        running = self._running() or found[1]
        self._arena.cluster.stop(how)
        self._arena.cluster.start()
        return self._met(kind, running, {row.pid for row in running})

    def _cut(self) -> Fault | None:
        """Arm the proxy; it notes by itself whom it cut."""
        place = self._rng.choice(("commit", "commit", "claim", "batch", "enqueue"))
        self._arena.proxy.cut_next(place, answered=self._rng.random() < 0.6)
        ((now,),) = self._arena.query("select clock_timestamp()")
        return Fault(CUT, now)


def waves(budget_s: float) -> int:
    """Return how many waves of faults a budget has."""
    return max(1, round(budget_s / WAVE_S))


def _send(pid: int, what: signal.Signals) -> None:
    try:
        os.kill(pid, what)
    except ProcessLookupError:
        pass
