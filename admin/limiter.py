"""Slows down guessing of passwords: a few attempts per account and address, then a pause."""

from __future__ import annotations

import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable

WINDOW_S = 300.0
PER_ACCOUNT_AND_ADDRESS = 5
PER_ADDRESS = 20
PER_ACCOUNT = 50
MAX_KEYS = 10_000


class Limiter:
    """Counts attempts in this process over the last 5 minutes.

    An account is not locked by failures from one address, so that nobody can lock an operator out from afar until 50
    attempts came in.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._times: OrderedDict[tuple[str, str], deque[float]] = OrderedDict()
        self._lock = threading.Lock()

    def attempt(self, address: str, account: str) -> float:
        """Count an attempt, before the password is looked at.

        Returns:
            0 when it may go on, else the seconds to wait; then it was not counted.
        """
        now = self._clock()
        limits = {
            (address, account): PER_ACCOUNT_AND_ADDRESS,
            (address, ""): PER_ADDRESS,
            ("", account): PER_ACCOUNT,
        }
        with self._lock:
            waits = [self._wait(key, limit, now) for key, limit in limits.items()]
            if any(waits):
                return max(waits)
            for key in limits:
                self._times.setdefault(key, deque()).append(now)
                self._times.move_to_end(key)
            while len(self._times) > MAX_KEYS:
                self._times.popitem(last=False)
            return 0

    def forget(self, address: str, account: str) -> None:
        """Forget the failures of an account from an address, after a sign-in."""
        with self._lock:
            self._times.pop((address, account), None)
            self._times.pop(("", account), None)

    def _wait(self, key: tuple[str, str], limit: int, now: float) -> float:
        times = self._times.get(key)
        while times and times[0] <= now - WINDOW_S:
            times.popleft()
        return times[0] + WINDOW_S - now if times and len(times) >= limit else 0
