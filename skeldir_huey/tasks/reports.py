"""Refresh of the materialized views: every 5 minutes, and at once after a run."""

from __future__ import annotations

import time

from huey import crontab

from skeldir_huey.log import get_log
from skeldir_huey.reports.refresh import refresh
from skeldir_huey.reports.registry import VIEWS
from skeldir_huey.tasks.base import periodic, transaction

log = get_log("reports")


def _key(args: object, kwargs: object) -> str:
    return "refresh_all"


@periodic(crontab(minute="*/5"), name="skeldir.reports.refresh_all", lane="maintenance", unique=_key)
def refresh_all() -> None:
    """Refresh every registered view, each in a transaction of its own; skip one that is being refreshed already."""
    for view in VIEWS:
        began = time.monotonic()
        with transaction(commit=True) as connection:
            done = refresh(connection, view)
        if done:
            log.info("view_refreshed", view=view.name, duration_ms=round((time.monotonic() - began) * 1000))
        else:
            log.info("view_refresh_skipped", view=view.name, reason="another refresh of it is running")
