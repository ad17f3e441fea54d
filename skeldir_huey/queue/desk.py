"""The desk of a consumer process: claims waiting for a worker, and what the process holds.

Short jobs share statements and commits: a process claims a small batch, and its settler settles plain successes
together. The batch grows only while jobs are short, so a slow job holds nobody back.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections import deque
from collections.abc import Callable, Sequence
from uuid import UUID

from skeldir_huey.log import get_log
from skeldir_huey.queue.claims import Claim, Place
from skeldir_huey.queue.settler import MAX_BATCH, SHORT_S, Settler, Success
from skeldir_huey.queue.storage import PostgresStorage, statement
from skeldir_huey.queue.suspicion import WAIT, suspects_now

log = get_log("queue.desk")

HOLD_S = 0.7  # claims not begun within this time go back: with LOOK_S, nobody waits for them longer than a second
LOOK_S = 0.25
SOON_S = 0.2  # between two looks while a suspect may wait for this process to become empty
STOP_WAIT_S = 2.0
AHEAD = 4.0  # the next batch is claimed while what is left lasts as long as so many claims took
FROM_START_S = 0.05  # so often short jobs are looked for from their lanes' beginning; else where the last ones were
# Jobs shorter than TINY_S are done as fast by one thread as by four, which take turns at the interpreter. The others
# look again after HELP_S, and help when nobody took a job for so long.
TINY_S = 0.0002
HELP_S = 0.01


class Desk:
    """Claims and settlements of one process. Safe for its threads.

    Args:
        storage: where the jobs are.
        announce: called with successes after they were committed.
    """

    def __init__(self, storage: PostgresStorage, announce: Callable[[Sequence[Success]], None]) -> None:
        self.storage = storage
        self.may_claim = True  # cleared while the process does not hold its lock
        self.stopping = False
        self._lock = threading.RLock()  # of what is in memory; never held while a statement runs
        self.settler = Settler(storage, self._let_go, announce)
        self._came = threading.Condition(self._lock)  # a batch has come, or will not
        self._claiming = False  # a claim is under way
        self._news = threading.Condition()
        self._generation = 0
        self._ready: deque[Claim] = deque()
        self._held: dict[int, Claim] = {}
        self._pending_tokens: set[UUID] = set()
        self._running: dict[int, float] = {}
        self._run_s = SHORT_S  # how long jobs ran lately, on average
        self._taken_at = 0.0
        self._batch = 1
        self._batch_began = 0.0
        self._batch_size = 0
        self._batch_came = 0.0
        self._low_at = 0  # with so few claims left, the next batch is claimed; 0 while jobs are not many and short
        self._place: Place | None = None  # where full batches of short jobs come from
        self._from_start = 0.0
        self._turn = list(storage.lanes)
        self._soon = False  # what runs here may keep a suspect waiting, for a moment
        self._low = threading.Event()  # short jobs run out, and there are more of them

    # -- taking -------------------------------------------------------------------------------------------------------

    def take(self, wait_s: float) -> Claim | None:
        """Return a claim to work on; wait at most `wait_s` seconds for one."""
        claim = self._next()
        if claim is not None:
            return self._begun(claim)
        with self._news:
            seen = self._generation
        crowded = self._is_crowded()
        if not crowded:
            self.settler.hurry()  # nothing left to do here: no reason to wait for more successes
            claim = self._next_batch()
        if claim is None:
            with self._news:
                if crowded or self._ready or self._is_crowded():  # others do what is there, and may need help soon
                    self._news.wait(min(wait_s, HELP_S))
                elif self._generation == seen:
                    self._news.wait(min(wait_s, SOON_S) if self._soon else wait_s)
            return None
        return self._begun(claim)

    def _next_batch(self) -> Claim | None:
        """Return a claim of the batch that is on its way, or of one made here; None when there is nothing to do."""
        while True:
            with self._came:
                claim = self._next()
                if claim is not None or self.stopping or not self.may_claim or self._is_crowded():
                    return claim
                if self._claiming:
                    self._came.wait()
                    claim = self._next()
                    if claim is not None or not self._batch_size:
                        return claim
                    continue  # others took all of it: there may be more
                self._claiming = True
            if not self._make_batch():
                return None

    def _make_batch(self) -> int:
        """Claim, after `_claiming` was set; returns how many came."""
        try:
            return self._claim()
        finally:
            with self._came:
                self._claiming = False
                self._came.notify_all()

    def _begun(self, claim: Claim) -> Claim:
        """Settle what is finished before a job that was claimed by itself begins: its death is not to be theirs."""
        if self._batch_size == 1:
            self.flush()
        return claim

    def _next(self) -> Claim | None:
        with self._lock:
            if not self._ready or self.stopping or self._is_crowded():
                return None
            claim = self._ready.popleft()
            self._taken_at = self._running[claim.id] = time.monotonic()
            if len(self._ready) < self._low_at and not self._low.is_set():
                self._low.set()
            return claim

    def _is_crowded(self) -> bool:
        """Say whether one more worker would only be in the way: jobs are tiny, and somebody is just doing them."""
        return self._run_s < TINY_S and bool(self._running) and time.monotonic() - self._taken_at < HELP_S

    def claim_loop(self) -> None:
        """Claim the next batch of short jobs before the last one ends, and give back what nobody began in time.

        The body of a thread, until stopped.
        """
        while not self.stopping:
            try:
                if self._low.wait(LOOK_S):
                    self._low.clear()
                    while self._may_claim_ahead():
                        self._make_batch()
                else:
                    self.release_waiting()
            except Exception as error:  # a worker that finds nothing claims by itself, and says what is wrong
                log.warning("claim_ahead_failed", error=str(error).strip())

    def _may_claim_ahead(self) -> bool:
        with self._came:
            if self._claiming or self.stopping or not self.may_claim or len(self._ready) >= self._low_at:
                return False
            self._claiming = True
            return True

    def wake(self) -> None:
        """Let waiting workers look again."""
        with self._news:
            self._generation += 1
            self._news.notify_all()

    def _claim(self) -> int:
        now = time.monotonic()
        with self._lock:
            running = [(self._held[key], now - began) for key, began in self._running.items() if key in self._held]
            suspects = suspects_now(self._ready, running)
        self._soon = suspects is None or suspects.rule == WAIT
        if suspects is None:
            return 0
        job_s = (now - self._batch_began) / self._batch_size if self._batch_size else SHORT_S
        if self._batch_size:
            self._batch = min(MAX_BATCH, self._batch * 2) if job_s < SHORT_S else max(1, self._batch // 4)
        token = uuid.uuid4()
        with self._lock:
            self._pending_tokens.add(token)
        claims: list[Claim] = []
        try:
            if self._place is not None and now - self._from_start < FROM_START_S:
                claims = self.storage.claim(token, self._batch, self._turn, suspects=suspects, place=self._place)
            if not claims:
                self._from_start = now
                claims = self.storage.claim(token, self._batch, self._turn, suspects=suspects)
        finally:
            # When the answer was lost, the rows carry our id and an unknown token: the sweep gives them back.
            with self._lock:
                self._held.update((claim.id, claim) for claim in claims)
                self._ready.extend(claims)
                self._pending_tokens.discard(token)
                self._came.notify_all()
        if claims:  # else a suspect may be what its lane begins with: the process is to become empty for it
            self._turn.append(self._turn.pop(0))
        self._place = Place.of(claims) if len(claims) == MAX_BATCH else None
        self._batch_began, self._batch_size, self._batch_came = now, len(claims), time.monotonic()
        lasts = AHEAD * (self._batch_came - now) / max(job_s, 1e-6)
        self._low_at = min(2 * MAX_BATCH, 1 + int(lasts)) if len(claims) == MAX_BATCH else 0
        return len(claims)

    # -- settling -----------------------------------------------------------------------------------------------------

    def success(self, success: Success) -> None:
        """Settle a plain success soon, together with others."""
        self.settler.add(success)  # first: in between, a stop would take the job for unfinished, and give it back
        with self._lock:
            self._running.pop(success.claim.id, None)
            self._run_s += (success.run_ms / 1000 - self._run_s) / 16

    def flush(self) -> None:
        """Settle what is waiting now."""
        self.settler.flush()

    # -- keeping order ------------------------------------------------------------------------------------------------

    def forget(self, claim: Claim) -> None:
        """Note that a claim is no longer worked on, however it ended."""
        with self._lock:
            self._run_s = SHORT_S  # it had a settlement of its own
            self._drop(claim)

    def _let_go(self, claims: Sequence[Claim]) -> None:
        with self._lock:
            for claim in claims:
                self._drop(claim)

    def _drop(self, claim: Claim) -> None:
        # Whoever finishes late must not make us forget the claim that we have on the same job by now.
        held = self._held.get(claim.id)
        if held is not None and held.token == claim.token:
            self._held.pop(claim.id)
            self._running.pop(claim.id, None)
            if claim.suspect:
                self.wake()  # nobody else could claim beside it

    def is_mine(self, job_id: int, token: UUID) -> bool:
        """Say whether this process works on a claim, or is just making it."""
        with self._lock:
            held = self._held.get(job_id)
            return token in self._pending_tokens or (held is not None and held.token == token)

    def running_longer_than(self, seconds: float) -> list[Claim]:
        """Return the claims whose task has run longer than `seconds`."""
        limit = time.monotonic() - seconds
        with self._lock:
            return [self._held[key] for key, began in self._running.items() if began < limit and key in self._held]

    def release_waiting(self, older_than_s: float = HOLD_S) -> None:
        """Give back claims that no worker began in time."""
        with self._lock:
            if not self._ready or time.monotonic() - self._batch_came < older_than_s:
                return
            claims = list(self._ready)
            self._ready.clear()
            self._batch = 1
        self._release(claims)

    def release_all(self) -> list[Claim]:
        """Give back every claim, begun or not: the process is about to stop. Returns those that were running."""
        self.stopping = True
        self.wake()
        with self._came:  # a claim under way would come after we have given back all
            self._came.wait_for(lambda: not self._claiming, STOP_WAIT_S)
        self.flush()
        with self._lock:
            running = [claim for key, claim in self._held.items() if key in self._running]
            finished = self.settler.waiting()
            claims = [claim for key, claim in self._held.items() if key not in finished]
            self._ready.clear()
        self._release(claims)
        self.flush()  # what came to its end meanwhile is settled, not given back
        self.settler.stopping = True
        return running

    def _release(self, claims: list[Claim]) -> None:
        if not claims:
            return
        try:
            self.storage.run(
                statement("release"),
                {"ids": [claim.id for claim in claims], "tokens": [claim.token for claim in claims]},
            )
        finally:  # what could not be given back now is nobody's, and the sweep finds it
            self._let_go(claims)
