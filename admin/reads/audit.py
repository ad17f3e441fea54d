"""The audit log: who did what to which row, and why."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from admin.params import After
from admin.reads.pages import Page, read_page
from skeldir_huey.db.tables import ConsoleAudit


def page(connection: Connection, after: After | None) -> Page:
    """Return one page of audit rows, the newest first."""
    return read_page(connection, sa.select(ConsoleAudit), ConsoleAudit.at, ConsoleAudit.id, after)  # type: ignore[arg-type]
