"""What a repeated run's window had before and after it: kept with the run, so that people see what a re-run changed."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.engine import Connection

from skeldir_huey.attribution.ranges import by_block
from skeldir_huey.attribution.types import Run
from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql

Totals = Mapping[str, Mapping[str, int]]  # cents by currency and channel


def totals_of(connection: Connection, found: Sequence[Run], window: Mapping[str, Any]) -> dict[str, Totals]:
    """Return the totals per version of the runs that have been done before; others cost nothing.

    Args:
        window: tenant_id, window_start, window_end.
    """
    repeated = [run.model_version for run in found if run.run_count > 0]
    if not repeated:
        return {}
    values = dict(window) | {"model_versions": repeated}
    with by_block(connection):
        found_totals = rows(connection, sql("attribution", "channel_totals"), values)
    known = {row["model_version"]: row["totals"] for row in found_totals}
    return {version: known.get(version, {}) for version in repeated}


def keep(connection: Connection, run: Run, before: Totals, after: Totals) -> None:
    """Store both with the run; its checksum is still that of before."""
    values = {
        "tenant_id": run.tenant_id,
        "run_id": run.id,
        "checksum_before": run.checksum,
        "totals_before": json.dumps(before),
        "totals_after": json.dumps(after),
    }
    rows(connection, sql("attribution", "keep_totals"), values)
