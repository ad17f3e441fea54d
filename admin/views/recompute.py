"""Recompute: which days of which tenant are computed, every run, and the verbs that ask for more."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from flask import flash, redirect, request
from flask_admin import expose
from flask_security import current_user
from werkzeug.wrappers import Response

from admin import params, recompute_actions, scope
from admin.panels import Panels
from admin.reads import allocations, letters, run_grid, run_plan, run_totals, runs
from admin.reads.overview import now as database_now
from admin.reads.pages import COUNT_CAP
from admin.views.base import ConsoleView
from skeldir_huey.errors import InputError, NotFound

SPLITS = {"daily": "one run per day, one after the other", "one": "one run over the whole range"}
VERBS = {"cancel": recompute_actions.cancel_backfill, "resume": recompute_actions.resume_backfill}


class RecomputeView(ConsoleView):
    """Recomputes of one tenant, window and model version."""

    @expose("/")
    def index(self) -> str:
        status = params.choice("status", (*runs.STATUSES, "any"), "any")
        after, day, until = params.after(), params.day("day"), params.day("until")
        model = params.text("model")
        shown, following, before = _tenants(scope.current())
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            last = until or panels.read(run_grid.last_day, now) or run_grid.midnight(now)
            grid = panels.read(run_grid.grid, shown, last, model)
            page = panels.read(runs.page, status, day, after)
            count = panels.read(runs.count, status, day)
            backfills = panels.read(runs.backfills)
        return self.render(
            "console/recompute.html",
            now=now,
            grid=grid,
            states=run_grid.STATES,
            last=last,
            earlier=last - run_grid.DAYS * run_grid.DAY,
            later=last + run_grid.DAYS * run_grid.DAY,
            following=following,
            before=before,
            model=model,
            page=page,
            count=count,
            cap=COUNT_CAP,
            status=status,
            day=day,
            after=after,
            statuses=runs.STATUSES,
            backfills=backfills,
            days_of=runs.days_of,
        )

    @expose("/<run_id>/")
    def detail(self, run_id: str) -> str:
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            run = runs.one(connection, params.path_uuid(run_id))
            if run is None:
                raise NotFound("no such run")
            job = panels.read(letters.job, run.task_id)
            attempts = panels.read(letters.attempts_of, [run.task_id] if run.task_id else [])
            letter = panels.read(runs.open_letter, run) if run.status == "failed" else None
            totals = panels.read(run_totals.of_run, run)
            names = panels.read(allocations.channel_names) or {}
        return self.render(
            "console/run.html",
            now=now,
            run=run,
            job=job,
            attempts=attempts,
            letter_id=letter,
            totals=totals,
            names=names,
            second=timedelta(seconds=1),
        )

    @expose("/ask", methods=("GET", "POST"))
    def ask(self) -> Any:
        """Show the form and, when it is filled in, the dry run (GET); or do it (POST)."""
        tenant_id = scope.current().tenant_id
        if request.method == "GET" and tenant_id is None:
            return self.render("console/choose_tenant.html", endpoint="recompute.ask", what="Recompute")
        if request.method == "GET":
            return self._ask(tenant_id, None)
        tenant_id = scope.check_form_tenant()
        if tenant_id is None:
            raise InputError("tenant", "a recompute is of one tenant")
        try:
            asked = _asked()
            if asked is None:
                raise InputError("start", "choose the first and the last day")
            reason = params.form_reason()
        except InputError as error:
            return self._ask(tenant_id, error)
        first, last, daily = asked
        model = params.text("model")
        window = run_plan.windows(first, last, False)[0]
        if daily and first != last:
            backfill, made = recompute_actions.start_backfill(current_user, tenant_id, *window, model, reason)
            words = "Backfill started" if made else "A backfill of just these days is under way: no second one was made"
            flash(f"{words}: {backfill.day_count} days of {model}.", "ok")
            return redirect(scope.link("recompute.index", tenant=tenant_id), 303)
        run, made = recompute_actions.recompute(current_user, tenant_id, *window, model, reason)
        words = (
            "The run waits for a worker." if made else f"This window is {run.status} already: no second job was made."
        )
        flash(words, "ok")
        return redirect(scope.link("recompute.detail", tenant=tenant_id, run_id=run.id), 303)

    def _ask(self, tenant_id: UUID | None, error: InputError | None) -> Any:
        plan = asked = None
        try:
            asked = _asked()
        except InputError as wrong:
            error = error or wrong
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            versions = allocations.versions(connection)
            model = params.text("model") or (versions[0].model_version if versions else "")
            if params.text("model") and all(version.model_version != model for version in versions):
                raise NotFound("no such model version")
            if asked is not None and tenant_id is not None:
                plan = panels.read(run_plan.plan, tenant_id, model, *asked)
        page = self.render(
            "console/recompute_ask.html",
            now=now,
            versions=versions,
            model=model,
            splits=SPLITS,
            split=params.choice("split", SPLITS, "daily"),
            asked=asked,
            plan=plan,
            error=error,
            reason=request.form.get("reason", "")[: params.REASON_MAX],
        )
        return Response(page, 400 if error else 200, mimetype="text/html")

    @expose("/backfills/<backfill_id>/<verb_name>", methods=("GET", "POST"))
    def backfill(self, backfill_id: str, verb_name: str) -> Any:
        """Ask for a reason (GET), or cancel or resume a backfill (POST)."""
        if verb_name not in VERBS:
            raise NotFound("no such verb")
        row_id = params.path_uuid(backfill_id)
        if request.method == "GET":
            return self._steer(row_id, verb_name, None)
        tenant_id = scope.check_form_tenant()
        if tenant_id is None:
            raise InputError("tenant", "a backfill is of one tenant")
        try:
            reason = params.form_reason()
        except InputError as error:
            return self._steer(row_id, verb_name, error)
        VERBS[verb_name](current_user, tenant_id, row_id, reason)
        flash("Cancelled: it stops after the day that is under way." if verb_name == "cancel" else "It goes on.", "ok")
        return redirect(scope.link("recompute.index", tenant=tenant_id), 303)

    def _steer(self, row_id: UUID, verb_name: str, error: InputError | None) -> Any:
        with scope.reading() as connection:
            now = database_now(connection)
            found = runs.backfill(connection, row_id)
        if found is None:
            raise NotFound("no such backfill")
        page = self.render(
            "console/backfill_confirm.html",
            now=now,
            backfill=found,
            done=runs.days_of(found),
            verb=verb_name,
            may_be=("running",) if verb_name == "cancel" else ("cancelled", "failed"),
            error=error,
            reason=request.form.get("reason", "")[: params.REASON_MAX],
        )
        return Response(page, 400 if error else 200, mimetype="text/html")


def _asked() -> tuple[datetime, datetime, bool] | None:
    """Return first day, last day, and whether each day is a run of its own; None while the form is not filled in."""
    first, last = params.day("start"), params.day("end")
    daily = params.choice("split", SPLITS, "daily") == "daily"
    if first is None or last is None:
        return None
    if last < first:
        raise InputError("end", "is before the first day")
    if (last - first).days >= run_plan.MAX_DAYS:
        raise InputError("end", f"at most {run_plan.MAX_DAYS} days at once")
    return first, last, daily


def _tenants(current: scope.Scope) -> tuple[list[UUID], UUID | None, UUID | None]:
    """Return the tenants of this page of the grid, the first of the next page, and that of the page before."""
    if current.tenant_id is not None:
        return [current.tenant_id], None, None
    ids = [choice.id for choice in current.choices]
    wanted = params.text("from")
    if wanted and wanted not in map(str, ids):
        raise NotFound("no such tenant")
    place = [str(one) for one in ids].index(wanted) if wanted else 0
    size = run_grid.TENANTS
    following = ids[place + size] if place + size < len(ids) else None
    return ids[place : place + size], following, ids[max(place - size, 0)] if place else None
