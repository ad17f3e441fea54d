"""Allocations: models side by side, the events behind each figure, and every cent of one sale."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any
from uuid import UUID

from flask_admin import expose
from flask_security import current_user
from sqlalchemy.engine import Connection, Row

from admin import params, scope
from admin.export import csv_response
from admin.panels import Panels
from admin.reads import allocations as reads
from admin.reads import comparison
from admin.reads.comparison import Period
from admin.reads.overview import now as database_now
from admin.reads.run_grid import midnight
from admin.reads.timeline import draw
from admin.views.base import ConsoleView
from skeldir_huey.attribution.explain import explain
from skeldir_huey.attribution.types import ModelSpec
from skeldir_huey.db.tables import Allocation
from skeldir_huey.errors import InputError, NotFound

SPANS = (1, 7, 30, 90)
USUAL = 7


class AllocationsView(ConsoleView):
    """Money per channel under every model version, and the sales behind it. Always of one tenant."""

    @expose("/")
    def index(self) -> str:
        tenant_id = scope.current().tenant_id
        if tenant_id is None:
            return self.render("console/choose_tenant.html", endpoint="allocations.index", what="Allocations")
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            versions = reads.versions(connection)
            base = _version(versions, params.text("base"))
            period = _period(connection, tenant_id, now)
            names = [base, *(one.model_version for one in versions if one.model_version != base)]
            found = panels.read(comparison.compare, tenant_id, names, period) if versions else ([], [])
        return self.render(
            "console/allocations.html",
            now=now,
            versions=versions,
            base=base,
            period=period,
            spans=[(days, period.last - timedelta(days=days - 1)) for days in SPANS],
            tables=found[0] if found else None,
            left_out=found[1] if found else [],
            columns=comparison.COLUMNS,
        )

    @expose("/events")
    def events(self) -> str:
        """List the events of a period under one version, those of a channel on demand."""
        tenant_id, after, channel = scope.current().tenant_id, params.after(), params.text("channel")
        if tenant_id is None:
            return self.render("console/choose_tenant.html", endpoint="allocations.index", what="Allocations")
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            versions = reads.versions(connection)
            model = _version(versions, params.text("model"))
            period = _period(connection, tenant_id, now)
            names = reads.channel_names(connection)
            if channel and channel not in names:
                raise NotFound("no such channel")
            page = panels.read(reads.events_page, tenant_id, model, channel, period, after)
        return self.render(
            "console/allocation_events.html",
            now=now,
            versions=versions,
            model=model,
            channel=channel,
            names=names,
            period=period,
            page=page,
            after=after,
        )

    @expose("/export", methods=("POST",))
    def export(self) -> Any:
        """Download what the comparison shows, all versions, or the events of one of them when `model` is given."""
        tenant_id, channel = scope.check_form_tenant(), params.text("channel")
        if tenant_id is None or tenant_id != scope.current().tenant_id:
            raise InputError("tenant", "an export is of the tenant of its page")
        with scope.reading() as connection:
            versions = reads.versions(connection)
            period = _period(connection, tenant_id, database_now(connection))
            if channel and channel not in reads.channel_names(connection):
                raise NotFound("no such channel")
        chosen = {"start": f"{period.first:%Y-%m-%d}", "end": f"{period.last:%Y-%m-%d}", "channel": channel}
        if params.text("model"):
            model = _version(versions, params.text("model"))
            found = reads.events(tenant_id, model, channel, period).order_by(
                Allocation.converted_at.desc(), Allocation.event_id.desc()
            )
            return csv_response(current_user, "allocation-events", found, chosen | {"model": model})
        names = [version.model_version for version in versions]
        return csv_response(current_user, "allocations", comparison.export(tenant_id, names, period), chosen)

    @expose("/<event_id>/")
    def detail(self, event_id: str) -> str:
        with scope.reading() as connection:
            panels = Panels(connection)
            sale = reads.event(connection, params.path_uuid(event_id))
            if sale is None:
                raise NotFound("no such event")
            versions = reads.versions_of(connection, sale.tenant_id)
            model = _version(versions, params.text("model"))
            credits = panels.read(reads.credits_of, sale.id)
            touches = panels.read(reads.touches, sale)
            chosen = next((one for one in versions if one.model_version == model), None)
            explained = None
            if chosen is not None and sale.kind == "conversion":
                spec = ModelSpec(chosen.name, chosen.version, chosen.model_type, chosen.params)
                explained = panels.read(explain, sale.tenant_id, sale.id, model, spec)
        names = {sale.channel: sale.channel_name} | {one.channel: one.channel_name for one in touches or ()}
        names |= {one.channel_code: one.channel_name or one.channel_code for one in credits or ()}
        return self.render(
            "console/sale.html",
            now=sale.now,
            sale=sale,
            credits=credits,
            touches=touches,
            timeline=draw(sale, touches, explained) if touches else None,
            touch_limit=reads.TOUCH_LIMIT,
            names=names,
            versions=versions,
            model=model,
            explained=explained,
            lookback=reads.lookback_start(sale, chosen.params) if chosen else None,
        )


def _version(versions: Sequence[Row], asked: str) -> str:
    """Return the version that the URL asks for, else the published or newest one, "" when there is none."""
    names = [version.model_version for version in versions]
    if asked and asked not in names:
        raise NotFound("no such model version")
    return asked or (names[0] if names else "")


def _period(connection: Connection, tenant_id: UUID, now: Any) -> Period:
    """Return the days that the URL asks for, else the last 7 with data."""
    first, last = params.day("start"), params.day("end")
    last = last or comparison.newest_day(connection, tenant_id) or midnight(now)
    last = midnight(last)
    first = first or last - timedelta(days=USUAL - 1)
    if first > last:
        raise InputError("end", "is before the first day")
    if (last - first).days >= comparison.MAX_DAYS:
        raise InputError("end", f"at most {comparison.MAX_DAYS} days at once")
    return Period(first, last)
