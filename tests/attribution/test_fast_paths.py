"""What makes runs fast changes nothing: each quick way gives the rows, the refusals and the hash of the plain one."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg2.errors import CheckViolation

from skeldir_huey.attribution import journeys, runs
from skeldir_huey.attribution.checksum import checksum
from skeldir_huey.attribution.recompute import recompute
from skeldir_huey.db.engine import transaction
from skeldir_huey.money import largest_remainder
from tests.attribution.runner import CHANNELS, NEXT_DAY, allocations, make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant
from tests.waiting import until

MANY = """
insert into attribution_events (tenant_id, occurred_at, event_type, kind, journey_key, session_id, channel,
                                revenue_cents, currency, idempotency_key)
select %(tenant)s, %(start)s::timestamptz + n * interval '17 minutes',
       'x', case when n %% 4 = 0 then 'conversion' else 'touch' end, journey, journey,
       (array['direct', 'email', 'organic', 'referral'])[1 + (n * n) %% 4], case when n %% 4 = 0 then 7 * n end,
       case when n %% 4 = 0 then 'USD' end, sha256(n::text::bytea)
  from generate_series(1, 2400) n
 cross join lateral (select md5((n * 7 %% 311)::text)::uuid as journey) j
"""
MONTH = DAY + timedelta(days=30)


def many(database: Database) -> UUID:
    tenant_id = make_tenant(database)
    database.query(MANY, {"tenant": str(tenant_id), "start": DAY})
    return tenant_id


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("update attribution_allocations set allocated_revenue_cents = allocated_revenue_cents"
         " + (event_id = %(event)s and channel_code = 'email')::integer", "exact_sum"),
        ("update attribution_allocations set allocation_ratio = allocation_ratio"
         " - (event_id = %(event)s and channel_code = 'email')::integer * 0.0000000001", "exact_sum"),
        ("delete from attribution_allocations where event_id <> %(event)s or channel_code = 'email'", "exact_sum"),
        ("update attribution_allocations set converted_at = converted_at"
         " + (event_id = %(event)s and channel_code = 'email')::integer * interval '1 second'", "event_time"),
        ("insert into attribution_allocations select tenant_id, event_id, model_version, 'tiktok_paid', 0,"
         " (event_id = %(event)s)::integer, currency, is_fallback, model_type, run_id, converted_at"
         " from attribution_allocations where channel_code = 'email'", "exact_sum"),
    ],
)  # fmt: skip
def test_sum_check_finds_the_one_wrong_event_among_many(database: Database, change: str, constraint: str) -> None:
    tenant_id = many(database)
    version = make_version(tenant_id, "even_split", channels=[*CHANNELS, "organic"])
    assert run_window(tenant_id, version, DAY, MONTH).allocation_count == 2400
    before = allocations(database, version)
    event = database.query("select event_id from attribution_allocations order by event_id offset 1200 limit 1")[0][0]
    # One row in four is few enough to be looked up by key; the other changes touch enough to be read by their range.
    with pytest.raises(CheckViolation, match=str(event)) as refused:
        database.query(change, {"event": event})
    assert refused.value.diag.constraint_name == f"attribution_allocations_{constraint}"
    assert allocations(database, version) == before


def test_rows_of_an_event_that_lie_outside_of_the_range_are_refused(database: Database) -> None:
    """The range that is read holds every row of its events only because each is dated as its event."""
    tenant_id = many(database)
    version = make_version(tenant_id, "even_split", channels=CHANNELS)
    run_window(tenant_id, version, DAY, MONTH)
    with pytest.raises(CheckViolation, match="allocations of event"):
        database.query("update attribution_allocations set converted_at = converted_at - interval '90 days'")
    with pytest.raises(CheckViolation, match="are dated"):
        database.query(
            "update attribution_allocations set converted_at = converted_at - interval '90 days'"
            " where event_id = (select event_id from attribution_allocations limit 1)"
        )


@pytest.mark.parametrize("params", [{}, {"lookback_s": 864_000}, {"dedupe": "unique"}, {"fallback": "unknown"}])
def test_reading_all_touches_once_or_looking_up_each_journey(
    database: Database, monkeypatch: pytest.MonkeyPatch, params: dict[str, Any]
) -> None:
    tenant_id = many(database)
    version = make_version(tenant_id, "linear", **params)
    start, end = DAY + timedelta(days=3), DAY + timedelta(days=20)
    window = {"tenant_id": tenant_id, "window_start": start, "window_end": end}
    with transaction(tenant_id) as connection:
        assert journeys.is_long(connection, window)
        assert not journeys.is_long(connection, window | {"window_end": DAY + timedelta(days=5)})
    at_once = run_window(tenant_id, version, start, end)
    assert at_once.allocation_count and at_once.allocation_count > (at_once.conversion_count or 0) > 300
    monkeypatch.setattr(journeys, "_LONG", 2)
    one_by_one = run_window(tenant_id, version, start, end)
    assert one_by_one.changed_count == 0, "both ways find the same touches"


@pytest.mark.parametrize("cents", [2**32 - 1, 2**32, 9_000_000_000_000_000_001])
def test_revenue_beyond_machine_integers(database: Database, cents: int) -> None:
    tenant_id, visitor = make_tenant(database), uuid4()
    for nth, channel in enumerate(("email", "organic", "email", "referral", "email", "referral", "email")):
        make_event(database, tenant_id, kind="touch", visitor=visitor, minutes=nth, channel=channel)
    make_event(database, tenant_id, visitor=visitor, minutes=60, cents=cents)
    version = make_version(tenant_id, "linear")
    run_window(tenant_id, version)
    assert dict(allocations(database, version)) == largest_remainder(cents, {"email": 4, "organic": 1, "referral": 2})


def test_hash_is_not_kept_when_another_run_changed_the_window_meanwhile(database: Database) -> None:
    """A run that had read its row, and then waited for the lock, must not believe in what it read."""
    tenant_id, visitor = make_tenant(database), uuid4()
    make_event(database, tenant_id, visitor=visitor, minutes=60, cents=100)
    version = make_version(tenant_id, "linear")
    wide = (DAY, DAY + timedelta(days=2))
    first = run_window(tenant_id, version)
    run_window(tenant_id, version, *wide)
    make_event(database, tenant_id, kind="touch", visitor=visitor, minutes=10, channel="email")
    identity = runs.identify(tenant_id, DAY, NEXT_DAY, version)
    with transaction(tenant_id) as connection:
        other = runs.find(connection, runs.identify(tenant_id, *wide, version))
        runs.start(connection, identity, "again", None)

    def again() -> None:
        with transaction(tenant_id) as connection:
            recompute(connection, tenant_id, first.id)

    waiter = threading.Thread(target=again)
    with transaction(tenant_id) as connection:
        recompute(connection, tenant_id, other.id)
        waiter.start()
        until(lambda: database.value("select count(*) from pg_locks where locktype = 'advisory' and not granted"))
    waiter.join()
    with transaction(tenant_id) as connection:
        ended = runs.find(connection, identity)
        values = {"tenant_id": tenant_id, "model_version": version, "window_start": DAY, "window_end": NEXT_DAY}
        assert ended.checksum == checksum(connection, values)
    assert ended.changed_count == 0 and ended.checksum != first.checksum
