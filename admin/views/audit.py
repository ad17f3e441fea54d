"""Audit log: append-only, written in the transaction of the act itself."""

from __future__ import annotations

from flask_admin import expose

from admin import params, scope
from admin.panels import Panels
from admin.reads import audit as reads
from admin.reads.overview import now as database_now
from admin.views.base import ConsoleView


class AuditView(ConsoleView):
    """Who did what, when, to which row, and why."""

    @expose("/")
    def index(self) -> str:
        after = params.after(int)
        with scope.reading() as connection:
            now = database_now(connection)
            page = Panels(connection).read(reads.page, after)
        return self.render("console/audit.html", now=now, page=page, after=after)
