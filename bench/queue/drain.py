"""Enqueue one by one and in bulk, then drain: with one worker, with four, with two processes."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

from bench.queue import machine
from bench.queue.server import Server
from bench.queue.systems import System
from bench.queue.trial import Note, Trial, TrialFailed

WAYS = {"w1": (1, 1), "w4": (4, 1), "p2": (1, 2)}  # workers of a process, processes
ONE_BY_ONE = 500
START_S = 60.0
SETTLE_S = 10.0
CAP_S = 20.0  # a drain that takes longer is measured by what it did until then


def drain(server: Server, system: System, way: str, jobs: int, patience_s: float) -> dict[str, Any]:
    """Fill a fresh database and empty it; returns rates per second, CPU per job in ms, and the machine's state."""
    workers, processes = WAYS[way]
    with Trial(server, system) as trial:
        line: dict[str, Any] = {"system": system.key, "way": way, "jobs": jobs}
        probe = machine.calm(server.folder, patience_s)
        line |= vars(probe) | _fill(trial, jobs)
        for _ in range(processes):
            trial.consume(workers)
        trial.until_noted(1, START_S, 0.005)
        line |= _watch(trial, jobs)
        notes = trial.notes()
        line["drain_per_s"] = rate(notes, processes)
        line["done"] = len({note.number for note in notes})
        line["twice"] = len(notes) - line["done"]
        line["capped"] = len(notes) < jobs
        if system.ours and not line["capped"]:
            line["settled_after_ms"] = _settled_after_ms(trial, notes[-1].at)
        line["processes_seen"] = len({note.pid for note in notes})
        return line


def _fill(trial: Trial, jobs: int) -> dict[str, float]:
    bulk = trial.system.has_bulk
    single = min(jobs, ONE_BY_ONE) // (2 if jobs < 2 * ONE_BY_ONE and bulk else 1) or 1
    if not bulk:
        single = jobs
    found = trial.produce("one", 0, single)
    line = {"enqueue_per_s": found["count"] / found["seconds"]}
    if single < jobs:
        found = trial.produce("bulk", single, jobs - single)
        line["bulk_per_s"] = found["count"] / found["seconds"]
    return line


def _watch(trial: Trial, jobs: int) -> dict[str, Any]:
    """Follow a drain to its end, or to its cap: CPU of both sides, what others used meanwhile, sessions at the peak."""
    server = trial.server
    roots = [server.pid, os.getpid()]  # our children are the consumers
    began, busy = time.monotonic(), machine.machine_busy_s()
    mine, own, done = machine.cpu_s(roots), trial.cpu_s(), trial.count()
    peak, looked = 0, 0.0
    while (count := trial.count()) < jobs and time.monotonic() - began < CAP_S:
        if any(process.poll() is not None for process in trial.processes):
            raise TrialFailed(f"{trial.system.key}: a consumer ended\n{_end_of(trial.output)}")
        if time.monotonic() - looked > 0.3:
            looked = time.monotonic()
            peak = max(peak, server.clients(trial.database))
        time.sleep(0.02)
    seconds, ran = time.monotonic() - began, max(1, count - done)
    used, all_mine = trial.cpu_s() - own, machine.cpu_s(roots) - mine
    others = machine.machine_busy_s() - busy - all_mine
    return {
        "consumer_cpu_ms": used * 1000 / ran,
        "server_cpu_ms": max(0.0, all_mine - used) * 1000 / ran,
        "others_cores": max(0.0, others / max(seconds, 0.01)),
        "sessions_peak": peak,
    }


def rate(notes: list[Note], processes: int) -> float | None:
    """Return jobs per second from the moment when every process had begun, so that slow starts do not count.

    When the last process came too late to do more than one job, from the first job on.
    """
    firsts: dict[int, float] = {}
    for note in notes:
        firsts.setdefault(note.pid, note.at)
    all_there = [max(firsts.values())] if len(firsts) >= processes > 1 else []
    for began in (*all_there, notes[0].at):
        after = [note.at for note in notes if note.at > began]
        if after:
            return len(after) / (after[-1] - began)
    return None


def _settled_after_ms(trial: Trial, last: float) -> float:
    """Wait until no job of ours is left; returns how long after the last one began the last one was settled.

    Raises:
        TrialFailed: jobs are left, or their history is not complete.
    """
    deadline, connection = time.monotonic() + SETTLE_S, trial.server.connect(trial.database)
    try:
        with connection.cursor() as cursor:
            while True:
                cursor.execute("select count(*) from huey.job")
                left = cursor.fetchone()[0]
                if not left or time.monotonic() > deadline:
                    break
                time.sleep(0.05)
            cursor.execute(
                "select count(*), extract(epoch from max(ended_at))::float8 from huey.job_attempt"
                " where outcome = 'done'"
            )
            done, ended = cursor.fetchone()
    finally:
        connection.close()
    if left or done < trial.count():
        raise TrialFailed(f"{trial.system.key}: {left} jobs left, {done} of {trial.count()} in the history")
    return float((ended - last) * 1000)


def _end_of(path: Path) -> str:
    return path.read_text(errors="replace")[-1500:] if path.exists() else ""
