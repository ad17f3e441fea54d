"""The run: two sizes one after the other, each in a database of its own; tables for people, a file for programs."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import select
from pathlib import Path
from typing import Any

from psycopg2 import extensions

from bench.queue import machine, table
from bench.queue.reach import Aim, aim
from bench.queue.server import Server
from bench.reports import guards, imports, options, refreshes
from bench.session import on_a_server, say

# A ratio of two times that are both so short says nothing about the rows.
NOISE_MS = 10.0
MOST_IMPORTED = 100_000
# A payload is read through; the exact sum may cost as much as the floor: 2 x in all.
LIMITS = {"personal data, with payload": "<= 1", "exact sums of allocations": "<= 1"}
SHOWN = ("seed_s", "full_ms", "change_ms", *(f"{report}_ms" for report in refreshes.REPORTS))


def main(arguments: list[str] | None = None) -> int:
    """Measure, print, write; returns 0, 130 after Ctrl-C."""
    chosen = options.read(arguments)
    extensions.set_wait_callback(_wait)
    try:
        return on_a_server(lambda server: _measure(server, chosen))
    finally:
        extensions.set_wait_callback(None)


def _wait(connection: Any) -> None:
    """Wait for an answer of the server so that Ctrl-C ends a statement of a minute, too: it loses its connection."""
    while (state := connection.poll()) != extensions.POLL_OK:
        reading = [connection] if state == extensions.POLL_READ else []
        try:
            select.select(reading, [] if reading else [connection], [])
        except KeyboardInterrupt:
            connection.cancel()
            raise


def _measure(server: Server, chosen: argparse.Namespace) -> int:
    began = dt.datetime.now(dt.UTC)
    server.make_template()
    about, versions = machine.describe(), {"postgresql": server.version}
    print(table.facts(about, versions), flush=True)
    rows = []
    for size in (max(chosen.scale // 10, 1), chosen.scale):
        say(f"{size:,} allocations …")
        rows.append(_in_database(server, refreshes.measure, size, chosen.times))
    say("triggers …")
    costs = _in_database(server, guards.measure, 3 * chosen.times)
    say("import …")
    imported = imports.measure(server, max(min(chosen.scale // 100, MOST_IMPORTED), 1))
    aims = reach(rows, costs)
    print(f"\n{_tables(rows, costs)}\n\nimport: {imported}\n\n{table.aims(aims)}", flush=True)
    whole = {
        "began": began.isoformat(timespec="seconds"),
        "took_s": round((dt.datetime.now(dt.UTC) - began).total_seconds(), 1),
        "options": {name: value for name, value in vars(chosen).items() if name != "out"},
        "machine": about | vars(machine.calm(server.folder, 1.0)),
        "versions": versions,
        "refreshes": rows,
        "triggers": costs,
        "import": imported,
        "reach": aims,
    }
    out = Path(chosen.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten to {out}")
    return 0


def reach(rows: list[dict[str, Any]], costs: list[dict[str, Any]]) -> list[Aim]:
    """Return the aims with the figures of this run."""
    small, large = rows[0], rows[-1]
    growth = max(large["allocation_days_ms"], NOISE_MS) / max(small["allocation_days_ms"], NOISE_MS)
    on_summary = large["mv_channel_performance_ms"] / large["full_ms"]
    sizes = f"{large['allocations']:,} / {small['allocations']:,} allocations"
    return [
        aim(f"one tenant's day changed: summary, {sizes}", growth, "<= 1.5"),
        aim(
            f"one tenant's day changed: summary, ms of {large['allocations']:,}", large["allocation_days_ms"], "<= 250"
        ),
        aim("view on the summary / on all allocations, at the largest size", on_summary, "<= 1"),
        *(
            aim(f"cost of {row['trigger']}, share of the write", row["share"], LIMITS.get(row["trigger"], "<= 0.15"))
            for row in costs
        ),
    ]


def _tables(rows: list[dict[str, Any]], costs: list[dict[str, Any]]) -> str:
    sizes = [["allocations", "tenants", *SHOWN]]
    sizes += [[f"{row['allocations']:,}", f"{row['tenants']:,}", *(f"{row[name]:,}" for name in SHOWN)] for row in rows]
    triggers = [["trigger: µs of processor time per row", "with", "without", "share"]]
    triggers += [
        [row["trigger"], str(row["with_us_per_row"]), str(row["without_us_per_row"]), f"{row['share']:.1%}"]
        for row in costs
    ]
    return f"{table.aligned(sizes)}\n\n{table.aligned(triggers)}"


def _in_database(server: Server, measure: Any, *arguments: Any) -> Any:
    name = server.make_database(ours=True)
    connection = server.connect(name)
    try:
        with connection.cursor() as cursor:
            return measure(cursor, *arguments)
    finally:
        connection.close()
        server.drop_database(name)
