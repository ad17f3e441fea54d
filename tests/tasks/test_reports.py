"""The refresh of the materialized views: all of the registry, each by one worker at a time."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from skeldir_huey.db.engine import transaction
from skeldir_huey.reports.refresh import refresh
from skeldir_huey.reports.registry import VIEWS
from skeldir_huey.tasks.reports import refresh_all
from tests.attribution.runner import CHANNELS, make_version, run_window
from tests.cluster import Database
from tests.factories import make_event, make_tenant


def test_registry_is_what_the_database_has(database: Database) -> None:
    rows = database.query("select matviewname from pg_matviews order by 1")
    assert sorted(view.name for view in VIEWS) == [row[0] for row in rows]


def test_refresh_all_brings_every_view_up_to_date(database: Database, run_all: Callable[[], int]) -> None:
    tenant_id = make_tenant(database)
    make_event(database, tenant_id, cents=10_000)
    run_window(tenant_id, make_version(tenant_id, "even_split", channels=CHANNELS))
    assert database.value("select count(*) from mv_channel_performance") == 0
    refresh_all()
    refresh_all()  # waits already: no second job
    assert run_all() == 1
    assert database.value("select count(*) from mv_channel_performance") == 3
    assert database.value("select count(*) from mv_allocation_summary") == 1


def test_view_that_is_being_refreshed_is_skipped_and_said(
    database: Database, run_all: Callable[[], int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    with transaction(None) as connection:
        assert refresh(connection, VIEWS[0])
        refresh_all()
        run_all()
    said = [record.getMessage() for record in caplog.records if record.getMessage().startswith("view_refresh")]
    assert said == ["view_refresh_skipped"] + ["view_refreshed"] * (len(VIEWS) - 1)
