"""Bulk operations: their list, the draft that asks, the progress, and the verbs."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import flash, redirect, request
from flask_admin import expose
from flask_security import current_user
from werkzeug.wrappers import Response

from admin import bulk_actions, letter_query, params, scope
from admin.fresh import kept_reason
from admin.panels import Panels
from admin.reads import bulk as reads
from admin.reads.overview import now as database_now
from admin.views.base import ConsoleView
from skeldir_huey.errors import InputError, NotFound
from skeldir_huey.queue.bulk_letters import NEEDS
from skeldir_huey.queue.letter_filter import LetterFilter

ASKED = {
    "pause": ("Pause this operation?", "It stops after the letters that are being done now.", "Paused."),
    "continue": ("Go on with this operation?", "It goes on where it stopped; nothing is done twice.", "Going on."),
    "cancel": ("Cancel this operation?", "What was done stays done; the rest is left alone.", "Cancelled."),
}


class BulkView(ConsoleView):
    """Acts on many dead letters."""

    @expose("/")
    def index(self) -> str:
        after = params.after()
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            page = panels.read(reads.page, after)
            done = panels.read(reads.progress_of, [row.id for row in page.rows]) if page else {}
        return self.render("console/bulk_list.html", now=now, page=page, after=after, progress=done or {})

    @expose("/draft", methods=("POST",))
    def draft(self) -> Any:
        """Freeze what the form of a list means; leads to a page that asks."""
        tenant_id = _form_scope()
        verb = params.form_choice("verb", NEEDS, "")
        with scope.reading() as connection:
            now = database_now(connection)
        wanted = letter_query.from_form(now)
        if wanted.status not in (NEEDS[verb], "any"):
            raise InputError("verb", f"{verb} is for letters that are {NEEDS[verb]}, not {wanted.status}")
        return _to(bulk_actions.draft(current_user, verb, tenant_id, wanted))

    @expose("/<operation_id>/")
    def detail(self, operation_id: str) -> str:
        return self._page(operation_id)

    @expose("/<operation_id>/confirm", methods=("GET", "POST"))
    def confirm(self, operation_id: str) -> Any:
        """Start a draft (POST); by GET, the way back from the password, it is shown again."""
        if request.method == "GET":
            return self._page(operation_id)
        operation = _read(operation_id)
        scope.check_form_tenant()
        try:
            reason = params.form_reason()
            rate = params.form_choice("rate", bulk_actions.RATES, "100")
            bulk_actions.confirm(current_user, operation, reason, rate, request.form.get("number", "").strip())
        except InputError as error:
            return Response(self._page(operation_id, error), 400, mimetype="text/html")
        flash("Started. It goes on in the background; this page may be closed.", "ok")
        return _to(operation.id)

    @expose("/<operation_id>/again", methods=("POST",))
    def again(self, operation_id: str) -> Any:
        """Draft the undo of an abandonment, or another try of what failed."""
        operation = _read(operation_id)
        tenant_id = scope.check_form_tenant()
        if tenant_id != operation.tenant_id:
            raise InputError("tenant", "the form belongs to another scope than the operation; nothing was changed")
        kind = params.form_choice("kind", ("undo", "failed"), "")
        if kind == "undo" and operation.verb != "abandon":
            raise InputError("kind", "only an abandonment can be undone: what was replayed has run")
        verb = "reopen" if kind == "undo" else operation.verb
        if kind == "failed" and verb == "reopen":
            raise InputError("kind", "reopen these letters one by one")
        wanted = LetterFilter(status=NEEDS[verb])
        return _to(bulk_actions.draft(current_user, verb, operation.tenant_id, wanted, operation.id))

    @expose("/<operation_id>/<verb_name>", methods=("GET", "POST"))
    def steer(self, operation_id: str, verb_name: str) -> Any:
        """Ask for a reason (GET), or pause, continue or cancel (POST)."""
        if verb_name not in bulk_actions.STEERING:
            raise NotFound("no such verb")
        operation = _read(operation_id)
        if request.method == "GET":
            return self._ask(operation, verb_name, None)
        scope.check_form_tenant()
        try:
            reason = params.form_reason()
        except InputError as error:
            return Response(self._ask(operation, verb_name, error.reason), 400, mimetype="text/html")
        bulk_actions.steer(current_user, operation, verb_name, reason)
        flash(ASKED[verb_name][2], "ok")
        return _to(operation.id)

    def _ask(self, operation: Any, verb_name: str, error: str | None) -> str:
        return self.render(
            "console/bulk_steer.html",
            operation=operation,
            verb_name=verb_name,
            asked=ASKED[verb_name],
            possible=operation.state in bulk_actions.STEERING[verb_name][0],
            error=error,
            reason=request.form.get("reason", "")[: params.REASON_MAX],
        )

    def _page(self, operation_id: str, error: InputError | None = None) -> str:
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            operation = reads.one(connection, params.path_uuid(operation_id))
            if operation is None:
                raise NotFound("no such operation")
            shares = panels.read(reads.shares_of, operation.id) or []
            failed = panels.read(reads.failures, operation.id) or []
            follow_ups = panels.read(reads.follow_ups, operation.id) or []
        progress = reads.progress(shares)
        return self.render(
            "console/bulk.html",
            now=now,
            operation=operation,
            shares=shares,
            drafted_shares=[(share["tenant_id"] and UUID(share["tenant_id"]), share) for share in operation.shares],
            progress=progress,
            failures=failed,
            follow_ups=follow_ups,
            sentence=reads.sentence(operation.verb, progress, failed),
            words=LetterFilter.of_json(operation.filter).words(),
            steering=[name for name, (states, _) in bulk_actions.STEERING.items() if operation.state in states],
            asked=ASKED,
            rates=bulk_actions.RATES,
            many=bulk_actions.MANY,
            error=error,
            reason=request.form.get("reason", "")[: params.REASON_MAX] or kept_reason(),
            rate=request.form.get("rate", "100"),
        )


def _form_scope() -> UUID | None:
    tenant_id = scope.check_form_tenant()
    if tenant_id != scope.current().tenant_id:
        raise InputError("tenant", "the form belongs to another tenant than the page; nothing was changed")
    return tenant_id


def _read(operation_id: str) -> Any:
    with scope.reading() as connection:
        found = reads.one(connection, params.path_uuid(operation_id))
    if found is None:
        raise NotFound("no such operation")
    return found


def _to(operation_id: UUID) -> Response:
    return redirect(scope.link("bulk.detail", operation_id=operation_id), 303)
