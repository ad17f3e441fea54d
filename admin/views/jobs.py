"""In flight: jobs that run, wait or have ended, one job with all its attempts, and all that one correlation id did."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import flash, redirect, request
from flask_admin import expose
from flask_security import current_user
from werkzeug.wrappers import Response

from admin import job_actions, params, scope
from admin.frames import frames_of
from admin.panels import Panels
from admin.reads import jobs, overview
from admin.reads import search as finds
from admin.reads.pages import COUNT_CAP
from admin.search import JOB_STATES, OUTCOMES, Query, SearchError, parse
from admin.views.base import ConsoleView
from skeldir_huey.config import LANES, settings
from skeldir_huey.db.tables import Job, JobAttempt
from skeldir_huey.errors import Conflict, InputError, NotFound
from skeldir_huey.tenancy import parse_uuid

HISTORY = timedelta(days=7)
LATE_SHARE = 0.8


class JobsView(ConsoleView):
    """Jobs, whatever state they are in."""

    @expose("/")
    def index(self) -> str:
        state = params.choice("state", (*JOB_STATES, *OUTCOMES), "running")
        lane = params.choice("queue", LANES, "")
        query, wrong = _query()
        here = scope.current()
        with scope.reading() as connection:
            panels = Panels(connection)
            now = overview.now(connection)
            facts: dict[str, Any] = {"rows": None, "page": None, "count": None, "after": None}
            if state in OUTCOMES:
                after = params.after(int)
                conditions = finds.attempt_conditions(query, here.choices, now - HISTORY) or []
                conditions += [JobAttempt.outcome == state] + ([JobAttempt.lane == lane] if lane else [])
                facts |= {"page": panels.read(jobs.attempts, conditions, after), "after": after}
            else:
                here_and_so = finds.job_conditions(query, here.choices)
                conditions = [Job.state == state] + ([Job.lane == lane] if lane else [])
                # What no queued job has matches none of them.
                conditions += [Job.id.is_(None)] if here_and_so is None else here_and_so
                facts["count"] = panels.read(jobs.count, conditions)
                if state == "running":
                    facts["rows"] = panels.read(jobs.running, conditions)
                else:
                    after = params.after(int)
                    page = panels.read(jobs.queued, conditions, int(after.id) if after else None)
                    facts |= {"page": page, "after": after}
        return self.render(
            "console/jobs.html",
            now=now,
            state=state,
            states=JOB_STATES,
            outcomes=OUTCOMES,
            lane=lane,
            lanes=LANES,
            query=query,
            wrong=wrong,
            cap=COUNT_CAP,
            late_share=LATE_SHARE,
            heartbeat_s=settings().heartbeat_s,
            frozen_after_s=settings().frozen_after_s,
            **facts,
        )

    @expose("/correlation/<correlation_id>/")
    def correlation(self, correlation_id: str) -> str:
        wanted = params.path_uuid(correlation_id)
        with scope.reading() as connection:
            panels = Panels(connection)
            now = overview.now(connection)
            found = panels.read(jobs.correlated, wanted)
            attempts = panels.read(jobs.correlated_attempts, wanted, now - HISTORY)
        if found is not None and attempts is not None and not (found.jobs or found.letters or found.runs or attempts):
            raise NotFound("nothing carries this correlation id")
        return self.render("console/correlation.html", now=now, id=wanted, found=found, attempts=attempts)

    @expose("/<task_id>/")
    def detail(self, task_id: str) -> str:
        with scope.reading() as connection:
            return self.render("console/job.html", **_facts(Panels(connection), connection, task_id))

    @expose("/<task_id>/cancel", methods=("GET", "POST"))
    def cancel(self, task_id: str) -> Any:
        """Ask for a reason (GET, the way without script), or ask the queue to cancel (POST)."""
        _check(task_id)
        if request.method == "GET":
            return self._ask(task_id, None)
        tenant_id = scope.check_form_tenant()
        try:
            reason = params.form_reason()
        except InputError as error:
            return Response(self._ask(task_id, error.reason), 400, mimetype="text/html")
        try:
            state = job_actions.cancel(current_user, task_id, tenant_id, reason)
        except Conflict as error:
            flash(str(error), "error")
        else:
            flash(job_actions.ASKED[state], "ok")
        return redirect(scope.link("jobs.detail", task_id=task_id), 303)

    @expose("/<task_id>/release", methods=("GET", "POST"))
    def release(self, task_id: str) -> Any:
        """Ask for a reason (GET), or take a running job from its worker (POST)."""
        _check(task_id)
        if request.method == "GET":
            return self._ask(task_id, None, "console/job_release.html")
        tenant_id = scope.check_form_tenant()
        try:
            reason = params.form_reason()
        except InputError as error:
            page = self._ask(task_id, error.reason, "console/job_release.html")
            return Response(page, 400, mimetype="text/html")
        claim = parse_uuid(request.form.get("claim", ""), "claim")
        job_actions.release(current_user, task_id, tenant_id, claim, reason)
        flash("Released: whoever is free runs it again. What its former worker still writes is undone.", "ok")
        return redirect(scope.link("jobs.detail", task_id=task_id), 303)

    def _ask(self, task_id: str, error: str | None, template: str = "console/job_cancel.html") -> str:
        with scope.reading() as connection:
            now = overview.now(connection)
            job = jobs.one(connection, task_id)
        if job is None:
            raise NotFound("no such job")
        return self.render(
            template,
            now=now,
            job=job,
            frozen_after_s=settings().frozen_after_s,
            explanation=job_actions.EXPLAINED[job["state"]],
            error=error,
            reason=request.form.get("reason", "")[: params.REASON_MAX],
        )


def _query() -> tuple[Query, SearchError | None]:
    try:
        return parse(params.text("q")), None
    except SearchError as error:
        return Query(error.text), error


def _check(task_id: str) -> None:
    if len(task_id) > 200 or not task_id.isprintable():
        raise NotFound("no such job")


def _facts(panels: Panels, connection: Any, task_id: str) -> dict[str, Any]:
    _check(task_id)
    job = jobs.one(connection, task_id)
    attempts = panels.read(jobs.attempts_of, [task_id])
    replayed = {row.letter_id for row in attempts or () if row.letter_id} | ({job["letter_id"]} if job else set())
    letters = panels.read(jobs.letters_of, task_id, list(replayed - {None})) or ()
    runs = panels.read(jobs.runs_of, task_id)
    if job is None and not attempts and not letters and not runs:
        raise NotFound("no such job")
    own = next((letter for letter in letters if letter.task_id == task_id), None)
    last = attempts[-1] if attempts else None
    # What happened last says what it is called and whose it is.
    source: Any = _Facts(job) if job else last or own
    letter = own or (letters[0] if letters and last is not None and last.outcome == "dead" else None)
    return {
        "now": overview.now(connection),
        "task_id": task_id,
        "job": job,
        "attempts": attempts,
        "last": last,
        "source": source,
        "letters": letters,
        "letter": letter,
        "frames": frames_of(letter.traceback if letter else None),
        "arguments": _arguments(job, own or (letters[0] if letters else None)),
        "replays": panels.read(jobs.replays_of, letters) if letters else [],
        "alike": panels.read(jobs.same_error, letter.fingerprint) if letter else None,
        "runs": runs,
        "history_days": HISTORY.days,
        "frozen_after_s": settings().frozen_after_s,
    }


class _Facts:
    """Attribute access to a row that was read as a dictionary."""

    def __init__(self, values: dict[str, Any]) -> None:
        self.task_name, self.tenant_id = values["task_name"], values["tenant_id"]
        self.lane, self.correlation_id = values["lane"], values["correlation_id"]


def _arguments(job: dict[str, Any] | None, letter: Any) -> dict[str, Any] | None:
    if job is not None and job["read"].readable:
        return dict(job["read"].arguments)
    return {"args": letter.task_args, "kwargs": letter.task_kwargs} if letter is not None else None
