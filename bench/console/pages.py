"""The pages that are timed: every page of the menu, as all tenants and as one, and the details behind them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from flask import Flask

from bench.attribution.place import Place

# Milliseconds, of CONSOLE.md 6.4.
LIST_MS, GROUPS_MS, OVERVIEW_MS = 100, 150, 200
GOALS = {"admin": OVERVIEW_MS, "dead": GROUPS_MS}


@dataclass(frozen=True)
class Page:
    """A page: its name in the table, its path, its budget, and whether it is a list, to be as fast on more rows."""

    name: str
    path: str
    goal_ms: int
    is_list: bool


# Behind the menu: name, path with the ids below in braces, and whether it is a list.
BEHIND = (
    ("overview 7 days", "/admin/?range=7d", False),
    ("dead letters by job", "/admin/dead/jobs/", True),
    ("dead letters by job deep", "/admin/dead/jobs/?after={deep}", True),
    ("dead letter", "/admin/dead/{letter}/", False),
    ("jobs dead", "/admin/jobs/?state=dead", True),
    ("job", "/admin/jobs/{task}/", False),
    ("queue", "/admin/queues/attribution/", False),
    ("recompute one tenant", "/admin/recompute/?tenant={tenant}", True),
    ("dry run of a month", "/admin/recompute/ask?tenant={tenant}&start={month_ago}&end={yesterday}", False),
    ("run", "/admin/recompute/{run}/", False),
    ("allocations 7 days", "/admin/allocations/?tenant={tenant}", False),
    ("events of a channel", "/admin/allocations/events?tenant={tenant}&channel=email", True),
    ("sale", "/admin/allocations/{sale}/?tenant={tenant}", False),
    ("tenant", "/admin/tenants/{tenant}/", False),
    ("materialized view", "/admin/matviews/allocation_days/", True),
)

IDS = """
select (select id::text from worker_failed_jobs where task_id = 'letter-1') as letter,
       (select to_char(failed_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS') || '~' || id from worker_failed_jobs
         where status = 'pending' order by failed_at, id
         offset (select count(*) / 10 from worker_failed_jobs where status = 'pending') limit 1) as deep,
       md5('tenant1')::uuid::text as tenant, 'attempt-8' as task,
       (select id::text from attribution_events where tenant_id = md5('tenant1')::uuid
           and kind = 'conversion' order by id limit 1) as sale,
       (select id::text from attribution_recompute_jobs where tenant_id = md5('tenant1')::uuid
           and status = 'succeeded' and model_version = 'linear@1.0.0' order by created_at desc limit 1) as run,
       to_char(now() - interval '30 days', 'YYYY-MM-DD') as month_ago,
       to_char(now() - interval '1 day', 'YYYY-MM-DD') as yesterday
"""
NAMES = ("letter", "deep", "tenant", "task", "sale", "run", "month_ago", "yesterday")


def pages(app: Flask, place: Place, only: list[str]) -> list[Page]:
    """Return the pages in the order of the menu, then those behind it.

    Args:
        only: names to keep; empty means all.
    """
    ids = dict(zip(NAMES, place.run(IDS)[0], strict=True))
    made = []
    for item in _menu(app):
        made.append(
            Page(item.name.lower(), item.url + "/", GOALS.get(item.endpoint, LIST_MS), item.endpoint not in ("admin",))
        )
    for name, path, is_list in BEHIND:
        goal = OVERVIEW_MS if name.startswith("overview") else LIST_MS
        made.append(Page(name, path.format(**ids), goal, is_list))
    return [page for page in made if not only or page.name in only]


def _menu(app: Flask) -> list[Any]:
    (console,) = app.extensions["admin"]
    return [view for view in console._views if view.category]
