"""Dirty ranges: which windows of the published version must be recomputed because events were added late."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.attribution.runs import Identity
from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql

PATIENCE_S = 300


def dirty_tenants(connection: Connection) -> list[UUID]:
    """Return the tenants that have dirty ranges.

    Args:
        connection: a transaction as app_rw, which may read this of all tenants.
    """
    return [row["tenant_id"] for row in rows(connection, sql("attribution", "dirty_tenants"))]


def dirty_windows(connection: Connection, tenant_id: UUID) -> list[Identity]:
    """Return the fewest windows of whole UTC days that cover the tenant's dirty ranges.

    First comes the one that has waited longest: by its days, one that is made dirty again each minute, such as by a
    long import of old data, would keep the others waiting for ever.

    None while no version is published. A window whose run failed is left out: its dead letter waits for an operator,
    and a new job each minute would only make more of them. One whose job is gone has no letter: it stays in.
    """
    found = rows(connection, sql("attribution", "dirty_windows"), {"tenant_id": tenant_id})
    return [
        Identity(tenant_id, row["window_start"], row["window_end"], row["model_version"])
        for row in found
        if row["status"] != "failed"
    ]


def next_window(connection: Connection, tenant_id: UUID) -> Identity | None:
    """Return the dirty window that has waited longest, or None when there is none or it is not its turn.

    One run for late data at a time. It gives way to other runs of the published version, but for PATIENCE_S at most: a
    tenant that is never idle would else never see its late data.
    """
    windows = dirty_windows(connection, tenant_id)
    if not windows:
        return None
    values = {"tenant_id": tenant_id, "model_version": windows[0].model_version}
    state = rows(connection, sql("attribution", "dirty_state"), values)[0]
    if state["is_dirty_active"] or (state["is_active"] and state["waited_s"] < PATIENCE_S):
        return None
    return windows[0]
