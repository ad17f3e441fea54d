"""Dead letters: the list, one letter, and the verbs on it."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, request
from flask_admin import expose
from flask_security import current_user
from werkzeug.wrappers import Response

from admin import params, scope
from admin.actions import VERBS
from admin.frames import frames_of
from admin.panels import Panels
from admin.reads import letters
from admin.reads.overview import now as database_now
from admin.reads.pages import COUNT_CAP
from admin.views.base import ConsoleView
from skeldir_huey.config import LANES
from skeldir_huey.errors import Conflict, InputError, NotFound


class DeadLettersView(ConsoleView):
    """Jobs that failed for good, and what to do about them."""

    @expose("/")
    def index(self) -> str:
        status = params.choice("status", (*letters.STATUSES, "any"), "pending")
        queue = params.choice("queue", LANES, "")
        after = params.after()
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            page = panels.read(letters.page, status, queue, after)
            count = panels.read(letters.count, status, queue)
        return self.render(
            "console/dead_list.html",
            now=now,
            page=page,
            count=count,
            cap=COUNT_CAP,
            status=status,
            queue=queue,
            after=after,
            statuses=letters.STATUSES,
            queues=LANES,
        )

    @expose("/<letter_id>/")
    def detail(self, letter_id: str) -> str:
        with scope.reading() as connection:
            return self.render("console/dead_letter.html", **_facts(Panels(connection), connection, letter_id))

    @expose("/<letter_id>/<verb_name>", methods=("GET", "POST"))
    def verb(self, letter_id: str, verb_name: str) -> Any:
        """Ask for a reason (GET, the way without script), or do it (POST)."""
        verb = VERBS.get(verb_name)
        if verb is None:
            raise NotFound("no such verb")
        row_id = params.path_uuid(letter_id)
        if request.method == "GET":
            return self._ask(letter_id, verb, None)
        tenant_id = scope.check_form_tenant()
        try:
            reason = params.form_reason()
        except InputError as error:
            return Response(self._ask(letter_id, verb, error.reason), 400, mimetype="text/html")
        try:
            result = verb.act(current_user, row_id, tenant_id, reason)
        except Conflict as error:
            return Response(self._too_late(letter_id, str(error)), 409, mimetype="text/html")
        flash(f"{verb.done} as job {result}." if result else f"{verb.done}.", "ok")
        return redirect(scope.link("dead.detail", letter_id=letter_id), 303)

    def _ask(self, letter_id: str, verb: Any, error: str | None) -> str:
        with scope.reading() as connection:
            now = database_now(connection)
            letter = letters.one(connection, params.path_uuid(letter_id))
        if letter is None:
            raise NotFound("no such dead letter")
        return self.render(
            "console/confirm.html",
            now=now,
            letter=letter,
            verb=verb,
            error=error,
            reason=request.form.get("reason", "")[: params.REASON_MAX],
        )

    def _too_late(self, letter_id: str, text: str) -> str:
        with scope.reading() as connection:
            facts = _facts(Panels(connection), connection, letter_id)
        return self.render("console/too_late.html", text=text, **facts)


def _facts(panels: Panels, connection: Any, letter_id: str) -> dict[str, Any]:
    letter = letters.one(connection, params.path_uuid(letter_id))
    if letter is None:
        raise NotFound("no such dead letter")
    audit = panels.read(letters.audit_of, letter.id) or ()
    replays = [row.detail["task_id"] for row in audit if row.action == "replay" and "task_id" in row.detail]
    task_ids = {letter.task_id, letter.replayed_as, *replays} - {None}
    return {
        "now": database_now(connection),
        "letter": letter,
        "frames": frames_of(letter.traceback),
        "arguments": {"args": letter.task_args, "kwargs": letter.task_kwargs},
        "audit": audit,
        "attempts": panels.read(letters.attempts_of, task_ids),
        "replay_job": panels.read(letters.job, letter.replayed_as),
        "verbs": [verb for verb in VERBS.values() if verb.needs_status == letter.status],
    }
