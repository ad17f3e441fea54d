"""Runs: which windows were recomputed, with which version, and what came out."""

from __future__ import annotations

from flask_admin import expose

from admin import params, scope
from admin.panels import Panels
from admin.reads import letters, runs
from admin.reads.overview import now as database_now
from admin.reads.pages import COUNT_CAP
from admin.views.base import ConsoleView
from skeldir_huey.errors import NotFound


class RunsView(ConsoleView):
    """Recomputes of one tenant, window and model version."""

    @expose("/")
    def index(self) -> str:
        status = params.choice("status", (*runs.STATUSES, "any"), "any")
        after = params.after()
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            page = panels.read(runs.page, status, after)
            count = panels.read(runs.count, status)
        return self.render(
            "console/run_list.html",
            now=now,
            page=page,
            count=count,
            cap=COUNT_CAP,
            status=status,
            after=after,
            statuses=runs.STATUSES,
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
        return self.render("console/run.html", now=now, run=run, job=job, attempts=attempts)
