"""One page: its time, its statements, its size. In this process, so that the wire is left out."""

from __future__ import annotations

import re
import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import sqlalchemy as sa
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from bench.console.pages import Page
from skeldir_huey.db import engine

# What only opens, scopes or ends a transaction.
HOUSEKEEPING = re.compile(r"\s*(set |savepoint|release|rollback|select set_config)", re.IGNORECASE)
ASSET = re.compile(r'(?:<link rel="stylesheet" href|<script src)="(/static/[^"]+)"')


@contextmanager
def counted() -> Iterator[list[str]]:
    """Collect the statements of the console's login."""
    seen: list[str] = []

    def note(_: Any, __: Any, statement: str, *rest: Any) -> None:
        if not HOUSEKEEPING.match(statement):
            seen.append(statement)

    login = engine.engine("console")
    sa.event.listen(login, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(login, "before_cursor_execute", note)


def sizes_of(client: FlaskClient, response: TestResponse) -> list[int]:
    """Return the bytes of a page and of each style and script that it asks for, as they are: nothing is compressed."""
    assets = ASSET.findall(response.get_data(as_text=True))
    return [len(response.get_data()), *(len(client.get(path, buffered=True).get_data()) for path in assets)]


def measure(client: FlaskClient, page: Page, reps: int) -> dict[str, Any]:
    """Ask for a page once to warm it, then `reps` times.

    Raises:
        SystemExit: it does not answer 200, or gave a part up.
    """
    with counted() as statements:
        response = client.get(page.path)
    text = response.get_data(as_text=True)
    if response.status_code != 200:
        raise SystemExit(f"bench: {page.path} answered {response.status_code}: {text[:300]}")
    times = []
    for _ in range(reps):
        began = time.perf_counter()
        client.get(page.path)
        times.append((time.perf_counter() - began) * 1000)
    sizes = sizes_of(client, response)
    return {
        "page": page.name,
        "path": page.path,
        "median_ms": round(statistics.median(times), 1),
        "min_ms": round(min(times), 1),
        "max_ms": round(max(times), 1),
        "goal_ms": page.goal_ms,
        "statements": len(statements),
        "kb": round(sum(sizes) / 1000, 1),
        "requests": len(sizes),
        "gave_up": text.count("took longer than 5 s"),
    }
