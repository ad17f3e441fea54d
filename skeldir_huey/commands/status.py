"""Show in a small table whether database, migrations, roles, consumers and lanes are as they should be."""

from __future__ import annotations

import argparse

from skeldir_huey.config import settings
from skeldir_huey.db import embedded, urls
from skeldir_huey.db.engine import rows, transaction
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import SkeldirError
from skeldir_huey.parsers import LANES


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Take none."""


def run(args: argparse.Namespace) -> int:
    """Print one line per part; exit 1 when a part is not usable. Starts nothing."""
    given = settings()
    if urls.is_embedded(given) and embedded.running(given.data_dir) is None:
        _line("database", f"embedded in {given.data_dir}, not running; start it with `make run`")
        return 1
    usable = True
    for who in ("worker", "console"):
        try:
            urls.check_ready(who)
            _line(who, f"ready ({urls.variable_of(who)})")
        except SkeldirError as error:
            usable = False
            _line(who, str(error))
    if not usable:
        return 1
    with transaction(None, role="app_rw", read_only=True) as connection:
        facts = rows(connection, sql("commands", "status"), {"frozen_after_s": given.frozen_after_s})[0]
        lanes = {row["lane"]: row for row in rows(connection, sql("commands", "waiting"))}
    _line("migrations", f"at {facts['revision']}")
    _line("server", f"PostgreSQL {facts['server']}, database {facts['database']}")
    _line("consumers", f"{facts['alive']} alive" + ("" if facts["alive"] else "; start one with `honcho start`"))
    for lane in LANES:
        row = lanes.get(lane)
        counts = f"{row['waiting']} waiting, {row['scheduled']} scheduled, {row['running']} running" if row else "empty"
        _line(lane, counts)
    return 0


def _line(name: str, text: str) -> None:
    print(f"{name:<13}{text}")
