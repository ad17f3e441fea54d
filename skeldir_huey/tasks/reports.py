"""Refresh of the materialized views: every 5 minutes, and at once after a run."""

from __future__ import annotations

import time

from huey import crontab

from skeldir_huey.log import get_log
from skeldir_huey.reports.refresh import refresh
from skeldir_huey.reports.registry import VIEWS, View
from skeldir_huey.tasks.base import periodic, transaction

log = get_log("reports")


def _key(args: object, kwargs: object) -> str:
    return "refresh_all"


def _key_realtime(args: object, kwargs: object) -> str:
    return "refresh_realtime"


@periodic(crontab(minute="*/5"), name="skeldir.reports.refresh_all", lane="maintenance", unique=_key)
def refresh_all() -> None:
    """Refresh every registered view, each in a transaction of its own; skip one that is being refreshed already."""
    for view in VIEWS:
        _refresh(view)


@periodic(crontab(), name="skeldir.reports.refresh_realtime", lane="maintenance", unique=_key_realtime)
def refresh_realtime() -> None:
    """Refresh the views that may be no older than a minute."""
    for view in VIEWS:
        if view.fresh_s <= 60:
            _refresh(view)


def _refresh(view: View) -> None:
    began = time.monotonic()
    with transaction(commit=True) as connection:
        done = refresh(connection, view)
    if done:
        log.info("view_refreshed", view=view.name, duration_ms=round((time.monotonic() - began) * 1000))
    else:
        log.info("view_refresh_skipped", view=view.name, reason="another refresh of it is running")
