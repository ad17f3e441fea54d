"""Personal data that should not be stored: found by the names of keys, at every depth, without looking at a value.

Which names is one rule, app.pii_key() in the database: a trigger refuses events by it, and this scan finds what an
older rule let in. Findings say where and which key, never what stood there.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql

SOURCES = ("attribution_events", "dead_events", "worker_failed_jobs", "huey.job")


def scan(connection: Connection) -> list[dict[str, Any]]:
    """Write a finding for each stored row of this tenant that has a key of personal data, and forget those mended.

    Looked at are the payloads of events and of refused records, and the arguments of dead letters and of jobs. What was
    hidden when it was stored ([redacted]) is no finding; a row has one, for the first of its keys.

    Returns:
        One row per source: source, scanned_count, finding_count, new_count (not found by an earlier scan).
    """
    found = {row["source"]: row for row in rows(connection, sql("ingest", "scan_pii"))}
    nothing = {"scanned_count": 0, "finding_count": 0, "new_count": 0}
    return [found.get(source, {"source": source} | nothing) for source in SOURCES]


def scan_unattributed(connection: Connection) -> int:
    """Return how many dead letters and jobs without a tenant have a key of personal data.

    Args:
        connection: a transaction as app_rw.
    """
    counted: int = rows(connection, sql("ingest", "scan_pii_unattributed"))[0]["finding_count"]
    return counted
