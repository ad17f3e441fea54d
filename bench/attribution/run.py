"""One run from beginning to end: seed, measure, tables, bench/out/attribution.json."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from bench.attribution import data, options, place
from bench.attribution.day import day
from bench.attribution.growth import through_worker
from bench.attribution.markov import markov
from bench.attribution.peers.all import peers
from bench.attribution.place import RULES, Place
from bench.attribution.reach import reach
from bench.attribution.rules import rules
from bench.attribution.table import tables
from bench.queue import machine, table
from bench.queue.server import Server
from bench.queue.systems import PEERS_BIN
from bench.session import on_a_server, say

Line = dict[str, Any]
_SAID = (
    "rows",
    "seconds",
    "floor_s",
    "times_floor",
    "again_s",
    "us_per_row",
    "first_ms",
    "again_ms",
    "train_s",
    "rss_mb",
)


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns 0, 130 after Ctrl-C, 2 when the peers' virtualenv is missing."""
    chosen = options.read(arguments)
    if "peers" in chosen.parts and not chosen.without_pandas and not (PEERS_BIN / "python").exists():
        say("bench: no virtualenv for pandas: run `make bench-attribution`, or choose --without-pandas")
        return 2

    def measure_there(server: Server) -> int:
        server.make_template()
        with place.made(server) as found:
            return _measure(server, found, chosen)

    return on_a_server(measure_there)


def _measure(server: Server, found: Place, chosen: argparse.Namespace) -> int:
    began = dt.datetime.now(dt.UTC)
    about, versions = machine.describe(), {"postgresql": server.version}
    print(table.facts(about, versions), flush=True)
    lines: list[Line] = []
    probe: dict[str, float] = {}
    count = _count(chosen)
    for done, line in enumerate(_lines(found, chosen), 1):
        clean = {name: round(value, 4) if isinstance(value, float) else value for name, value in line.items()}
        probe = vars(machine.calm(server.folder, 1.0))
        lines.append(clean | probe)
        said = ", ".join(f"{name} {line[name]:,.2f}" for name in _SAID if isinstance(line.get(name), int | float))
        elapsed = int((dt.datetime.now(dt.UTC) - began).total_seconds())
        which = line.get("model") or line.get("peer") or line.get("size") or ""
        say(f"[{done}/{count}, {elapsed // 60}:{elapsed % 60:02}] {line['part']} {which}: {said}")
    aims = reach(lines)
    print(f"\n{tables(lines)}\n\n{table.aims(aims)}", flush=True)
    out = Path(chosen.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    whole = {
        "began": began.isoformat(timespec="seconds"),
        "took_s": round((dt.datetime.now(dt.UTC) - began).total_seconds(), 1),
        "options": {name: value for name, value in vars(chosen).items() if name != "out"},
        "machine": about,
        "versions": versions,
        "reach": aims,
        "lines": lines,
    }
    out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten to {out}")
    return 0


def _lines(found: Place, chosen: argparse.Namespace) -> Iterator[Line]:
    parts = chosen.parts
    if "peers" in parts:
        yield from peers(found, _seed(found, "peers", chosen.peers), chosen.reps, not chosen.without_pandas)
    if "markov" in parts:
        yield markov(found, chosen.scale)
    one: UUID | None = None
    if {"rules", "day", "growth"} & set(parts):
        one = _seed(found, "one", chosen.scale)
        if "rules" in parts:
            yield from rules(found, one, chosen.reps)
        if "day" in parts:
            yield day(found, one, chosen.reps)
    if "growth" in parts and one is not None:
        version = found.make_versions(one)["linear"]
        for _ in range(chosen.reps):
            yield {"part": "growth", "size": "one", "events": chosen.scale} | through_worker(found, one, version)
        ten = _seed(found, "ten", chosen.scale * 10)
        found.make_versions(ten)
        yield {"part": "growth", "size": "ten", "events": chosen.scale * 10} | through_worker(found, ten, version)


def _count(chosen: argparse.Namespace) -> int:
    """Return how many lines `_lines` gives."""
    reps = chosen.reps
    of_each = {
        "peers": reps * (4 if chosen.without_pandas else 5),
        "markov": 1,
        "rules": len(RULES) + reps,  # the one that goals name in each repetition, and all together
        "day": 1,
        "growth": reps + 1,
    }
    return sum(of_each[part] for part in set(chosen.parts))


def _seed(found: Place, name: str, events: int) -> UUID:
    began = time.monotonic()
    tenant_id = data.add_events(found, name, events)
    say(f"seeded {events:,} events of tenant {name} in {time.monotonic() - began:.0f} s")
    return tenant_id
