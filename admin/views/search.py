"""Search: what the box at the top of every page finds among jobs, attempts and dead letters, or behind a bare id."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from flask import redirect
from flask_admin import expose

from admin import params, scope
from admin.panels import Panels
from admin.reads import jobs, overview
from admin.reads import search as finds
from admin.search import Query, SearchError, parse
from admin.views.base import ConsoleView

RANGES = {
    "1h": ("1 h", timedelta(hours=1)),
    "24h": ("24 h", timedelta(hours=24)),
    "7d": ("7 d", timedelta(days=7)),
    "all": ("any time", None),
}
WORDS = {
    "job": "Job",
    "letter": "Dead letter",
    "run": "Run",
    "correlation": "Correlation",
    "sale": "Sale",
    "tenant": "Tenant",
}


class SearchView(ConsoleView):
    """Reached from the box at the top of each page, not from the menu."""

    def is_visible(self) -> bool:
        return False

    @expose("/")
    def index(self) -> Any:
        span = params.choice("range", RANGES, "7d")
        text = params.text("q")
        try:
            query, wrong = parse(text), None
        except SearchError as error:
            query, wrong = Query(text), error
        facts: dict[str, Any] = {"jobs": (), "attempts": (), "letters": (), "asked": ()}
        things: list[finds.Found] = []
        with scope.reading() as connection:
            panels = Panels(connection)
            now = overview.now(connection)
            if query.uuid is not None:
                things = panels.read(finds.things_called, query.uuid, scope.current().choices) or []
            elif query.terms:
                facts = _find(panels, query, now, RANGES[span][1])
        if len(things) == 1:
            return redirect(_page_of(things[0]))
        return self.render(
            "console/search.html",
            now=now,
            query=query,
            wrong=wrong,
            span=span,
            ranges=RANGES,
            things=[(WORDS[thing.kind], thing, _page_of(thing)) for thing in things],
            shown=finds.SHOWN,
            **facts,
        )


def _find(panels: Panels, query: Query, now: Any, length: timedelta | None) -> dict[str, Any]:
    choices = scope.current().choices
    since = now - length if length is not None else None
    found: dict[str, Any] = {"asked": []}
    in_jobs = finds.job_conditions(query, choices)
    in_attempts = finds.attempt_conditions(query, choices, since)
    in_letters = finds.letter_conditions(query, choices, since)
    for name, conditions in (("jobs", in_jobs), ("attempts", in_attempts), ("letters", in_letters)):
        if conditions is not None:
            found["asked"].append(name)
    found["jobs"] = panels.read(jobs.queued, in_jobs, None) if in_jobs is not None else None
    found["attempts"] = panels.read(jobs.attempts, in_attempts, None) if in_attempts is not None else None
    found["letters"] = panels.read(finds.letters, in_letters) if in_letters is not None else None
    return found


def _page_of(thing: finds.Found) -> str:
    if thing.kind == "job":
        return scope.link("jobs.detail", task_id=thing.id)
    if thing.kind == "letter":
        return scope.link("dead.detail", letter_id=thing.id)
    if thing.kind == "run":
        return scope.link("recompute.detail", run_id=thing.id)
    if thing.kind == "sale":
        return scope.link("allocations.detail", event_id=thing.id, tenant=thing.tenant_id)
    if thing.kind == "tenant":
        return scope.link("admin.index", tenant=thing.id)
    return scope.link("jobs.correlation", correlation_id=thing.id)
