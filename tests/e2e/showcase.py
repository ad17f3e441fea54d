"""Takes a picture of each page of the console, full of rows.

`python -m tests.e2e.showcase FOLDER` makes its own cluster, starts the console, and writes the pictures: 1280 and 390
pixels wide, light and dark.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tests.admin.world import World
from tests.cluster import Cluster
from tests.conftest import TEMPLATE, point_at, prepare, program
from tests.e2e import busy_letters
from tests.e2e.busy_world import make_show
from tests.e2e.chrome import browser, console, enter


def paths(world: World) -> dict[str, str]:
    """Return every page worth a picture, by name."""
    scope = f"?tenant={world.a.tenant_id}"
    viewer = world.database.value("select id from console_user where email = %s", (world.viewer_a,))
    running = world.database.value("select task_id from huey.job where state = 'running' order by task_id limit 1")
    dead = world.database.value("select task_id from worker_failed_jobs where id = %s", (str(world.a.letter),))
    start, end = world.database.query(
        "select to_char(now() at time zone 'utc' - interval '20 min', m), to_char(now() at time zone 'utc', m)"
        " from (select 'YYYY-MM-DD\"T\"HH24:MI' as m) form"
    )[0]
    return {
        "overview": "/admin/",
        "overview-tenant": f"/admin/{scope}&range=6h",
        "queues": "/admin/queues/",
        "queue": "/admin/queues/attribution/",
        "queue-tenant": f"/admin/queues/attribution/{scope}",
        "queue-paused": "/admin/queues/maintenance/",
        "queue-confirm": f"/admin/queues/attribution/pause{scope}",
        "queue-cancel-waiting": "/admin/queues/attribution/jobs/cancel_waiting",
        "jobs": "/admin/jobs/",
        "jobs-waiting": "/admin/jobs/?state=waiting",
        "jobs-ended": "/admin/jobs/?state=dead",
        "job": f"/admin/jobs/{running}/",
        "job-dead": f"/admin/jobs/{dead}/",
        "job-cancel": f"/admin/jobs/{running}/cancel",
        "search": "/admin/search/?q=task:recompute_window+status:pending",
        "search-wrong": "/admin/search/?q=task:recompute_window+status:lost",
        "cron": "/admin/cron/",
        "job-release": f"/admin/jobs/{running}/release",
        "cron-task": "/admin/cron/skeldir.reports.refresh_realtime/",
        "cron-backfill": f"/admin/cron/skeldir.reports.refresh_realtime/backfill?from={start}&to={end}",
        "cron-run": "/admin/cron/skeldir.reports.refresh_all/run",
        "health": "/admin/health/",
        "dead": "/admin/dead/",
        **busy_letters.paths(world),
        "dead-empty": "/admin/dead/jobs/?status=abandoned&queue=llm",
        "letter": f"/admin/dead/{world.a.letter}/",
        "confirm": f"/admin/dead/{world.a.letter}/abandon",
        "letter-edit": f"/admin/dead/{world.a.letter}/edit",
        "dead-decide": "/admin/dead/error/0000000000000000",
        "recompute": "/admin/recompute/?until=2025-06-12",
        "recompute-ask": f"/admin/recompute/ask{scope}&start=2025-05-20&end=2025-06-03",
        "run": f"/admin/recompute/{world.a.run}/",
        "allocations": f"/admin/allocations/{scope}",
        "allocations-choose": "/admin/allocations/",
        "allocation-events": f"/admin/allocations/events{scope}&channel=email",
        "sale": f"/admin/allocations/{world.a.sale}/{scope}",
        "tenants": "/admin/tenants/",
        "tenant": f"/admin/tenants/{world.a.tenant_id}/",
        "tenant-limits": f"/admin/tenants/{world.a.tenant_id}/limits?lane=attribution",
        "tenant-reconcile": f"/admin/tenants/{world.a.tenant_id}/reconcile",
        "matviews": "/admin/matviews/",
        "matview": "/admin/matviews/mv_channel_performance/",
        "matview-refresh": "/admin/matviews/mv_channel_performance/refresh",
        "audit": "/admin/audit/",
        "audit-verified": f"/admin/audit/{scope}&verify=1",
        "account": "/admin/account/",
        "users": "/admin/users/",
        "user": f"/admin/users/{viewer}/",
        "user-new": "/admin/users/new",
        "user-grant": f"/admin/users/{viewer}/grant",
        "second-factor": "/admin/tf-setup",
        "not-found": "/admin/recompute/nothing/",
        "password": "/admin/change",
    }


LOOKS = tuple((size, scheme) for size in ((1280, 860), (390, 844)) for scheme in ("light", "dark"))


def take(world: World, folder: Path, executable: str, only: set[str], looks: Any = LOOKS) -> None:
    """Write a picture of each page in each width and theme, or in the looks that are given."""
    folder.mkdir(parents=True, exist_ok=True)
    with console() as address, browser(executable) as started:
        for (width, height), scheme in looks:
            context = started.new_context(
                viewport={"width": width, "height": height},
                color_scheme="dark" if scheme == "dark" else "light",
            )
            page = context.new_page()
            page.goto(f"{address}/admin/login")
            if not only or "login" in only:
                page.screenshot(path=folder / f"login-{width}-{scheme}.png")
            enter(page, address, world.admin)
            for name, path in paths(world).items():
                if not only or name in only:
                    page.goto(address + path)
                    page.screenshot(path=folder / f"{name}-{width}-{scheme}.png", full_page=True)
            context.close()


def main(folder: Path, only: set[str], looks: Any = LOOKS) -> None:
    """Make a cluster, seed it, take the pictures, remove it."""
    executable = program("chromium")
    assert executable, "no Chromium found"
    cluster = Cluster()
    try:
        cluster.start()
        prepare(cluster)
        cluster.database("postgres").connect(autocommit=True).cursor().execute(
            f"create database show template {TEMPLATE} owner skeldir_owner"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("SKELDIR_DATA_DIR", str(cluster.root / "home"))
            point_at(cluster.database("show"), patch)
            world = make_show(cluster.database("show"))
            take(world, folder, executable, only, looks)
    finally:
        cluster.remove()


if __name__ == "__main__":
    main(Path(sys.argv[1]), set(sys.argv[2:]))
