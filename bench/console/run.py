"""One run from beginning to end: seed, measure, tables, bench/out/console.json."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import logging
import secrets
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

from flask import Flask
from flask.testing import FlaskClient

from admin import create_app, users
from bench.attribution import place
from bench.attribution.place import Place
from bench.console import options
from bench.console.measure import measure
from bench.console.pages import pages
from bench.console.reach import growth, reach
from bench.console.seed import Seeder
from bench.queue import machine, table
from bench.queue.server import Server
from bench.session import on_a_server, say

EMAIL = "bench@example.com"
PATIENCE_S = 10.0  # how long a disturbed machine is waited for before pages are timed


def main(arguments: list[str] | None = None) -> int:
    """Run the benchmark; returns 0, 130 after Ctrl-C."""
    chosen = options.read(arguments)

    def measure_there(server: Server) -> int:
        server.make_template()
        with place.made(server) as found:
            return _measure(server, found, chosen)

    return on_a_server(measure_there)


def _measure(server: Server, found: Place, chosen: argparse.Namespace) -> int:
    began = dt.datetime.now(dt.UTC)
    about, versions = machine.describe(), {"postgresql": server.version}
    print(table.facts(about, versions), flush=True)
    app = create_app()
    logging.disable(logging.INFO)  # a line per request would be a part of what is timed, and of what is read
    client = _sign_in(app, found)
    seeder = Seeder(found)
    small: dict[str, float] = {}
    if not chosen.no_growth:
        _seed(seeder, chosen.scale // 10)
        machine.calm(server.folder, PATIENCE_S)
        small = {line["page"]: line["min_ms"] for line in _pages(app, client, found, chosen)}
    rows = _seed(seeder, chosen.scale)
    probe = vars(machine.calm(server.folder, PATIENCE_S))
    lines = _pages(app, client, found, chosen)
    lists = {page.name for page in pages(app, found, chosen.only) if page.is_list}
    aims = reach(lines, small, lists)
    print(f"\n{_table(lines, small)}\n\n{table.aims(aims)}", flush=True)
    out = Path(chosen.out)
    out.parent.mkdir(parents=True, exist_ok=True)
    whole: dict[str, Any] = {
        "began": began.isoformat(timespec="seconds"),
        "took_s": round((dt.datetime.now(dt.UTC) - began).total_seconds(), 1),
        "options": {name: value for name, value in vars(chosen).items() if name != "out"},
        "machine": about | probe,
        "versions": versions,
        "rows": rows,
        "pages": lines,
        "a_tenth_min_ms": small,
        "reach": aims,
    }
    out.write_text(json.dumps(whole, indent=1) + "\n", encoding="utf-8")
    print(f"\nwritten to {out}")
    return 0


def _seed(seeder: Seeder, scale: int) -> dict[str, int]:
    began = time.monotonic()
    rows = seeder.grow(scale)
    said = ", ".join(f"{name} {count:,}" for name, count in rows.items())
    say(f"seeded in {time.monotonic() - began:.0f} s: {said}")
    return rows


def _pages(app: Flask, client: FlaskClient, found: Place, chosen: argparse.Namespace) -> list[dict[str, Any]]:
    lines = []
    for page in pages(app, found, chosen.only):
        line = measure(client, page, chosen.reps)
        lines.append(line)
        say(f"{page.name}: {line['median_ms']:.1f} ms, {line['statements']} statements, {line['kb']:.0f} kB")
    return lines


def _sign_in(app: Flask, found: Place) -> FlaskClient:
    """Return a client signed in as an admin of all tenants, through the form."""
    password, user_id = secrets.token_urlsafe(16), str(uuid4())
    found.run(
        "insert into console_user (id, email, password, fs_uniquifier) values (%s, %s, %s, %s)",
        (user_id, EMAIL, users.hash_password(password), user_id),
    )
    found.run("insert into console_grant (user_id, role) values (%s, 'admin')", (user_id,))
    client = app.test_client()
    page = client.get("/admin/login").get_data(as_text=True)
    token = page.split('name="csrf_token"', 1)[1].split('value="', 1)[1].split('"', 1)[0]
    client.post("/admin/login", data={"email": EMAIL, "password": password, "csrf_token": token})
    if client.get("/admin/account/").status_code != 200:
        raise SystemExit("bench: the sign-in did not work")
    return client


def _table(lines: list[dict[str, Any]], small: dict[str, float]) -> str:
    cells = [["page", "median ms", "min", "max", "goal", "x 10 rows", "statements", "kB", "requests"]]
    for line in lines:
        cells.append(
            [
                line["page"],
                table.number(line["median_ms"], 1),
                table.number(line["min_ms"], 1),
                table.number(line["max_ms"], 1),
                table.number(line["goal_ms"], 0),
                table.number(growth(line, small), 2),
                table.number(line["statements"], 0),
                table.number(line["kb"], 0),
                table.number(line["requests"], 0),
            ]
        )
    return table.aligned(cells)
