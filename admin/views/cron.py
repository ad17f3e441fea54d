"""Cron: the periodic tasks, when they are due, each one's ticks, and the verbs that pause, resume, run and backfill."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, request
from flask_admin import expose
from flask_security import current_user
from werkzeug.wrappers import Response

from admin import charts, cron_actions, params, scope
from admin.fresh import kept_reason
from admin.panels import Panels
from admin.reads import cron, overview, ticks
from admin.views.base import ConsoleView
from skeldir_huey.errors import Conflict, InputError, NotFound

STATES = ("enabled", "paused", "missed", "failed")


class CronView(ConsoleView):
    """Periodic tasks of this version."""

    @expose("/", methods=("GET", "POST"))
    def index(self) -> Any:
        """Show the list (GET), or pause or resume what was ticked (POST)."""
        if request.method == "GET":
            return self._list(None)
        verb = params.form_choice("verb", cron_actions.VERBS, "pause")
        if scope.check_form_tenant() is not None:
            raise InputError("tenant", "periodic tasks belong to all tenants; choose all tenants first")
        names = request.form.getlist("task")
        if not names:
            return Response(self._list("tick at least one task"), 400, mimetype="text/html")
        try:
            reason = params.form_reason()
        except InputError as error:
            return Response(self._list(error.reason), 400, mimetype="text/html")
        changed = cron_actions.steer(current_user, verb, names, reason)
        word = "Paused" if verb == "pause" else "Resumed"
        rest = len(names) - changed
        flash(f"{word} {changed} of {len(names)}{'; the others were so already' if rest else ''}.", "ok")
        return redirect(scope.link("cron.index"), 303)

    @expose("/<task_name>/run", methods=("GET", "POST"))
    def run(self, task_name: str) -> Any:
        """Ask for a reason (GET), or enqueue one job (POST)."""
        if task_name not in cron.known():
            raise NotFound("no such periodic task")
        if request.method == "GET":
            return self._ask(task_name, None)
        if scope.check_form_tenant() is not None:
            raise InputError("tenant", "periodic tasks belong to all tenants; choose all tenants first")
        try:
            reason = params.form_reason()
        except InputError as error:
            return Response(self._ask(task_name, error.reason), 400, mimetype="text/html")
        try:
            task_id = cron_actions.run_now(current_user, task_name, reason)
        except Conflict as error:
            flash(str(error), "error")
            # The job that was first says why there is no second one.
            return redirect(scope.link("jobs.detail", task_id=error.task_id), 303)
        flash(f"Enqueued as job {task_id}.", "ok")
        return redirect(scope.link("jobs.detail", task_id=task_id), 303)

    @expose("/<task_name>/")
    def detail(self, task_name: str) -> str:
        """Show one task and what became of its last due minutes."""
        with scope.reading() as connection:
            panels = Panels(connection)
            now = overview.now(connection)
            entry = _entry(connection, task_name, now)
            found = panels.read(ticks.latest, task_name, now)
        return self.render("console/cron_task.html", now=now, entry=entry, ticks=found, kept_days=ticks.KEPT.days)

    @expose("/<task_name>/backfill", methods=("GET", "POST"))
    def backfill(self, task_name: str) -> Any:
        """Ask for a range and show which minutes had no job (GET), or enqueue their jobs (POST)."""
        if task_name not in cron.known():
            raise NotFound("no such periodic task")
        if request.method == "GET":
            return self._ask_range(task_name, None)
        if scope.check_form_tenant() is not None:
            raise InputError("tenant", "periodic tasks belong to all tenants; choose all tenants first")
        try:
            first, last = params.minute("from"), params.minute("to")
            if first is None or last is None:
                raise InputError("from", "choose the first and the last minute")
            added = cron_actions.backfill(current_user, task_name, first, last, params.form_reason())
        except InputError as error:
            return self._ask_range(task_name, error)
        except Conflict as error:
            flash(str(error), "error")
            return redirect(scope.link("cron.detail", task_name=task_name), 303)
        flash(f"Enqueued {len(added)} {'job' if len(added) == 1 else 'jobs'}, one for each minute without.", "ok")
        return redirect(scope.link("cron.detail", task_name=task_name), 303)

    def _ask_range(self, task_name: str, error: InputError | None) -> Any:
        found = None
        with scope.reading() as connection:
            panels = Panels(connection)
            now = overview.now(connection)
            entry = _entry(connection, task_name, now)
            try:
                first, last = params.minute("from"), params.minute("to")
                if first is not None and last is not None:
                    found = panels.read(ticks.between, task_name, first, last, now)
            except InputError as wrong:
                error = error or wrong
        page = self.render(
            "console/cron_backfill.html",
            now=now,
            entry=entry,
            asked="from" in request.args,
            ticks=found,
            empty=[tick for tick in found or () if tick.state == "none"],
            most=ticks.MOST,
            kept_days=ticks.KEPT.days,
            error=error,
            reason=request.form.get("reason", "")[: params.REASON_MAX] or kept_reason(),
        )
        return Response(page, 400 if error else 200, mimetype="text/html")

    def _list(self, error: str | None) -> str:
        wanted = params.text("q").lower()
        state = params.choice("state", STATES, "")
        with scope.reading() as connection:
            now = overview.now(connection)
            found = Panels(connection).read(cron.entries, now)
        shown = [
            entry
            for entry in found or ()
            if wanted in f"{entry.name} {entry.words} {entry.lane}".lower() and state in ("", entry.state)
        ]
        return self.render(
            "console/cron.html",
            now=now,
            entries=shown if found is not None else None,
            total=len(found or ()),
            counts={word: sum(1 for entry in found or () if entry.state == word) for word in STATES},
            state=state,
            states=STATES,
            wanted=wanted,
            spark=lambda entry: charts.spark([round(row.run_ms or 0) for row in entry.runs]),
            error=error,
            ticked=set(request.form.getlist("task")),
            reason=request.form.get("reason", "")[: params.REASON_MAX],
        )

    def _ask(self, task_name: str, error: str | None) -> str:
        with scope.reading() as connection:
            now = overview.now(connection)
            entry = _entry(connection, task_name, now)
        reason = request.form.get("reason", "")[: params.REASON_MAX]
        return self.render("console/cron_run.html", now=now, entry=entry, error=error, reason=reason)


def _entry(connection: Any, task_name: str, now: Any) -> cron.Entry:
    found = next((one for one in cron.entries(connection, now) if one.name == task_name), None)
    if found is None:
        raise NotFound("no such periodic task")
    return found
