"""Runs on real events: the known vector, late data, what a re-run writes, and two runs at once."""

from __future__ import annotations

import subprocess
import threading
from datetime import timedelta
from uuid import uuid4

import pytest
import sqlalchemy as sa
from psycopg2.errors import CheckViolation

from skeldir_huey.attribution import runs, store
from skeldir_huey.attribution.recompute import recompute
from skeldir_huey.db import engine
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import Conflict, InputError, NotFound
from tests.attribution.runner import CHANNELS, NEXT_DAY, allocations, make_version, physical, run_window
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant


def test_known_vector_and_second_run_writes_nothing(database: Database) -> None:
    tenant_id = make_tenant(database)
    make_event(database, tenant_id, minutes=60, cents=10_000)
    make_event(database, tenant_id, minutes=120, cents=15_000)
    version = make_version(tenant_id, "even_split", channels=CHANNELS)

    first = run_window(tenant_id, version)
    assert allocations(database, version) == [
        ("direct", 3334), ("email", 3333), ("google_search_paid", 3333),
        ("direct", 5000), ("email", 5000), ("google_search_paid", 5000),
    ]  # fmt: skip
    assert (first.status, first.run_count) == ("succeeded", 1)
    assert (first.conversion_count, first.allocation_count, first.changed_count) == (2, 6, 6)
    before = physical(database)

    correlation_id = uuid4()
    second = run_window(tenant_id, version, correlation_id=correlation_id)
    assert physical(database) == before
    assert second.id == first.id and second.checksum == first.checksum
    assert (second.run_count, second.changed_count, second.last_correlation_id) == (2, 0, correlation_id)

    other = run_window(tenant_id, make_version(tenant_id, "even_split", "1.1.0", channels=CHANNELS))
    assert other.id != first.id and other.checksum != first.checksum
    assert database.value("select count(*) from attribution_allocations") == 12
    assert database.value("select count(*) from attribution_recompute_jobs") == 2
    assert set(before) < set(physical(database))


def test_stored_ratios_sum_to_one_and_ties_go_by_channel(database: Database) -> None:
    tenant_id = make_tenant(database)
    make_event(database, tenant_id, cents=1)
    listed = ["email", "direct", "organic", "referral", "unknown", "tiktok_paid", "facebook_paid"]
    version = make_version(tenant_id, "even_split", channels=listed)
    run_window(tenant_id, version)
    rows = database.query(
        "select channel_code, allocation_ratio::text, allocated_revenue_cents from attribution_allocations"
        " order by channel_code"
    )
    assert [row[0] for row in rows] == sorted(listed)
    assert [row[2] for row in rows] == [1, 0, 0, 0, 0, 0, 0]
    assert [row[1] for row in rows] == ["0.1428571429"] * 4 + ["0.1428571428"] * 3
    assert database.value("select sum(allocation_ratio) = 1 from attribution_allocations")


def test_windows_are_half_open(database: Database) -> None:
    tenant_id = make_tenant(database)
    at = {name: make_event(database, tenant_id, occurred_at=when) for name, when in (
        ("before", DAY - timedelta(microseconds=1)), ("start", DAY),
        ("last", NEXT_DAY - timedelta(microseconds=1)), ("end", NEXT_DAY),
    )}  # fmt: skip
    version = make_version(tenant_id, "linear")
    assert run_window(tenant_id, version).conversion_count == 2
    found = {str(row[0]) for row in database.query("select event_id from attribution_allocations")}
    assert found == {str(at["start"]), str(at["last"])}


def test_lookback_has_both_ends_and_the_conversion_is_no_touch(database: Database) -> None:
    tenant_id, visitor = make_tenant(database), uuid4()
    lookback = timedelta(minutes=60)
    sale = DAY + timedelta(hours=2)
    for channel, when in (
        ("referral", sale - lookback - timedelta(microseconds=1)), ("email", sale - lookback),
        ("organic", sale), ("tiktok_paid", sale + timedelta(microseconds=1)),
    ):  # fmt: skip
        make_event(database, tenant_id, kind="touch", visitor=visitor, channel=channel, occurred_at=when)
    make_event(database, tenant_id, visitor=visitor, channel="facebook_paid", occurred_at=sale, cents=3)
    version = make_version(tenant_id, "linear", lookback_s=3600)
    run_window(tenant_id, version)
    assert allocations(database, version) == [("email", 2), ("organic", 1)]


@pytest.mark.parametrize(("own", "fallback"), [("email", "email"), ("direct", "direct"), ("unknown", "direct")])
def test_conversion_without_touch_falls_back(database: Database, own: str, fallback: str) -> None:
    tenant_id = make_tenant(database)
    make_event(database, tenant_id, channel=own, cents=77)
    make_event(database, tenant_id, kind="touch", channel="organic")  # of another journey
    version = make_version(tenant_id, "linear")
    run_window(tenant_id, version)
    row = database.query("select channel_code, allocation_ratio, allocated_revenue_cents, is_fallback, currency"
                         " from attribution_allocations")  # fmt: skip
    assert row == [(fallback, 1, 77, True, "USD")]


def test_late_touch_changes_its_conversions_only(database: Database) -> None:
    tenant_id, visitor = make_tenant(database), uuid4()
    make_event(database, tenant_id, visitor=visitor, minutes=60, cents=100)
    make_event(database, tenant_id, minutes=30, cents=100, channel="referral")
    version = make_version(tenant_id, "linear")
    first = run_window(tenant_id, version)
    assert allocations(database, version) == [("referral", 100), ("direct", 100)]
    other = physical(database)

    # The fallback row goes, two rows come: only one statement can do this under the exact-sum triggers.
    make_event(database, tenant_id, kind="touch", visitor=visitor, minutes=10, channel="email")
    make_event(database, tenant_id, kind="touch", visitor=visitor, minutes=20, channel="organic")
    second = run_window(tenant_id, version)
    assert allocations(database, version) == [("referral", 100), ("email", 50), ("organic", 50)]
    assert second.changed_count == 3 and second.checksum != first.checksum
    assert len(set(other) & set(physical(database))) == 1


@pytest.mark.parametrize(
    "change",
    [
        "update attribution_allocations set allocated_revenue_cents = 3332 where channel_code = 'email'",
        "update attribution_allocations set allocation_ratio = 0.3 where channel_code = 'email'",
        "delete from attribution_allocations where channel_code = 'email'",
        "insert into attribution_allocations select tenant_id, event_id, model_version, 'organic', 0, 1, currency,"
        " is_fallback, model_type, run_id, converted_at from attribution_allocations where channel_code = 'email'",
        "update attribution_allocations set event_id = gen_random_uuid()",
    ],
)
def test_sum_triggers_refuse_a_lost_cent(database: Database, change: str) -> None:
    tenant_id = make_tenant(database)
    make_event(database, tenant_id, cents=10_000)
    version = make_version(tenant_id, "even_split", channels=CHANNELS)
    run_window(tenant_id, version)
    before = allocations(database, version)
    with pytest.raises(CheckViolation):
        database.query(change)
    assert allocations(database, version) == before
    database.query("delete from attribution_allocations")  # all of an event's rows may go


def test_dirty_ranges_go_with_a_run_of_the_published_version_that_covers_them(database: Database) -> None:
    tenant_id = make_tenant(database)
    hour = timedelta(hours=1)
    for start, end in (
        (DAY, DAY + hour),
        (DAY + hour, NEXT_DAY),
        (DAY - hour, DAY + hour),
        (NEXT_DAY, NEXT_DAY + hour),
    ):
        database.query(
            "insert into attribution_dirty_ranges (tenant_id, range_start, range_end, reason) values (%s, %s, %s, 'x')",
            (str(tenant_id), start, end),
        )
    published = make_version(tenant_id, "linear", publish=True)
    run_window(tenant_id, make_version(tenant_id, "even_split", channels=CHANNELS))
    assert database.value("select count(*) from attribution_dirty_ranges") == 4
    run_window(tenant_id, published)
    left = database.query("select range_start from attribution_dirty_ranges order by 1")
    assert [row[0] for row in left] == [DAY - hour, NEXT_DAY]


def test_checksum_is_what_psql_and_sha256sum_give(database: Database) -> None:
    tenant_id = make_tenant(database)
    make_event(database, tenant_id, cents=10_000)
    run = run_window(tenant_id, make_version(tenant_id, "even_split", channels=CHANNELS))
    lines = database.query(
        "select tenant_id || '|' || event_id || '|' || model_version || '|' || channel_code || '|' ||"
        " allocation_ratio || '|' || allocated_revenue_cents || '|' || currency || '|' || is_fallback::text"
        ' from attribution_allocations order by event_id, channel_code collate "C"'
    )
    text = "".join(f"{line}\n" for (line,) in lines)
    shown = subprocess.run(["sha256sum"], input=text, capture_output=True, text=True, check=True).stdout
    assert run.checksum is not None and shown.split()[0] == run.checksum.hex()
    assert len(lines) == 3 and "|0.3333333334|3334|USD|false\n" in text


def test_overlapping_runs_at_once_agree(database: Database) -> None:
    tenant_id = make_tenant(database)
    for number in range(40):
        visitor = uuid4()
        make_event(database, tenant_id, kind="touch", visitor=visitor, minutes=number, channel="email")
        make_event(database, tenant_id, visitor=visitor, minutes=number * 30, cents=number)
    version = make_version(tenant_id, "linear", publish=True)
    half = DAY + timedelta(hours=12)
    windows = [(DAY, NEXT_DAY), (DAY, half), (half, NEXT_DAY), (DAY + timedelta(hours=6), NEXT_DAY)]
    gate = threading.Barrier(len(windows))
    failures: list[BaseException] = []

    def work(start: object, end: object) -> None:
        try:
            gate.wait()
            run_window(tenant_id, version, start, end)  # type: ignore[arg-type]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=window) for window in windows]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    before = physical(database)
    whole = run_window(tenant_id, version)
    assert (whole.conversion_count, whole.changed_count) == (40, 0)
    assert physical(database) == before
    assert {row[0] for row in database.query("select status from attribution_recompute_jobs")} == {"succeeded"}


def test_runs_of_one_version_wait_for_one_another(database: Database) -> None:
    tenant_id = make_tenant(database)
    make_event(database, tenant_id)
    version = make_version(tenant_id, "linear")
    identity = runs.identify(tenant_id, DAY, NEXT_DAY, version)
    with transaction(tenant_id) as connection:
        run = runs.start(connection, identity, "first", None)
    with transaction(tenant_id) as holder:
        recompute(holder, tenant_id, run.id)
        with pytest.raises(sa.exc.OperationalError, match="lock timeout"), transaction(tenant_id) as waiter:
            waiter.exec_driver_sql("set local lock_timeout = '50ms'")
            recompute(waiter, tenant_id, run.id)


def test_statement_count_does_not_grow_with_the_window(database: Database) -> None:
    tenant_id = make_tenant(database)
    version = make_version(tenant_id, "linear")
    run_window(tenant_id, version)  # a repeated run says what it changed, too
    counts = []
    for number in (1, 60):
        for minute in range(number):
            make_event(database, tenant_id, minutes=minute)
        seen: list[str] = []
        worker = engine.engine("worker")

        def note(*arguments: object, seen: list[str] = seen) -> None:
            seen.append(str(arguments[2]))

        sa.event.listen(worker, "before_cursor_execute", note)
        run_window(tenant_id, version)
        sa.event.remove(worker, "before_cursor_execute", note)
        counts.append(len(seen))
    assert counts[0] == counts[1] > 5


def test_another_tenants_run_is_not_found(database: Database) -> None:
    tenant_id, other = make_tenant(database), make_tenant(database, "other")
    make_event(database, tenant_id)
    run = run_window(tenant_id, make_version(tenant_id, "linear"))
    with pytest.raises(NotFound), transaction(other) as connection:
        recompute(connection, other, run.id)


def test_versions_are_immutable_and_known(database: Database) -> None:
    tenant_id = make_tenant(database)
    make_version(tenant_id, "linear", lookback_s=3600)
    make_version(tenant_id, "linear", lookback_s=3600)
    with pytest.raises(Conflict, match="never changes"):
        make_version(tenant_id, "linear", lookback_s=7200)
    with (
        pytest.raises(InputError, match=r"this tenant has: linear@1\.0\.0") as refused,
        transaction(tenant_id) as connection,
    ):
        store.publish(connection, tenant_id, "linear@2.0.0")
    assert refused.value.field == "model_version"
    with pytest.raises(InputError, match="unknown channel 'smoke'"):
        make_version(tenant_id, "even_split", channels=["direct", "smoke"])
    assert database.value("select count(*) from attribution_models") == 1
    text = "SELECT encode(params_hash, 'hex') = encode(sha256(%s), 'hex') FROM attribution_models"
    assert database.value(text, (b'{"dedupe":"none","fallback":"own","lookback_s":3600,"repeat":"window"}',))
