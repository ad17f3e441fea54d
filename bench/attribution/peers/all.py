"""Every peer once on the same events, as a rate per row that it wrote; ours beside each with the same model."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from bench.attribution import ours
from bench.attribution.data import START
from bench.attribution.peers.loop import loop
from bench.attribution.peers.original import original
from bench.attribution.peers.target import agrees, row_count, target
from bench.attribution.place import Place
from bench.queue.systems import PEERS_BIN

Line = dict[str, Any]


def peers(place: Place, tenant_id: UUID, reps: int, with_pandas: bool) -> Iterator[Line]:
    """Measure each; those that split like our linear must write its very rows."""
    versions = place.make_versions(tenant_id)
    for _ in range(reps):
        for model in ("even_split", "linear"):
            place.forget_allocations()
            yield _line(f"ours, {model}", ours.run(place, tenant_id, [versions[model]]))
        yield _line("the original's design, even_split", original(place, tenant_id, START, ours.END))
        yield _line("plain Python, linear", _checked(place, versions, loop(place, tenant_id, START, ours.END)))
        if with_pandas:
            yield _line("pandas, linear", _checked(place, versions, _pandas(place, tenant_id)))
    place.forget_allocations()
    place.run("drop table peer_allocations")


def _checked(place: Place, versions: dict[str, str], found: Line) -> Line:
    if not agrees(place, versions["linear"]):
        raise SystemExit("a peer splits differently from ours: nothing can be compared")
    return found | {"rows": row_count(place)}


def _pandas(place: Place, tenant_id: UUID) -> Line:
    target(place)
    program = Path(__file__).with_name("pandas_split.py")
    done = subprocess.run(
        [
            str(PEERS_BIN / "python"),
            str(program),
            place.server.dsn("app_user", place.name),
            str(tenant_id),
            START,
            ours.END,
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"pandas failed:\n{done.stderr[-2000:]}")
    found: Line = json.loads(done.stdout)
    return found


def _line(name: str, found: Line) -> Line:
    rows = found["rows"]
    return {"part": "peers", "peer": name, "us_per_row": found["seconds"] / rows * 1e6} | {
        key: value for key, value in found.items() if key in ("seconds", "rows", "pandas")
    }
