"""An import: a file of events, read by the command as a person would, triggers and row security on."""

from __future__ import annotations

import csv
import datetime as dt
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from bench.queue.server import Server, clean_environment
from bench.queue.systems import ROOT

CHANNELS = ("direct", "email", "google_search_paid", "organic")
OPTIONS = (
    *("--tenant", "bench", "--create-tenant", "--set", "currency=EUR", "--revenue", "amount"),
    *("--map", "visitor=visitor,occurred_at=at,channel=channel,conversion=sale"),
)


def measure(server: Server, lines: int) -> dict[str, Any]:
    """Import a file of so many lines, one in four a sale with its touch; returns how long the whole command took.

    Raises:
        SystemExit: the command failed; with its words.
    """
    path = server.folder / "events.csv"
    _write(path, lines)
    name = server.make_database(ours=True)
    command = [sys.executable, "-m", "skeldir_huey", "import", str(path), *OPTIONS]
    began = time.perf_counter()
    done = subprocess.run(
        command, cwd=ROOT, env=clean_environment() | server.settings(name), capture_output=True, text=True, check=False
    )
    seconds = time.perf_counter() - began
    if done.returncode:
        raise SystemExit(f"the import failed:\n{done.stderr}")
    stored = _stored(server, name)
    server.drop_database(name)
    if stored != lines + lines // 4:
        raise SystemExit(f"{stored} events were stored of {lines} lines")
    return {"lines": lines, "events": stored, "seconds": round(seconds, 1), "lines_per_s": round(lines / seconds)}


def _write(path: Path, count: int) -> None:
    start = dt.datetime.now(dt.UTC) - dt.timedelta(days=60)
    with path.open("w", newline="", encoding="utf-8") as stream:
        lines = csv.writer(stream)
        lines.writerow(("visitor", "at", "channel", "sale", "amount"))
        for number in range(count):
            at = (start + dt.timedelta(seconds=number * 60 * 86_400 // count)).isoformat()
            is_sale = number % 4 == 3
            lines.writerow((f"v{number // 4}", at, CHANNELS[number % 4], int(is_sale), "12.90" if is_sale else ""))


def _stored(server: Server, name: str) -> int:
    connection = server.connect(name)
    try:
        with connection.cursor() as cursor:
            cursor.execute("select count(*) from attribution_events")
            return int(cursor.fetchone()[0])
    finally:
        connection.close()
