"""Our runs as their jobs execute them, in this process: statement, sum checks, checksum, end of the run, commit."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bench.attribution.data import DAYS, START
from bench.attribution.place import Place
from skeldir_huey.attribution.recompute import recompute_together
from skeldir_huey.attribution.types import Run
from skeldir_huey.db.engine import transaction

END = (datetime.fromisoformat(START) + timedelta(days=DAYS)).isoformat()
FLOOR = "floor_allocations"


def run(place: Place, tenant_id: UUID, versions: Sequence[str], start: str = START, end: str = END) -> dict[str, Any]:
    """Execute runs of some versions together; returns seconds, rows, rows changed and the runs' checksums."""
    run_ids = [place.start_run(tenant_id, start, end, version) for version in versions]
    began = time.perf_counter()
    with transaction(tenant_id) as connection:
        ended: list[Run] = recompute_together(connection, tenant_id, run_ids)
    seconds = time.perf_counter() - began
    return {
        "seconds": seconds,
        "rows": sum(one.allocation_count or 0 for one in ended),
        "changed": sum(one.changed_count or 0 for one in ended),
        "conversions": max(one.conversion_count or 0 for one in ended),
        "checksums": [one.checksum.hex() for one in ended if one.checksum],
    }


def floor(place: Place, columns: str = "*") -> float:
    """Return the seconds of a bare INSERT … SELECT of the rows that are there now.

    Into a table with the same columns, checks and indexes, but without row security and triggers; the rows come from
    a plain copy, in the order in which they lie.
    """
    place.run("drop table if exists staged, " + FLOOR)
    place.run(f"create unlogged table staged as select {columns} from attribution_allocations")
    place.run(f"create table {FLOOR} (like attribution_allocations including all)")
    place.run("analyze staged")
    place.run("checkpoint")
    began = time.perf_counter()
    place.run(f"insert into {FLOOR} select * from staged")
    seconds = time.perf_counter() - began
    place.run(f"drop table staged, {FLOOR}")
    return seconds
