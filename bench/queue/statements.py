"""Statements and commits per job, and those of one job alone, counted in the server's log."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from bench.queue import machine, serverlog
from bench.queue.server import Server
from bench.queue.serverlog import Entry
from bench.queue.systems import System
from bench.queue.trial import Trial

SINGLES = 15
SETTLES = "delete from huey.job"  # what only the end of a job does
ADDS = "insert into huey.job "
_COUNTERS = (
    "select (select xact_commit from pg_stat_database where datname = %s),"
    " (select sum(fsyncs)::bigint from pg_stat_io where object = 'wal')"
)


@contextmanager
def logged(server: Server, database: str) -> Iterator[None]:
    """Let the server log every statement of the sessions of a database that begin in this block."""
    server.run(f"alter database {database} set log_statement = 'all'")
    try:
        yield
    finally:
        server.run(f"alter database {database} reset log_statement")


def statements(server: Server, system: System, jobs: int, patience_s: float) -> dict[str, Any]:
    """Drain a few jobs and count; for ours, then single jobs on the idle consumer, too."""
    with Trial(server, system) as trial:
        probe = machine.calm(server.folder, patience_s)
        trial.produce("one", 0, jobs)
        trial.until_alone()
        commits, fsyncs = server.run(_COUNTERS, (trial.database,))[0]
        offset = server.log.stat().st_size
        with logged(server, trial.database):
            process = trial.consume(1)
            trial.until_noted(jobs, 120)
            time.sleep(0.3)
            found = _per_job(trial, serverlog.read(server.log, offset, trial.database))
            trial.end(process)
            trial.until_alone()
            now = server.run(_COUNTERS, (trial.database,))[0]
            # The counters know every commit, those of start and idling included; the log is asked for the drain only.
            found |= {"commits_whole_life": (now[0] - commits) / jobs, "wal_fsyncs": (now[1] - fsyncs) / jobs}
            if system.ours:
                found |= _alone(trial, jobs)
        return {"system": system.key, **vars(probe), "count": jobs, **found}


def _per_job(trial: Trial, entries: list[Entry]) -> dict[str, float]:
    notes = trial.notes()
    first, last, jobs = notes[0].at, notes[-1].at, max(1, len(notes) - 1)
    drained = [entry for entry in entries if first - 0.001 <= entry.at <= last]
    work = sum(len(entry.work) for entry in drained)
    every = sum(len(entry.statements) for entry in drained)
    commits = len(serverlog.committed(drained))
    return {"statements": work / jobs, "statements_all": every / jobs, "commits": commits / jobs}


def _alone(trial: Trial, first: int) -> dict[str, Any]:
    """Enqueue jobs one at a time on an idle consumer; count from each one's claim to its settlement."""
    offset = trial.server.log.stat().st_size
    trial.consume(1)
    trial.produce("latency", first, SINGLES + 2, 30)
    time.sleep(0.3)
    entries = serverlog.read(trial.server.log, offset, trial.database)
    # The first two find a consumer that is still starting or preparing its statements.
    windows = list(_windows(entries))[2:]
    counts = [sum(len(entry.work) for entry in window) for window in windows]
    durable = [sum(one.writes and not one.lazy for one in serverlog.committed(window)) for window in windows]
    if not counts:
        return {}
    return {
        "alone_count": len(counts),
        "alone_statements": statistics.median(counts),
        "alone_statements_max": max(counts),
        "alone_durable_commits": statistics.median(durable),
        "alone_durable_commits_max": max(durable),
    }


def _windows(entries: list[Entry]) -> Iterator[list[Entry]]:
    """Yield for each added job what the consumer sent from then until the statement that settled it, that included."""
    producers = {entry.pid for entry in entries if entry.says(ADDS)}
    window: list[Entry] | None = None
    ends: int | None = None  # the settlement was an explicit transaction of this session: its COMMIT belongs to it
    for entry in entries:
        if entry.pid in producers:
            if entry.says(ADDS) and not entry.text.lstrip().lower().startswith("prepare"):
                window, ends = [], None
        elif window is not None:
            window.append(entry)
            open_here = [one for one in window if one.pid == entry.pid]
            if entry.says(SETTLES) and not entry.text.lstrip().lower().startswith("prepare"):
                if not _in_transaction(open_here):
                    yield window
                    window = None
                else:
                    ends = entry.pid
            elif ends == entry.pid and not _in_transaction(open_here):
                yield window
                window, ends = None, None


def _in_transaction(entries: list[Entry]) -> bool:
    open_now = False
    for statement in (one for entry in entries for one in entry.statements):
        if statement[:5].lower() in ("begin", "start"):
            open_now = True
        elif statement[:6].lower() in ("commit", "rollba") or statement[:3].lower() == "end":
            open_now = False
    return open_now
