"""Retention: whole months are frozen, then removed; what is kept can still be computed; nobody else may delete."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from skeldir_huey import cli
from skeldir_huey.attribution.paths import count_paths
from skeldir_huey.db.engine import transaction
from skeldir_huey.db.retained import check_window
from skeldir_huey.errors import InputError
from skeldir_huey.ingest import retention
from skeldir_huey.ledger.reconcile import reconcile
from skeldir_huey.queue.dead_letters import delete_settled
from skeldir_huey.tasks.attribution import schedule_recompute_window
from skeldir_huey.tasks.backfill import start_backfill
from skeldir_huey.tasks.maintenance import KEEP_LETTERS_DAYS, enforce_retention_daily
from tests.attribution.runner import make_version, run_window
from tests.cluster import Database
from tests.factories import make_letter, make_tenant
from tests.tasks.retained import KEPT_FROM, MONTH_BEFORE, NOW, VERSION, World, begin_for, count, sell


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


def test_a_dry_run_counts_what_is_then_removed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    database, mine = world.database, world.mine
    monkeypatch.setattr(retention, "BATCH", 2)  # so that there are several batches
    with transaction(mine) as connection:
        counted = retention.count(connection, KEEP_LETTERS_DAYS)
    assert counted["would_be_removed_before"] == KEPT_FROM and counted["removed_before"] is None
    before = {name: count(database, name, mine) for name in ("attribution_allocations", "attribution_events")}
    theirs = {name: count(database, name, world.theirs) for name in before}
    removed = retention.enforce(begin_for(mine))
    for name, was in before.items():
        assert 0 < removed[name] == counted[name] == was - count(database, name, mine), name
        assert count(database, name, world.theirs) == theirs[name], "another tenant's"
    assert retention.enforce(begin_for(mine)) == dict.fromkeys((*retention.PARTS, *retention.SETTLED), 0)
    # The refunded sale stays, with its allocations: the refund, which is kept, is split like it.
    sale = str(world.refunded[mine])
    assert count(database, "attribution_allocations", mine, f"event_id = '{sale}'") == 2
    behind = "select id::text from attribution_events where tenant_id = %s and occurred_at < %s"
    assert database.query(behind, [str(mine), KEPT_FROM - timedelta(days=30)]) == [(sale,)]


def test_months_are_frozen_before_they_are_removed(world: World) -> None:
    database, mine = world.database, world.mine
    money = "coalesce(sum(allocated_revenue_cents), 0)::bigint"
    per_month = (
        f"select date_trunc('month', converted_at, 'UTC')::date, channel_code, {money} from attribution_allocations"
        " where tenant_id = %s and converted_at < %s group by 1, 2 order by 1, 2"
    )
    expected = database.query(per_month, [str(mine), KEPT_FROM])
    revenue = "select sum(revenue_cents)::bigint from attribution_events where tenant_id = %s and occurred_at < %s"
    whole = database.value(revenue, [str(mine), KEPT_FROM])
    retention.enforce(begin_for(mine))
    frozen = (
        "select month, channel_code, allocated_revenue_cents from allocation_months where tenant_id = %s order by 1, 2"
    )
    assert database.query(frozen, [str(mine)]) == expected
    totals = "select sum(revenue_cents + adjustment_cents)::bigint from revenue_months where tenant_id = %s"
    assert database.value(totals, [str(mine)]) == whole
    assert count(database, "allocation_months", world.theirs) == 0
    with transaction(world.theirs) as connection:
        assert not connection.exec_driver_sql(
            "select 1 from allocation_months union select 1 from revenue_months"
        ).all()


def test_what_is_kept_is_computed_as_before(world: World) -> None:
    run = run_window(world.mine, VERSION, KEPT_FROM, NOW)
    retention.enforce(begin_for(world.mine))
    again = run_window(world.mine, VERSION, KEPT_FROM, NOW)
    assert (again.checksum, again.changed_count) == (run.checksum, 0)
    assert run.allocation_count and run.allocation_count > 5


def test_a_window_whose_events_were_removed_is_refused(world: World) -> None:
    database, mine = world.database, world.mine
    retention.enforce(begin_for(mine))
    before = database.query("select * from attribution_allocations where tenant_id = %s order by 2, 3, 4", [str(mine)])
    instant = KEPT_FROM - timedelta(seconds=1)
    for attempt in (
        lambda: run_window(mine, VERSION, instant, NOW),
        lambda: schedule_recompute_window(mine, instant, NOW, VERSION),
        lambda: start_backfill(mine, instant, NOW, VERSION),
    ):
        with pytest.raises(InputError, match=r"window_start.*were removed.*allocation_months"):
            attempt()
    with pytest.raises(InputError, match="window_start"), transaction(mine) as connection:
        reconcile(connection, mine, instant, NOW)
    # A longer lookback than any version had needs touches that are gone.
    longer = make_version(mine, "linear", "2.0.0", lookback_s=90 * 86_400)
    with pytest.raises(InputError, match="window_start"):
        run_window(mine, longer, KEPT_FROM, NOW)
    assert run_window(mine, longer, KEPT_FROM + timedelta(days=60), NOW)
    after = database.query(
        "select * from attribution_allocations where tenant_id = %s and model_version = %s order by 2, 3, 4",
        [str(mine), VERSION],
    )
    assert after == before


def test_nothing_is_removed_while_a_run_needs_it(world: World) -> None:
    with transaction(world.mine) as connection:
        check_window(connection, world.mine, KEPT_FROM)  # as a run does first
        assert sum(retention.enforce(begin_for(world.mine)).values()) == 0
    assert retention.enforce(begin_for(world.mine))["attribution_events"] > 0


def test_late_data_is_waited_for(world: World) -> None:
    mark = (
        "insert into attribution_dirty_ranges (tenant_id, range_start, range_end, reason) values (%s, %s, %s, 'late')"
    )
    world.database.query(mark, [str(world.mine), MONTH_BEFORE, MONTH_BEFORE + timedelta(days=1)])
    assert sum(retention.enforce(begin_for(world.mine)).values()) == 0
    world.database.query("update attribution_dirty_ranges set created_at = now() - interval '8 days'")
    assert retention.enforce(begin_for(world.mine))["attribution_events"] > 0
    assert count(world.database, "attribution_dirty_ranges", world.mine) == 0


def test_events_before_the_boundary_are_refused_by_the_import(world: World, tmp_path: Path) -> None:
    retention.enforce(begin_for(world.mine))
    file = tmp_path / "late.csv"
    old, new = (at.isoformat() for at in (KEPT_FROM - timedelta(days=1), KEPT_FROM + timedelta(days=1)))
    file.write_text(f"v,t,c,f\na,{old},email,1\nb,{new},email,1\n", encoding="utf-8")
    mapped = ["--map", "visitor=v,occurred_at=t,channel=c,conversion=f", "--set", "revenue_cents=100,currency=USD"]
    before = count(world.database, "attribution_events", world.mine)
    cli.main(["import", str(file), "--tenant", "mine", *mapped])
    assert count(world.database, "attribution_events", world.mine) == before + 2
    refused = world.database.query("select error_field, error_message from dead_events where tenant_id = %s",
                                   [str(world.mine)])  # fmt: skip
    assert refused == [("t", f"is before {KEPT_FROM.isoformat()}: older events are no longer kept")]


def test_paths_of_removed_days_are_not_counted_again(world: World) -> None:
    database, mine = world.database, world.mine
    with transaction(mine) as connection:
        count_paths(connection, mine)
    statement = (
        "select day, path, conversion_count, null_count from attribution_path_counts where tenant_id = %s order by 1, 2"
    )
    before = database.query(statement, [str(mine)])
    retention.enforce(begin_for(mine))
    sell(database, mine, KEPT_FROM + timedelta(minutes=1), 100, "email")
    with transaction(mine) as connection:
        count_paths(connection, mine)
    after = database.query(statement, [str(mine)])
    assert [row for row in after if row[0] < KEPT_FROM.date()] == [row for row in before if row[0] < KEPT_FROM.date()]
    assert [row for row in after if row not in before] == [(KEPT_FROM.date(), "email", 1, 0)]


def test_a_young_tenant_and_its_own_setting(world: World) -> None:
    database = world.database
    young = make_tenant(database, "young")
    make_version(young, "linear", publish=True)
    sell(database, young, KEPT_FROM - timedelta(days=100))
    assert sum(retention.enforce(begin_for(young)).values()) == 0, "it came with its history"
    with transaction(world.mine) as connection:
        for days in (29, 3651):
            with pytest.raises(InputError, match="keep_days"):
                retention.set_keep_days(connection, days)
        retention.set_keep_days(connection, 3650)
    assert sum(retention.enforce(begin_for(world.mine)).values()) == 0
    with transaction(world.mine) as connection:
        retention.set_keep_days(connection, None)
    assert retention.enforce(begin_for(world.mine))["attribution_events"] > 0


def test_payloads_orders_and_letters_have_their_times(world: World, run_all: Callable[[], int]) -> None:
    database, mine = world.database, world.mine
    for age in (100, 1):
        database.query(
            "insert into dead_events (tenant_id, source, idempotency_key, payload, error_type, error_message,"
            " created_at) values (%s, 'f', %s, '{\"a\": 1}', 'permanent', 'bad', now() - %s * interval '1 day')",
            [str(mine), str(age).encode(), age],
        )
        make_letter(
            database,
            mine,
            status="resolved",
            failed_at=NOW - timedelta(days=age),
            resolved_at=NOW - timedelta(days=age),
        )
    with transaction(mine) as connection:
        for _ in range(3):
            reconcile(connection, mine, KEPT_FROM, NOW)
    orders = count(database, "reconciliation_orders", mine)
    database.query(
        "with newest as (select id from reconciliation_runs order by created_at desc, id desc limit 1)"
        " update reconciliation_runs set created_at = created_at - interval '200 days'"
        " where id not in (select id from newest)"
    )
    with transaction(mine) as connection:
        counted = retention.count(connection, KEEP_LETTERS_DAYS)
    enforce_retention_daily()
    assert run_all() == 3
    payloads = database.query("select payload, redacted_at is null from dead_events order by created_at")
    assert payloads == [({"redacted": True}, False), ({"a": 1}, True)]
    assert count(database, "reconciliation_runs", mine) == 3, "the results stay"
    removed = orders - count(database, "reconciliation_orders", mine)
    assert removed == counted["reconciliation_orders"] == orders * 2 // 3 > 0
    assert counted["dead_events"] == counted["worker_failed_jobs"] == 1
    assert count(database, "worker_failed_jobs", mine) == 1


def test_the_command_shows_then_does(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["retention", "--dry-run", "--tenant", "mine", "--json"]) == 0
    (shown,) = json.loads(capsys.readouterr().out)
    assert shown["tenant"] == "mine" and shown["keep_days"] == 90 and shown["removed_before"] is None
    assert cli.main(["retention", "--tenant", "mine", "--json"]) == 0
    (done,) = json.loads(capsys.readouterr().out)
    assert done["attribution_events"] == shown["attribution_events"] > 0
    assert datetime.fromisoformat(done["removed_before"]).astimezone(UTC) == KEPT_FROM
    assert cli.main(["retention", "--tenant", "mine", "--keep-days", "soon"]) == 2
    assert "--keep-days: expected a number of days" in capsys.readouterr().err
    assert cli.main(["retention", "--tenant", "mine", "--keep-days", "400"]) == 0
    assert " 400 " in capsys.readouterr().out
    assert cli.main(["retention", "--keep-days", "400"]) == 2


def test_settled_letters_go_after_their_time(database: Database) -> None:
    a, b = make_tenant(database, "a-tenant"), make_tenant(database, "b-tenant")
    for tenant in (a, b):
        make_letter(database, tenant, status="resolved", resolved_at="now")
        for status in ("abandoned", "pending"):
            make_letter(database, tenant, status=status)
    database.query(
        "update worker_failed_jobs set failed_at = now() - interval '40 days',"
        " resolved_at = resolved_at - interval '40 days'"
    )
    with transaction(a) as connection:
        assert delete_settled(connection, 41) == 0
        assert delete_settled(connection, 30) == 2
    left = database.query("select tenant_id, status from worker_failed_jobs where tenant_id = %s", (str(a),))
    assert [status for _, status in left] == ["pending"]
    assert database.value("select count(*) from worker_failed_jobs where tenant_id = %s", (str(b),)) == 3
