"""`python -m bench.queue.producer MODULE WHAT FIRST COUNT [SECONDS]`: enqueues in a fresh process, prints JSON."""

from __future__ import annotations

import importlib
import json
import os
import random
import sys
import time
from typing import Any

from bench.queue.noop import NOTES
from bench.queue.notes import Tail

PAUSES_S = (0.005, 0.055)
LOOK_S = 0.002
LOST_S = 30.0


class Notes:
    """Finds a job's note as soon as it is written."""

    def __init__(self) -> None:
        self._tail = Tail(os.environ[NOTES], skip=True)

    def wait_for(self, number: int) -> float | None:
        """Return when the job with this number began, or None if it does not for half a minute."""
        deadline = time.monotonic() + LOST_S
        while time.monotonic() < deadline:
            for line in self._tail.new_lines():
                began, noted, _ = line.split()
                if int(noted) == number:
                    return float(began)
            time.sleep(LOOK_S)
        return None


def one_by_one(face: Any, numbers: range) -> dict[str, Any]:
    """Enqueue each with a call of its own."""
    began = time.perf_counter()
    for number in numbers:
        face.enqueue(number)
    return {"seconds": time.perf_counter() - began, "count": len(numbers)}


def bulk(face: Any, numbers: range) -> dict[str, Any]:
    """Enqueue all with the system's call for many."""
    began = time.perf_counter()
    face.enqueue_bulk(numbers)
    return {"seconds": time.perf_counter() - began, "count": len(numbers)}


def paced(face: Any, numbers: range, seconds: float) -> dict[str, Any]:
    """Enqueue one, wait until it began, pause a little at random, and so on: the consumer is idle each time.

    Ends after `seconds` however many are left. The clock runs from before the call until the task's first line.
    """
    notes, pauses = Notes(), random.Random(len(numbers))
    ended, latencies = time.monotonic() + seconds, []
    for number in numbers:
        if time.monotonic() > ended:
            break
        sent = time.time()
        face.enqueue(number)
        began = notes.wait_for(number)
        if began is None:
            raise SystemExit(f"job {number} did not begin for {LOST_S:.0f} s")
        latencies.append((began - sent) * 1000)
        time.sleep(pauses.uniform(*PAUSES_S))
    return {"latencies_ms": latencies}


def main() -> None:
    module, what, first, count, *rest = sys.argv[1:]
    os.environ["BENCH_ROLE"] = "producer"
    face = importlib.import_module(module)
    numbers = range(int(first), int(first) + int(count))
    found: dict[str, Any] = {}
    if what == "install":
        face.install()
    elif what == "one":
        found = one_by_one(face, numbers)
    elif what == "bulk":
        found = bulk(face, numbers)
    else:
        found = paced(face, numbers, float(rest[0]))
    print(json.dumps(found))


if __name__ == "__main__":
    main()
