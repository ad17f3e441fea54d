"""Queues: the lanes, what waits in each and why, and the verbs that stop and start them."""

from __future__ import annotations

from typing import Any

from flask import flash, redirect, request
from flask_admin import expose
from flask_security import current_user
from werkzeug.wrappers import Response

from admin import charts, lane_actions, params, queue_actions, scope
from admin.panels import Panels
from admin.reads import minutes, overview, queues
from admin.reads.queues import Target
from admin.reads.roll_up import times
from admin.show import number, seconds
from admin.views.base import ConsoleView
from skeldir_huey.config import LANES, settings
from skeldir_huey.errors import InputError, NotFound


class QueuesView(ConsoleView):
    """One row per lane, and a page for each."""

    @expose("/")
    def index(self) -> str:
        with scope.reading() as connection:
            return self.render("console/queues.html", **_lanes(Panels(connection), connection))

    @expose("/<lane>/")
    def detail(self, lane: str) -> str:
        _check(lane)
        with scope.reading() as connection:
            panels = Panels(connection)
            facts = _lanes(panels, connection)
            parts = panels.read(queues.parts, lane, facts["now"], scope.current().tenant_id)
            first = panels.read(queues.first_waiting, lane)
        # The lane itself and its tasks belong to all tenants: they are steered from the page of all tenants.
        return self.render(
            "console/queue.html",
            name=lane,
            parts=parts,
            first=first,
            verbs=lane_actions.VERBS.values(),
            chart=_chart(facts["ended"].get(lane), facts["now"]) if facts["ended"] is not None else None,
            data=params.choice("data", ("ended",), ""),
            **facts,
        )

    @expose("/<lane>/<verb_name>", methods=("GET", "POST"))
    def verb(self, lane: str, verb_name: str) -> Any:
        """Ask for a reason (GET), or do it (POST): to the tenant of the form, to `task`, or to the whole lane."""
        _check(lane)
        if verb_name not in queue_actions.VERBS:
            raise NotFound("no such verb")
        task_name = params.text("task") or None
        if request.method == "GET":
            return self._ask(_target(lane, task_name, scope.current().tenant_id), verb_name, None)
        target = _target(lane, task_name, scope.check_form_tenant())
        with scope.reading() as connection:
            _check_task(connection, target)
        minutes = params.form_choice("minutes", queue_actions.MINUTES, "never")
        try:
            reason = params.form_reason()
        except InputError as error:
            return Response(self._ask(target, verb_name, error.reason), 400, mimetype="text/html")
        if verb_name == "pause":
            queue_actions.pause(current_user, target, reason, minutes)
            flash("Paused. What runs already goes on.", "ok")
        else:
            queue_actions.resume(current_user, target, reason)
            flash("Resumed.", "ok")
        return redirect(scope.link("queues.detail", lane=lane), 303)

    @expose("/<lane>/jobs/<verb_name>", methods=("GET", "POST"))
    def jobs(self, lane: str, verb_name: str) -> Any:
        """Ask (GET), or run what is scheduled now or cancel what waits (POST), of the scope's tenant or of all."""
        _check(lane)
        verb = lane_actions.VERBS.get(verb_name)
        if verb is None:
            raise NotFound("no such verb")
        if request.method == "GET":
            return self._ask_jobs(lane, verb, None)
        tenant_id = scope.check_form_tenant()
        if tenant_id != scope.current().tenant_id:
            raise InputError("tenant", "the form belongs to another tenant than the page; nothing was changed")
        try:
            typed = "".join(request.form.get("number", "").split())
            seen = lane_actions.Seen(params.form_number("upto"), params.form_number("count"), typed)
            count = lane_actions.act(current_user, verb, lane, tenant_id, seen, params.form_reason())
        except InputError as error:
            return Response(self._ask_jobs(lane, verb, error), 400, mimetype="text/html")
        words = "made due" if verb.state == "scheduled" else "asked to be cancelled"
        flash(f"{number(count)} {'job' if count == 1 else 'jobs'} {words}.", "ok")
        return redirect(scope.link("queues.detail", lane=lane), 303)

    def _ask_jobs(self, lane: str, verb: lane_actions.Verb, error: InputError | None) -> str:
        with scope.reading() as connection:
            now = overview.now(connection)
            upto = queues.newest_id(connection)
            found = queues.owners(connection, lane, verb.state, upto)
        return self.render(
            "console/lane_jobs.html",
            now=now,
            lane=lane,
            verb=verb,
            upto=upto,
            owners=found,
            count=sum(found.values()),
            many=lane_actions.MANY,
            most=lane_actions.MOST,
            error=error,
            reason=request.form.get("reason", "")[: params.REASON_MAX],
        )

    def _ask(self, target: Target, verb_name: str, error: str | None) -> str:
        with scope.reading() as connection:
            now = overview.now(connection)
            _check_task(connection, target)
            pause = queues.pause_of(connection, target)
        return self.render(
            "console/queue_confirm.html",
            now=now,
            target=target,
            verb=verb_name,
            pause=pause,
            minutes=queue_actions.MINUTES,
            chosen=request.form.get("minutes", "never"),
            error=error,
            reason=request.form.get("reason", "")[: params.REASON_MAX],
        )


def _check(lane: str) -> None:
    if lane not in LANES:
        raise NotFound("no such lane")


def _check_task(connection: Any, target: Target) -> None:
    now = overview.now(connection)
    if target.task_name and not queues.knows_task(connection, target.lane, target.task_name, now):
        raise NotFound("no such task in this lane")


def _target(lane: str, task_name: str | None, tenant_id: Any) -> Target:
    if task_name is not None and tenant_id is not None:
        raise InputError("task", "is paused for all tenants at once; choose all tenants first")
    return Target(lane, task_name, tenant_id)


def _lanes(panels: Panels, connection: Any) -> dict[str, Any]:
    service = panels.read(overview.service)
    now = service.now if service else overview.now(connection)
    consumers = service.consumers if service else None
    drained = workers = None
    if consumers is not None:
        limit_s = settings().frozen_after_s
        alive = [one for one in consumers if (now - one.heartbeat_at).total_seconds() <= limit_s]
        drained = {lane for one in alive for lane in one.lanes}
        workers = {lane: sum(one.worker_count for one in alive if lane in one.lanes) for lane in LANES}
    return {
        "now": now,
        "lanes": panels.read(overview.lanes),
        "ended": panels.read(minutes.by_lane, overview.SPANS["24h"], now),
        "spark": charts.spark,
        "drained": drained,
        "workers": workers,
        "no_worker_since": overview.silence_s(consumers, now, settings().frozen_after_s),
    }


def _chart(ended: Any, now: Any) -> charts.Chart:
    span = overview.SPANS["24h"]
    starts = times(now - span.length, now, span.step)
    bars = list(ended.bars) if ended else [0] * len(starts)
    series = [charts.Series("ended", "c1", bars, number(sum(bars)))]
    return charts.bars("Attempts that ended", f"per {seconds(span.step.total_seconds())}, 24 h", starts, series)
