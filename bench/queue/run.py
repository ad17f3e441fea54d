"""One run from beginning to end: interleaved measurements, tables, bench/out/queue.json."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench.queue import machine, options, table
from bench.queue.claims import ROUNDS, claims
from bench.queue.drain import WAYS, drain
from bench.queue.latency import latency
from bench.queue.reach import OURS, reach
from bench.queue.results import rows
from bench.queue.server import Server
from bench.queue.statements import statements
from bench.queue.systems import BASE, SYSTEMS, System
from bench.queue.trial import TrialFailed
from bench.queue.versions import versions
from bench.session import on_a_server, say

Line = dict[str, Any]
Step = tuple[str, str, Callable[[], Line]]  # part, what is said while it runs, the measurement
_SAID = ("drain_per_s", "enqueue_per_s", "bulk_per_s", "p50_ms", "p99_ms", "count", "rss_mb", "statements", "commits")
_SAID_TOO = ("alone_statements", "empty_ms", "finished_ms", "scheduled_ms", "consumer_cpu_ms", "others_cores")


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns 0, 1 if a measurement failed, 130 after Ctrl-C."""
    chosen = options.read(arguments)
    systems = [SYSTEMS[key] for key in chosen.systems]
    missing = [system.key for system in systems if not (system.bin / "python").exists()]
    if missing:
        say(f"bench: no virtualenv for {', '.join(missing)}: run `make bench-queue`, or choose with --only skeldir")
        return 2

    def measure_there(server: Server) -> int:
        if any(system.ours for system in systems):
            server.make_template()
        return _measure(server, systems, chosen)

    return on_a_server(measure_there)


def _measure(server: Server, systems: list[System], chosen: argparse.Namespace) -> int:
    began = dt.datetime.now(dt.UTC)
    about, found = machine.describe(), versions(systems) | {"postgresql": server.version}
    print(table.facts(about, found), flush=True)
    lines: list[Line] = []
    failures: list[str] = []
    steps = _steps(server, systems, chosen)
    for number, (part, title, measure) in enumerate(steps, 1):
        try:
            line = {"part": part, "took_s": 0.0} | _timed(measure)
        except TrialFailed as failure:
            failures.append(f"{title}: {failure}")
            say(f"[{number}/{len(steps)}] {title} FAILED: {failure}")
            continue
        lines.append(line)
        say(f"[{number}/{len(steps)}] {title}: {_short(line)}")
        if line.get("twice"):
            say(f"    {line['twice']} of {line['jobs']} jobs ran twice")
    made = rows(lines, BASE)
    aims = reach(made)
    print(f"\n{table.tables(made)}\n\n{table.ours(made.get(OURS, {}))}\n\n{table.aims(aims)}", flush=True)
    out = Path(chosen.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        "began": began.isoformat(timespec="seconds"),
        "took_s": round((dt.datetime.now(dt.UTC) - began).total_seconds(), 1),
        "options": {name: value for name, value in vars(chosen).items() if name != "out"},
        "machine": about,
        "versions": found,
        "systems": made,
        "reach": aims,
        "lines": lines,
        "failures": failures,
    }
    out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten to {out}" + (f"; {len(failures)} measurements FAILED" if failures else ""))
    return 1 if failures else 0


def _steps(server: Server, systems: list[System], chosen: argparse.Namespace) -> list[Step]:
    """Return the measurements in their order: within a repetition each way of draining visits every system."""
    steps: list[Step] = []
    patience = chosen.patience_s
    if "drain" in chosen.parts:
        for repetition in range(chosen.reps):
            for way in WAYS:
                for system in systems:
                    if way in system.jobs and (way == "w1" or system.ours or not chosen.quick):
                        jobs = _jobs(system.jobs[way], chosen)
                        title = f"drain {way} {system.key} ({repetition + 1} of {chosen.reps})"
                        steps.append(("drain", title, _later(drain, server, system, way, jobs, patience)))
    for system in systems:
        if "latency" in chosen.parts:
            measure = _later(latency, server, system, chosen.latency, chosen.latency_s, patience)
            steps.append(("latency", f"latency {system.key}", measure))
        if "statements" in chosen.parts:
            count = min(chosen.counted, _jobs(system.jobs["w1"], chosen))
            measure = _later(statements, server, system, count, patience)
            steps.append(("statements", f"statements {system.key}", measure))
        if "claims" in chosen.parts and system.ours:
            rounds = 20 if chosen.quick else ROUNDS
            measure = _later(claims, server, system, chosen.scale, patience, rounds, say)
            steps.append(("claims", f"claim cost {system.key}", measure))
    return steps


def _jobs(usual: int, chosen: argparse.Namespace) -> int:
    jobs = max(40, usual // 8) if chosen.quick else usual
    return min(jobs, chosen.n) if chosen.n else jobs


def _later(measure: Callable[..., Line], *arguments: Any) -> Callable[[], Line]:
    return lambda: measure(*arguments)


def _timed(measure: Callable[[], Line]) -> Line:
    began = time.monotonic()
    line = measure()
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in line.items()} | {
        "took_s": round(time.monotonic() - began, 1)
    }


def _short(line: Line) -> str:
    said = [f"{name} {line[name]:,.2f}" for name in (*_SAID, *_SAID_TOO) if line.get(name) is not None]
    probe = machine.Probe(line["fsync_ms"], line["spin_ms"], line["load_percent"], line["waited_s"])
    return f"{', '.join(said)} | {probe}"
