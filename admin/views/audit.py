"""Audit log: append-only, chained, written in the transaction of the act itself."""

from __future__ import annotations

from typing import Any

from flask_admin import expose
from flask_security import current_user
from sqlalchemy.engine import Connection

from admin import params, scope
from admin.export import csv_response
from admin.panels import Panels
from admin.reads import audit as reads
from admin.reads.overview import now as database_now
from admin.views.base import ConsoleView
from skeldir_huey.db import audit

RESULTS = ("ok", "refused")


class AuditView(ConsoleView):
    """Who did what, when, to which row, and why; is the log as it was written?"""

    @expose("/")
    def index(self) -> str:
        filters, after = _filters(), params.after(int)
        wants_check = params.choice("verify", ("1",), "") == "1"
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            page = panels.read(reads.page, filters, after)
            actions = panels.read(reads.actions)
            chains = panels.read(_chains) if wants_check else None
        return self.render(
            "console/audit.html",
            now=now,
            page=page,
            after=after,
            filters=filters,
            actions=actions or (),
            results=RESULTS,
            checked=wants_check,
            chains=chains,
        )

    @expose("/export", methods=("POST",))
    def export(self) -> Any:
        """Download what the filters show; it is a POST because it leaves an audit row."""
        filters = _filters()
        return csv_response(current_user, "audit", reads.exported(filters), filters.given)


def _filters() -> reads.Filters:
    return reads.Filters(
        actor=params.text("who").strip().lower(),
        action=params.text("action"),
        result=params.choice("result", RESULTS, ""),
        first_day=params.day("from"),
        last_day=params.day("to"),
    )


def _chains(connection: Connection) -> list[audit.Chain]:
    return list(audit.verify(connection))
