"""Audit rows: who did what to which row, written in the transaction of the act itself."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import request
from sqlalchemy.engine import Connection

from admin.security import request_id
from admin.show import seconds
from skeldir_huey.db.engine import transaction
from skeldir_huey.db.tables import ConsoleAudit


def record(connection: Connection, actor: str, action: str, target_type: str, target_id: str, **columns: Any) -> None:
    """Write an audit row in the caller's transaction; address and request id come from the request."""
    connection.execute(
        sa.insert(ConsoleAudit)
        .values(
            {
                "actor": actor,
                "source_address": request.remote_addr,
                "action": action,
                "target_type": target_type,
                "target_id": target_id,
                "result": "ok",
                "request_id": request_id(),
            }
            | columns
        )
        .inline()
    )


def who_was_first(connection: Connection, target_type: str, target_id: str, state: str) -> str:
    """Return what to tell somebody who came too late: who did what to this row last, when, and what is so now.

    Args:
        connection: a transaction that sees the row's audit log.
        state: a sentence that says how the row is now.
    """
    last = connection.execute(
        sa.select(
            ConsoleAudit.actor,
            ConsoleAudit.action,
            sa.extract("epoch", sa.func.clock_timestamp() - ConsoleAudit.at).label("ago_s"),
        )
        .where(
            ConsoleAudit.target_type == target_type,
            ConsoleAudit.target_id == target_id,
            ConsoleAudit.result == "ok",
        )
        .order_by(ConsoleAudit.id.desc())
        .limit(1)
    ).one_or_none()
    by = f" Last: {last.action.replace('_', ' ')} by {last.actor}, {seconds(float(last.ago_s))} ago." if last else ""
    return f"{state}{by} Nothing was changed."


def record_refusal(actor: str, action: str, target_type: str, target_id: str, **columns: Any) -> None:
    """Write that something was refused, in a transaction of its own: what was asked for did not happen."""
    tenant_id = columns.get("tenant_id")
    role = "console_tenant" if tenant_id else "console_global"
    with transaction(tenant_id, role=role, who="console") as connection:
        record(connection, actor, action, target_type, target_id, result="refused", **columns)
