"""Dead letters: by error, by job, one letter, and the verbs on it."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, request
from flask_admin import expose
from flask_security import current_user
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response

from admin import edit_replay, error_actions, export, letter_query, params, scope
from admin.actions import VERBS
from admin.charts import spark
from admin.frames import frames_of
from admin.guard import note_refusal
from admin.panels import Panels
from admin.permissions import can, refusal, require_fresh
from admin.reads import bulk, errors, letters
from admin.reads.overview import now as database_now
from admin.reads.pages import COUNT_CAP
from admin.views.base import ConsoleView
from admin.views.dead_errors import decision_of_form, error_page
from skeldir_huey.config import LANES
from skeldir_huey.errors import Conflict, InputError, NotFound

SIZES = ("25", "50", "100")


class DeadLettersView(ConsoleView):
    """Jobs that failed for good, and what to do about them."""

    @expose("/")
    def index(self) -> str:
        """Show the errors behind the letters, those that somebody must look at first."""
        return self.render("console/dead_groups.html", spark=spark, **error_page())

    @expose("/error/<fingerprint>", methods=("GET", "POST"))
    def decide(self, fingerprint: str) -> Any:
        """Ask what is said about an error (GET), or note it (POST)."""
        if not letter_query.FINGERPRINT.fullmatch(fingerprint):
            raise NotFound("no such error")
        if request.method == "GET":
            return self._ask_decision(fingerprint, None)
        tenant_id = scope.check_form_tenant()
        if tenant_id != scope.current().tenant_id:
            raise InputError("tenant", "the form belongs to another tenant than the page; nothing was changed")
        with scope.reading() as connection:
            now = database_now(connection)
        try:
            decision = decision_of_form(now, current_user.email)
        except InputError as error:
            return Response(self._ask_decision(fingerprint, error), 400, mimetype="text/html")
        error_actions.decide(current_user, fingerprint, tenant_id, decision)
        flash("Noted.", "ok")
        return redirect(scope.link("dead.index"), 303)

    def _ask_decision(self, fingerprint: str, error: InputError | None) -> str:
        with scope.reading() as connection:
            now = database_now(connection)
            found = errors.groups(connection, now, fingerprint)
        if not found:
            raise NotFound("no such error")
        return self.render(
            "console/dead_decide.html",
            now=now,
            group=found[0],
            kinds=error_actions.KINDS,
            days=error_actions.IGNORE_DAYS,
            error=error,
        )

    @expose("/jobs/")
    def jobs(self) -> str:
        """Show the letters one by one."""
        size = params.choice("size", SIZES, SIZES[0])
        after = params.after()
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            asked = letter_query.from_address(now)
            page = count = None
            if asked.wrong is None:
                page = panels.read(letters.page, asked.filter, after, int(size))
                count = panels.read(letters.count, asked.filter)
        return self.render(
            "console/dead_list.html",
            now=now,
            asked=asked,
            status=asked.filter.status,
            page=page,
            count=count,
            cap=COUNT_CAP,
            after=after,
            size=size,
            sizes=SIZES,
            statuses=letters.STATUSES,
            queues=LANES,
            ranges=letter_query.RANGES,
            verbs=[verb for verb in VERBS.values() if verb.needs_status == asked.filter.status],
        )

    @expose("/jobs/export", methods=("POST",))
    def export(self) -> Response:
        """Download the ticked letters, or all that match."""
        with scope.reading() as connection:
            wanted = letter_query.from_form(database_now(connection))
        return export.csv_response(current_user, "dead-letters", letters.exported(wanted), wanted.as_json())

    @expose("/<letter_id>/")
    def detail(self, letter_id: str) -> str:
        with scope.reading() as connection:
            return self.render("console/dead_letter.html", **_facts(Panels(connection), connection, letter_id))

    @expose("/<letter_id>/edit", methods=("GET", "POST"))
    def edit(self, letter_id: str) -> Any:
        """Show the arguments as a form (GET), what would change, or replay with them (POST)."""
        with scope.reading() as connection:
            now = database_now(connection)
            letter = letters.one(connection, params.path_uuid(letter_id))
            if letter is None:
                raise NotFound("no such dead letter")
            message = edit_replay.stored_message(connection, letter.id)
        if not can(current_user, "edit_replay", letter.tenant_id):
            note_refusal("edit_replay", letter.tenant_id)
            raise Forbidden(refusal(current_user, "edit_replay", letter.tenant_id))
        facts: dict[str, Any] = {"now": now, "letter": letter, "error": None, "changes": None, "found": None}
        status = 200
        try:
            found = facts["found"] = edit_replay.editable(letter.task_name, message)
            if request.method == "POST":
                values = edit_replay.arguments_of_form(letter, found)
                facts["changes"] = edit_replay.difference(found, values)
                if params.form_choice("step", ("preview", "replay"), "preview") == "replay":
                    reason = params.form_reason()
                    require_fresh()
                    changed = [name for name, _, _ in facts["changes"]]
                    task_id = edit_replay.replay_edited(current_user, letter, values, changed, reason)
                    flash(f"Replay queued with other arguments as job {task_id}.", "ok")
                    return redirect(scope.link("dead.detail", letter_id=letter_id), 303)
        except InputError as error:
            facts["error"] = error
            status = 400 if request.method == "POST" else 200
        except Conflict as error:
            return Response(self._too_late(letter_id, str(error)), 409, mimetype="text/html")
        return Response(self.render("console/dead_edit.html", **facts), status, mimetype="text/html")

    @expose("/<letter_id>/<verb_name>", methods=("GET", "POST"))
    def verb(self, letter_id: str, verb_name: str) -> Any:
        """Ask for a reason (GET, the way without script), or do it (POST)."""
        verb = VERBS.get(verb_name)
        if verb is None:
            raise NotFound("no such verb")
        row_id = params.path_uuid(letter_id)
        canary_of = _canary_of(verb_name)
        if request.method == "GET":
            return self._ask(letter_id, verb, None)
        tenant_id = scope.check_form_tenant()
        try:
            reason = params.form_reason()
        except InputError as error:
            return Response(self._ask(letter_id, verb, error.reason), 400, mimetype="text/html")
        try:
            if canary_of:
                error_actions.replay_canary(current_user, canary_of, row_id, tenant_id, reason)
                flash("One job is queued to try it out. Its card shows what becomes of it.", "ok")
                return redirect(scope.link("dead.index", _anchor=f"error-{canary_of}"), 303)
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
            canary=_canary_of(verb.name),
            reason=request.form.get("reason", "")[: params.REASON_MAX],
        )

    def _too_late(self, letter_id: str, text: str) -> str:
        with scope.reading() as connection:
            facts = _facts(Panels(connection), connection, letter_id)
        return self.render("console/too_late.html", text=text, **facts)


def _canary_of(verb_name: str) -> str:
    """Return the error that a replay tries out, "" for a plain one."""
    fingerprint = params.text("canary")
    if fingerprint and (verb_name != "replay" or not letter_query.FINGERPRINT.fullmatch(fingerprint)):
        raise InputError("canary", "not an error that can be tried out")
    return fingerprint


def _facts(panels: Panels, connection: Any, letter_id: str) -> dict[str, Any]:
    letter = letters.one(connection, params.path_uuid(letter_id))
    if letter is None:
        raise NotFound("no such dead letter")
    audit = panels.read(letters.audit_of, letter.id) or ()
    bulk_items = panels.read(bulk.of_letter, letter.id) or ()
    replays = [row.detail["task_id"] for row in audit if row.action == "replay" and "task_id" in row.detail]
    task_ids = {letter.task_id, letter.replayed_as, *replays, *(item.task_id for item in bulk_items)} - {None}
    return {
        "now": database_now(connection),
        "letter": letter,
        "frames": frames_of(letter.traceback),
        "arguments": {"args": letter.task_args, "kwargs": letter.task_kwargs},
        "audit": audit,
        "bulk_items": bulk_items,
        "edited_to": panels.read(letters.edited_to, letter.id),
        "attempts": panels.read(letters.attempts_of, task_ids),
        "replay_job": panels.read(letters.job, letter.replayed_as),
        "verbs": [verb for verb in VERBS.values() if verb.needs_status == letter.status],
    }
