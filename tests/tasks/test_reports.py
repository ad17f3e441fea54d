"""The refresh of summaries and views: when inputs changed, in order, one at a time, on record, and seen to be late."""

from __future__ import annotations

import contextlib
import json
import logging
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from uuid import UUID

import pytest
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from skeldir_huey import cli
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.reports import registry
from skeldir_huey.reports.refresh import Refreshed, is_due, refresh
from skeldir_huey.reports.registry import REPORTS, SUMMARIES, VIEWS
from skeldir_huey.reports.status import Status, read_status
from skeldir_huey.tasks.reports import refresh_all, refresh_realtime, refresh_view
from tests.attribution.runner import CHANNELS, make_version, run_window
from tests.cluster import Database
from tests.factories import make_event, make_tenant

PERFORMANCE = registry.find("mv_channel_performance")


def begin() -> AbstractContextManager[Connection]:
    return transaction(None, role="app_rw")


def statuses() -> dict[str, Status]:
    with begin() as connection:
        return {status.view.name: status for status in read_status(connection)}


def refresh_everything(asked_by: str = "test") -> dict[str, Refreshed]:
    return {view.name: refresh(begin, view, asked_by) for view in REPORTS}


def outcomes(database: Database, view: str) -> list[str]:
    statement = "select outcome from matview_refresh where view_name = %s order by id"
    return [outcome for (outcome,) in database.query(statement, [view])]


@pytest.fixture
def tenant_id(database: Database) -> UUID:
    """A tenant with one conversion, allocated to three channels."""
    made = make_tenant(database)
    make_event(database, made, cents=10_000)
    run_window(made, make_version(made, "even_split", channels=CHANNELS))
    return made


def test_registry_is_what_the_database_has(database: Database) -> None:
    rows = database.query("select matviewname from pg_matviews order by 1")
    assert sorted(view.name for view in VIEWS) == [row[0] for row in rows]
    backlog = database.query("select report from app.report_backlog()")
    assert {view.name for view in VIEWS + SUMMARIES} == {row[0] for row in backlog}


def test_registry_says_what_each_view_reads(database: Database) -> None:
    for view in VIEWS:
        read = database.query(
            "select distinct d.refobjid::regclass::text from pg_rewrite r join pg_depend d on d.objid = r.oid"
            " join pg_class c on c.oid = d.refobjid and c.relkind in ('r', 'm')"
            " where r.ev_class = %s::regclass and d.refobjid <> r.ev_class",
            [view.name],
        )
        assert {name for (name,) in read} == set(view.reads), view.name


def test_a_view_comes_after_what_it_reads() -> None:
    names = [view.name for view in REPORTS]
    for view in REPORTS:
        assert all(names.index(name) < names.index(view.name) for name in view.reads if name in names)
    assert {view.fresh_s for view in REPORTS} == {60, 3600}
    assert registry.find("channel_performance") == PERFORMANCE
    with pytest.raises(InputError, match="mv_realtime_revenue"):
        registry.find("mv_nothing")


def test_refresh_all_brings_every_view_up_to_date(
    database: Database, tenant_id: UUID, run_all: Callable[[], int]
) -> None:
    assert database.value("select count(*) from mv_channel_performance") == 0
    assert statuses()["mv_channel_performance"].is_behind, "its summary is"
    refresh_all()
    refresh_all()  # waits already: no second job
    assert run_all() == 1
    assert database.value("select count(*) from mv_channel_performance") == 3
    assert database.query("select event_count, allocation_count from mv_allocation_summary") == [(1, 3)]
    assert database.value("select revenue_cents from mv_daily_revenue_summary") == 10_000
    assert not any(status.is_behind for status in statuses().values())


def test_only_what_changed_is_refreshed(database: Database, tenant_id: UUID, run_all: Callable[[], int]) -> None:
    assert {done.outcome for done in refresh_everything().values()} == {"refreshed", "unchanged"}
    before = database.value("select count(*) from matview_refresh")
    assert {done.outcome for done in refresh_everything().values()} == {"unchanged"}
    refresh_all()
    run_all()
    assert database.value("select count(*) from matview_refresh") == before, "nothing was done, nothing on record"
    make_event(database, tenant_id, cents=500)
    done = refresh_everything()
    assert done["revenue_days"].outcome == done["mv_daily_revenue_summary"].outcome == "refreshed"
    assert done["allocation_days"].outcome == done["mv_channel_performance"].outcome == "unchanged"
    assert refresh(begin, PERFORMANCE, "test", forced=True).outcome == "refreshed"


def test_a_refresh_is_on_record(database: Database, tenant_id: UUID) -> None:
    refresh_everything("ann@example.com")
    ((outcome, asked_by, row_count, took),) = database.query(
        "select outcome, asked_by, row_count, ended_at >= started_at from matview_refresh where view_name = %s",
        [PERFORMANCE.name],
    )
    assert (outcome, asked_by, row_count, took) == ("refreshed", "ann@example.com", 3, True)
    status = statuses()[PERFORMANCE.name]
    assert status.last is not None and status.last.asked_by == "ann@example.com"
    assert status.row_count == 3 and status.refreshed_at == status.last.started_at and status.size_bytes > 0


def test_a_second_refresh_is_skipped_and_leaves_the_view_dirty(
    database: Database, tenant_id: UUID, run_all: Callable[[], int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    refresh(begin, registry.find("allocation_days"), "test")
    with begin() as connection:
        connection.exec_driver_sql("select app.refresh_report('mv_channel_performance', true)")
        assert statuses()[PERFORMANCE.name].locked_by is not None
        refresh_all()
        run_all()
        assert refresh(begin, PERFORMANCE, "test").outcome == "skipped"
        connection.rollback()
    said = [record.getMessage() for record in caplog.records if record.getMessage() == "view_refresh_skipped"]
    assert len(said) == 1 and outcomes(database, PERFORMANCE.name) == ["skipped", "skipped"]
    assert statuses()[PERFORMANCE.name].has_changes, "the next one will do it"
    assert refresh(begin, PERFORMANCE, "test").outcome == "refreshed"


def test_a_refresh_goes_again_when_something_changed_meanwhile(database: Database, tenant_id: UUID) -> None:
    rounds = 0

    @contextlib.contextmanager
    def busy() -> Iterator[Connection]:
        nonlocal rounds
        with begin() as connection:
            yield connection
        rounds += 1
        if rounds == 2:  # between the refresh and its look for more
            make_event(database, tenant_id, cents=7)

    done = refresh(busy, registry.find("revenue_days"), "test")
    assert done.outcome == "refreshed" and outcomes(database, "revenue_days") == ["refreshed", "refreshed"]
    assert database.value("select sum(revenue_cents) from revenue_days") == 10_007


def test_a_failed_refresh_is_on_record_and_the_others_go_on(
    database: Database, tenant_id: UUID, run_all: Callable[[], int]
) -> None:
    database.query("alter table allocation_days add constraint broken check (day < '2000-01-01') not valid")
    refresh_all()
    run_all()
    assert outcomes(database, "allocation_days") == ["failed"]
    assert "broken" in database.value("select error_message from matview_refresh where outcome = 'failed'")
    assert database.value("select count(*) from mv_daily_revenue_summary") == 1
    assert statuses()["allocation_days"].change_count == 1, "its marks are still there"
    database.query("alter table allocation_days drop constraint broken")
    assert refresh_everything()["mv_channel_performance"].row_count == 3
    with pytest.raises(DBAPIError, match="unknown report"), begin() as connection:
        connection.exec_driver_sql("select app.refresh_report('pg_class', true)")


def test_a_lost_refresh_does_not_run_for_ever(database: Database, tenant_id: UUID) -> None:
    database.query(
        "insert into matview_refresh (view_name, asked_by, started_at)"
        " values ('revenue_days', 'gone', now() - interval '1 hour')"
    )
    refresh(begin, registry.find("revenue_days"), "test")
    assert outcomes(database, "revenue_days") == ["failed", "refreshed"]


def test_lateness_is_seen(database: Database, tenant_id: UUID) -> None:
    database.query("update report_changes set created_at = created_at - interval '2 minutes'")
    assert statuses()["allocation_days"].is_late and not statuses()[PERFORMANCE.name].is_late
    refresh(begin, registry.find("allocation_days"), "test")
    status = statuses()[PERFORMANCE.name]
    assert 119 < status.behind_s < 3600, "the summary carries on since when"
    assert is_due(status)
    database.query("update report_changes set created_at = created_at - interval '2 hours'")
    assert statuses()[PERFORMANCE.name].is_late


def test_an_expensive_view_waits_until_half_of_its_target(database: Database, tenant_id: UUID) -> None:
    refresh_everything()
    database.query("update matview_refresh set ended_at = started_at + interval '5 seconds'")
    make_event(database, tenant_id)
    refresh(begin, registry.find("revenue_days"), "test")
    name = "mv_daily_revenue_summary"
    assert not is_due(statuses()[name]) and is_due(statuses()[name], held_back=False)
    database.query("update report_changes set created_at = created_at - interval '31 minutes'")
    assert is_due(statuses()[name])


def test_the_last_day_moves_on_by_itself(database: Database, tenant_id: UUID, run_all: Callable[[], int]) -> None:
    name = "mv_realtime_revenue"
    assert not statuses()[name].has_changes, "an event of last year is none of its business"
    statement = "select now() - interval '23 hours'"
    event = make_event(database, tenant_id, occurred_at=database.value(statement))
    refresh_realtime()
    run_all()
    assert event and database.value(f"select count(*) from {name}") == 1
    assert statuses()[name].has_changes, "without any change of its inputs"


def test_one_view_on_request(database: Database, tenant_id: UUID, run_all: Callable[[], int]) -> None:
    refresh_view(PERFORMANCE.name, asked_by="ann", forced=True)
    run_all()
    assert outcomes(database, "allocation_days") == outcomes(database, PERFORMANCE.name) == ["refreshed"]
    assert outcomes(database, "mv_allocation_summary") == []
    assert database.value("select count(*) from mv_channel_performance") == 3


def test_tenants_see_their_own_rows_of_views_and_summaries(database: Database, tenant_id: UUID) -> None:
    other = make_tenant(database, "other")
    make_event(database, other, cents=77)
    run_window(other, make_version(other, "even_split", channels=CHANNELS))
    refresh_everything()
    for name in ("allocation_days", "revenue_days", "channel_performance", "allocation_summary"):
        for mine in (tenant_id, other):
            with transaction(mine) as connection:
                found = connection.exec_driver_sql(f"select distinct tenant_id from {name}").scalars().all()
            assert found == [mine], name
        with transaction(None) as connection:
            assert not connection.exec_driver_sql(f"select 1 from {name}").all()


def test_the_command_shows_and_refreshes(
    database: Database, tenant_id: UUID, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["views", "--json"]) == 0
    shown = {row["view"]: row for row in json.loads(capsys.readouterr().out)}
    assert set(shown) == {view.name for view in REPORTS}
    assert shown[PERFORMANCE.name]["state"] == "behind" and shown[PERFORMANCE.name]["refreshed_at"] is None
    assert cli.main(["views", "refresh", "channel_performance"]) == 0
    printed = capsys.readouterr().out
    assert "allocation_days: refreshed" in printed and "mv_channel_performance: refreshed" in printed
    assert database.value("select count(*) from mv_channel_performance") == 3
    assert cli.main(["views", "refresh", PERFORMANCE.name, "--force", "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["state"] == "fresh" and row["last"]["asked_by"] == "command" and row["row_count"] == 3
    with begin() as connection:
        connection.exec_driver_sql("select app.refresh_report('mv_channel_performance', true)")
        assert cli.main(["views", "refresh", PERFORMANCE.name, "--force"]) == 1
        assert "skipped: another refresh of it is running" in capsys.readouterr().out
    database.query("update report_changes set created_at = created_at - interval '2 hours'")
    assert cli.main(["views", "--check"]) == 1
    assert cli.main(["views", "--force"]) == 2 and cli.main(["views", "refresh", "nothing"]) == 2
