"""Locks that die with their owner, and rate limits counted in one statement."""

from __future__ import annotations

from typing import Any

from huey.api import RateLimit, TaskLock
from huey.exceptions import RateLimitExceeded, TaskLockedException

from skeldir_huey.queue.jobs import current_job
from skeldir_huey.queue.storage import statement


class OwnedLock(TaskLock):
    """A named lock. Taken inside a job, it is held while that job's claim lives: a crash leaves nothing to flush.

    Only its owner lets go of it. Taken outside a job it has no owner to die, so give it a `ttl`.

    Args:
        ttl: seconds after which it no longer counts, default None: never.
    """

    def _owner(self) -> dict[str, Any]:
        job = current_job.get()
        claim = job.claim if job is not None else None
        return {
            "key": self._key,
            "job_id": claim.id if claim else None,
            "claim_token": claim.token if claim else None,
        }

    def acquire(self) -> bool:
        """Take the lock.

        Raises:
            TaskLockedException: a living owner has it.
        """
        wanted = self._owner() | {"ttl_s": self._ttl}
        # A statement looks at claims as of its beginning: who waited for its turn within it would not see the newest.
        if not self._huey.storage.run(statement("take_lock"), wanted, first=statement("lock_turn")):
            raise TaskLockedException(f"unable to acquire lock {self._name}")
        return True

    def release(self) -> bool:
        """Let go of the lock if this job (or, outside a job, nobody else) has it; says whether it was let go."""
        return bool(self._huey.storage.run(statement("drop_lock"), self._owner()))

    def clear(self) -> bool:
        """Take the lock away from whoever has it."""
        return bool(self._huey.storage.run(statement("clear_lock"), {"key": self._key}))

    def is_locked(self) -> bool:
        """Say whether a living owner has it."""
        return bool(self._huey.storage.run(statement("lock_is_held"), {"key": self._key}))

    locked = is_locked

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> None:
        self.release()


class WindowLimit(RateLimit):
    """A rate limit over fixed windows of the database's clock; the count and its window are one row."""

    def _count(self, amount: int) -> dict[str, Any]:
        return self._huey.storage.run(
            statement("count_in_window"),
            {"key": self._counter_key, "amount": amount, "per_s": self._per, "now": None},
        )[0]

    def acquire(self) -> None:
        """Count one use.

        Raises:
            RateLimitExceeded: the window is full; the exception says when the next one begins.
        """
        counted = self._count(1)
        if counted["value"] > self._limit:
            raise RateLimitExceeded(self._name, counted["left_s"], retry=self._retry)

    def current_usage(self) -> int:
        """Return the count of the present window."""
        return int(self._count(0)["value"])

    def reset(self) -> None:
        """Forget the count."""
        self._huey.storage.delete_counter(self._counter_key)
