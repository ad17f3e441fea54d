"""Materialized views: how old each is against its target, its refreshes, and the verb that refreshes it now."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, request
from flask_admin import expose
from flask_security import current_user
from werkzeug.wrappers import Response

from admin import matview_actions, params, scope
from admin.panels import Panels
from admin.reads import matviews as reads
from admin.reads.overview import now as database_now
from admin.views.base import ConsoleView
from skeldir_huey.errors import Conflict, InputError, NotFound
from skeldir_huey.reports.registry import REPORTS, View


class MatviewsView(ConsoleView):
    """What reports read, and how fresh it is."""

    @expose("/")
    def index(self) -> str:
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            states = panels.read(reads.states)
            holders = panels.read(reads.holders, states) if states else {}
        return self.render(
            "console/matviews.html",
            now=now,
            states=states,
            holders=holders or {},
        )

    @expose("/<view_name>/")
    def detail(self, view_name: str) -> str:
        view, after = _view(view_name), params.after(int)
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            states = panels.read(reads.states)
            holders = panels.read(reads.holders, states) if states else {}
            page = panels.read(reads.refreshes, view, after)
        return self.render(
            "console/matview.html",
            now=now,
            view=view,
            state=next((one for one in states or () if one.view == view), None),
            holders=holders or {},
            next_at=reads.next_look(view, now),
            page=page,
            after=after,
        )

    @expose("/<view_name>/refresh", methods=("GET", "POST"))
    def refresh(self, view_name: str) -> Any:
        """Ask for a reason (GET), or ask for the refresh (POST)."""
        view = _view(view_name)
        if request.method == "GET":
            return self._ask(view, None)
        if scope.check_form_tenant() is not None:
            raise InputError("tenant", "a view is of all tenants")
        try:
            reason = params.form_reason()
        except InputError as error:
            return self._ask(view, error)
        try:
            task_id, made = matview_actions.refresh(current_user, view, reason)
        except Conflict as error:
            return self._ask(view, None, str(error))
        flash("Asked for." if made else "Asked for already: no second job was made.", "ok")
        return redirect(scope.link("jobs.detail", task_id=task_id, tenant=None), 303)

    def _ask(self, view: View, error: InputError | None, conflict: str | None = None) -> Any:
        with scope.reading() as connection:
            now = database_now(connection)
            states = Panels(connection).read(reads.states) or ()
        page = self.render(
            "console/matview_refresh.html",
            now=now,
            view=view,
            state=next((one for one in states if one.view == view), None),
            error=error,
            conflict=conflict,
            reason=request.form.get("reason", "")[: params.REASON_MAX],
        )
        return Response(page, 409 if conflict else 400 if error else 200, mimetype="text/html")


def _view(name: str) -> View:
    for view in REPORTS:
        if view.name == name:
            return view
    raise NotFound("no such view")
