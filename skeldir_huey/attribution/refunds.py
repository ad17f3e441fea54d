"""Adjustments (refund, chargeback, cancel): negative money at its own time, split like the sale it takes back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql


def allocate_adjustments(connection: Connection, values: Mapping[str, Any]) -> dict[str, Any]:
    """Allocate the adjustments that a run concerns; call it after the sales of the window are allocated.

    A run concerns every sale in its window and every sale with an adjustment in its window, and settles all adjustments
    of such a sale, wherever dated: so the end is the same whatever the order of runs, and at each commit a full refund
    nets every channel of its sale to 0. An adjustment whose sale has no allocations under this version yet has none
    either; the run of the sale makes them.

    Args:
        connection: a transaction of the tenant, as app_user, which holds the lock of the version.
        values: tenant_id, run_id, window_start, window_end, model_version, model_type.

    Returns:
        allocation_count: rows of adjustments dated in the window. changed_count: rows written or deleted, wherever
        dated. changed_spans: of which conversion times, a multirange as text, None when nothing changed.
    """
    if not rows(connection, sql("attribution", "any_adjustment"), dict(values))[0]["known"]:
        return {"allocation_count": 0, "changed_count": 0, "changed_spans": None}
    return rows(connection, sql("attribution", "allocate_adjustments"), dict(values))[0]
