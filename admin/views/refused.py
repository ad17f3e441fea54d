"""Refused records: the list, one record as JSON to correct, and the verbs on it."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, request
from flask_admin import expose
from flask_security import current_user
from werkzeug.wrappers import Response

from admin import export, params, refused_actions, scope
from admin.panels import Panels
from admin.reads import refused as reads
from admin.reads.overview import now as database_now
from admin.reads.pages import COUNT_CAP
from admin.show import pretty
from admin.views.base import ConsoleView
from skeldir_huey.errors import InputError, NotFound


class RefusedView(ConsoleView):
    """Records of imports that are no events."""

    @expose("/")
    def index(self) -> str:
        status, source, error = _filters()
        after = params.after()
        conditions = reads.matching(status, source, error)
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            page = panels.read(reads.page, conditions, after)
            count = panels.read(reads.count, conditions)
        return self.render(
            "console/refused_list.html",
            now=now,
            page=page,
            count=count,
            cap=COUNT_CAP,
            after=after,
            status=status,
            source=source,
            error_text=error,
            statuses=reads.STATUSES,
        )

    @expose("/export", methods=("POST",))
    def export(self) -> Response:
        """Download the records that match the address."""
        status, source, error = _filters()
        chosen = {"status": status, "source": source, "error": error}
        return export.csv_response(current_user, "refused", reads.exported(reads.matching(*chosen.values())), chosen)

    @expose("/<record_id>/")
    def detail(self, record_id: str) -> str:
        return self._page(record_id)

    @expose("/<record_id>/retry", methods=("GET", "POST"))
    def retry(self, record_id: str) -> Any:
        """Take the corrected record through the import again."""
        if request.method == "GET":
            return self._page(record_id)
        row_id, tenant_id = params.path_uuid(record_id), scope.check_form_tenant()
        if tenant_id is None:
            raise NotFound("no such record")
        try:
            payload = refused_actions.parse_payload(request.form.get("payload", ""))
            reason = params.form_reason()
            refused_actions.retry(current_user, row_id, tenant_id, payload, reason)
        except InputError as error:
            return Response(self._page(record_id, error), 400, mimetype="text/html")
        flash("Queued. It becomes an event, or comes back with the reason.", "ok")
        return redirect(scope.link("refused.detail", record_id=record_id), 303)

    @expose("/<record_id>/<verb_name>", methods=("GET", "POST"))
    def move(self, record_id: str, verb_name: str) -> Any:
        """Ignore a record or put it back; its own page asks for the reason."""
        if verb_name not in refused_actions.MOVES:
            raise NotFound("no such verb")
        if request.method == "GET":
            return self._page(record_id)
        row_id, tenant_id = params.path_uuid(record_id), scope.check_form_tenant()
        if tenant_id is None:
            raise NotFound("no such record")
        try:
            reason = params.form_reason()
        except InputError as error:
            return Response(self._page(record_id, error, verb_name), 400, mimetype="text/html")
        refused_actions.move(current_user, row_id, tenant_id, verb_name, reason)
        flash("Ignored." if verb_name == "ignore" else "Back on the list.", "ok")
        return redirect(scope.link("refused.detail", record_id=record_id), 303)

    def _page(self, record_id: str, error: InputError | None = None, verb: str = "retry") -> str:
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            found = reads.one(connection, params.path_uuid(record_id))
            if found is None:
                raise NotFound("no such record")
            audit = panels.read(reads.audit_of, found.id) or ()
        typed = request.form.get("payload", "")[: refused_actions.MAX_CHARACTERS]
        return self.render(
            "console/refused.html",
            now=now,
            record=found,
            audit=audit,
            error=error,
            failed_verb=verb,
            payload=typed or pretty(found.payload),
            reason=request.form.get("reason", "")[: params.REASON_MAX],
            columns=sorted((found.reading or {}).get("columns", {}).items()),
            task_id=next((row.detail["task_id"] for row in audit if "task_id" in row.detail), None),
        )


def _filters() -> tuple[str, str, str]:
    status = params.choice("status", (*reads.STATUSES, "any"), "pending")
    return status, params.text("source"), params.text("error")
