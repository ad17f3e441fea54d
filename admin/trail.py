"""Audit rows: who did what to which row, written in the transaction of the act itself."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from flask import request
from sqlalchemy.engine import Connection

from admin.security import request_id
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


def record_refusal(actor: str, action: str, target_type: str, target_id: str, **columns: Any) -> None:
    """Write that something was refused, in a transaction of its own: what was asked for did not happen."""
    tenant_id = columns.get("tenant_id")
    role = "console_tenant" if tenant_id else "console_global"
    with transaction(tenant_id, role=role, who="console") as connection:
        record(connection, actor, action, target_type, target_id, result="refused", **columns)
