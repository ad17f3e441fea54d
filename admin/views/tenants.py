"""Tenants: one row each, and a page for each with its limits, its pause and its reconciliation."""

from __future__ import annotations

import math
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask import flash, redirect, request
from flask_admin import expose
from flask_security import current_user
from werkzeug.wrappers import Response

from admin import ledger_actions, params, scope, tenant_actions
from admin.panels import Panels
from admin.queue_actions import MINUTES
from admin.reads import tenants as reads
from admin.reads.overview import now as database_now
from admin.views.base import ConsoleView
from skeldir_huey.config import LANES
from skeldir_huey.errors import InputError, NotFound

VERBS = ("pause", "resume", "limits")
MAX_WEIGHT, MAX_CAP = 1000.0, 10_000


class TenantsView(ConsoleView):
    """Who is affected, and whose work it is."""

    @expose("/")
    def index(self) -> str:
        current = scope.current()
        ids = [current.tenant_id] if current.tenant_id else [choice.id for choice in current.choices]
        wanted = params.text("from")
        if wanted and wanted not in map(str, ids):
            raise NotFound("no such tenant")
        place = [str(one) for one in ids].index(wanted) if wanted else 0
        shown = [one for one in ids[place : place + reads.PAGE_SIZE] if one]
        with scope.reading() as connection:
            now = database_now(connection)
            found = Panels(connection).read(reads.states, shown, now, current.tenant_id is None)
        return self.render(
            "console/tenants.html",
            now=now,
            states=found,
            is_matched=reads.is_matched,
            count=len(ids),
            following=ids[place + reads.PAGE_SIZE] if place + reads.PAGE_SIZE < len(ids) else None,
            before=ids[max(place - reads.PAGE_SIZE, 0)] if place else None,
        )

    @expose("/<tenant_id>/")
    def detail(self, tenant_id: str) -> str:
        row_id = _here(tenant_id)
        with scope.reading() as connection:
            panels = Panels(connection)
            tenant = reads.one(connection, row_id)
            if tenant is None:
                raise NotFound("no such tenant")
            states = panels.read(reads.states, [row_id], tenant.now, scope.current().tenant_id is None)
            lanes = panels.read(reads.lanes, row_id)
            runs = panels.read(reads.reconciliations, row_id)
            money = panels.read(reads.reconciled_money, row_id, runs[0].id) if runs else ()
            orders = panels.read(reads.worst_orders, row_id, runs[0].id) if runs else ()
            rates = panels.read(reads.rates, row_id)
        return self.render(
            "console/tenant.html",
            now=tenant.now,
            tenant=tenant,
            state=states[0] if states else None,
            lanes=lanes,
            runs=runs,
            money=money,
            orders=orders,
            rates=rates,
            is_matched=reads.is_matched,
            discrepancy_bp=reads.discrepancy_bp,
            may_limit=tenant_actions.may_limit(current_user),
        )

    @expose("/<tenant_id>/reconcile", methods=("GET", "POST"))
    def reconcile(self, tenant_id: str) -> Any:
        """Ask for the days and a reason (GET), or enqueue the reconciliation (POST)."""
        row_id = _here(tenant_id)
        if request.method == "GET":
            return self._ask_days(row_id, None)
        if scope.check_form_tenant() != row_id:
            raise InputError("tenant", "the form belongs to another tenant than the page; nothing was changed")
        try:
            start, end = ledger_actions.window_of(params.form_day("first"), params.form_day("last"))
            reason = params.form_reason()
        except InputError as error:
            return self._ask_days(row_id, error)
        task_id, made = ledger_actions.reconcile(current_user, row_id, start, end, reason)
        words = "Enqueued." if made else "One of just these days is under way: no second job was made."
        flash(f"{words} Its result appears on the tenant's page.", "ok")
        return redirect(scope.link("jobs.detail", task_id=task_id), 303)

    def _ask_days(self, row_id: UUID, error: InputError | None) -> Any:
        with scope.reading() as connection:
            now = database_now(connection)
            tenant = reads.one(connection, row_id)
        if tenant is None:
            raise NotFound("no such tenant")
        yesterday = (now - timedelta(days=1)).date().isoformat()
        page = self.render(
            "console/tenant_reconcile.html", now=now, tenant=tenant, yesterday=yesterday, form=request.form, error=error
        )
        return Response(page, 400 if error else 200, mimetype="text/html")

    @expose("/<tenant_id>/<verb_name>", methods=("GET", "POST"))
    def verb(self, tenant_id: str, verb_name: str) -> Any:
        """Ask for a reason (GET), or do it (POST): pause or resume in all lanes, or the limits in `lane`."""
        row_id, lane = _here(tenant_id), params.text("lane")
        if verb_name not in VERBS or (verb_name == "limits") != (lane in LANES):
            raise NotFound("no such verb")
        if request.method == "GET":
            return self._ask(row_id, verb_name, lane, None)
        if scope.check_form_tenant() != row_id:
            raise InputError("tenant", "the form belongs to another tenant than the page; nothing was changed")
        try:
            words = _act(row_id, verb_name, lane)
        except InputError as error:
            return self._ask(row_id, verb_name, lane, error)
        flash(words, "ok")
        return redirect(scope.link("tenants.detail", tenant_id=row_id), 303)

    def _ask(self, row_id: UUID, verb_name: str, lane: str, error: InputError | None) -> Any:
        with scope.reading() as connection:
            now = database_now(connection)
            tenant = reads.one(connection, row_id)
            lanes = reads.lanes(connection, row_id)
        if tenant is None:
            raise NotFound("no such tenant")
        page = self.render(
            "console/tenant_confirm.html",
            now=now,
            tenant=tenant,
            verb=verb_name,
            lane=next((row for row in lanes if row.name == lane), None),
            paused=[row.name for row in lanes if row.paused_at],
            every=[row.name for row in lanes],
            minutes=MINUTES,
            form=request.form,
            error=error,
            may_limit=tenant_actions.may_limit(current_user),
        )
        return Response(page, 400 if error else 200, mimetype="text/html")


def _act(row_id: UUID, verb_name: str, lane: str) -> str:
    if verb_name == "limits":
        weight, cap = _weight(), _cap()
        tenant_actions.set_limits(current_user, row_id, lane, weight, cap, params.form_reason())
        return f"Weight {weight:g} and {f'a cap of {cap}' if cap else 'no cap'} in queue {lane}."
    reason = params.form_reason()
    if verb_name == "pause":
        minutes = params.form_choice("minutes", MINUTES, "never")
        return f"Paused in {tenant_actions.pause(current_user, row_id, reason, minutes)} queues. What runs goes on."
    return f"Resumed in {tenant_actions.resume(current_user, row_id, reason)} queues."


def _weight() -> float:
    try:
        weight = float(request.form.get("weight", ""))
    except ValueError:
        weight = math.nan
    if not 0.01 <= weight <= MAX_WEIGHT:
        raise InputError("weight", f"expected a number from 0.01 to {MAX_WEIGHT:g}; 1 is usual")
    return weight


def _cap() -> int | None:
    text = request.form.get("cap", "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and 1 <= int(text) <= MAX_CAP):
        raise InputError("cap", f"expected a whole number from 1 to {MAX_CAP}, or nothing for no cap")
    return int(text)


def _here(tenant_id: str) -> UUID:
    row_id = params.path_uuid(tenant_id)
    if scope.current().tenant_id not in (None, row_id):
        raise NotFound("no such tenant")
    return row_id
