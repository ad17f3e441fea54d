"""Allocations: who got the credit for which sale, to the cent."""

from __future__ import annotations

from flask_admin import expose

from admin import params, scope
from admin.panels import Panels
from admin.reads import allocations as reads
from admin.reads.overview import now as database_now
from admin.views.base import ConsoleView
from skeldir_huey.errors import NotFound


class AllocationsView(ConsoleView):
    """Money per channel under one model version, and the sales behind it. Always of one tenant."""

    @expose("/")
    def index(self) -> str:
        asked, after = params.text("model"), params.after()
        if scope.current().tenant_id is None:
            return self.render("console/choose_tenant.html", endpoint="allocations.index", what="Allocations")
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            versions = reads.versions(connection)
            model = asked or (versions[0].model_version if versions else "")
            if asked and all(version.model_version != asked for version in versions):
                raise NotFound("no such model version")
            tables = panels.read(reads.by_channel, model)
            missing = panels.read(reads.without_allocation, model)
            page = panels.read(reads.events_page, model, after)
        return self.render(
            "console/allocations.html",
            now=now,
            versions=versions,
            model=model,
            tables=tables,
            missing=missing,
            page=page,
            after=after,
        )

    @expose("/<event_id>/")
    def detail(self, event_id: str) -> str:
        with scope.reading() as connection:
            panels = Panels(connection)
            now = database_now(connection)
            sale = reads.event(connection, params.path_uuid(event_id))
            if sale is None:
                raise NotFound("no such event")
            credits = panels.read(reads.credits_of, sale.id)
            touches = panels.read(reads.touches, sale)
            names = reads.channel_names(connection)
            lookbacks = {}
            if scope.current().tenant_id is not None:
                lookbacks = {
                    version.model_version: reads.lookback_start(sale, version.params)
                    for version in reads.versions(connection)
                }
        return self.render(
            "console/sale.html",
            now=now,
            sale=sale,
            credits=credits,
            touches=touches,
            touch_limit=reads.TOUCH_LIMIT,
            names=names,
            lookbacks=lookbacks,
        )
