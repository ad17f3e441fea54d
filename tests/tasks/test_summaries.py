"""The summaries by day equal what they sum up, whatever is inserted, changed and deleted, in whatever order."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.cluster import Cluster, Database
from tests.conftest import copy_of_template
from tests.factories import DAY, make_event, make_model, make_tenant

# What each summary and view must be: an aggregate of the rows themselves.
TRUTH = {
    "allocation_days": """
        select tenant_id, model_version, (converted_at at time zone 'UTC')::date, channel_code, currency,
               count(*) filter (where not is_adjustment),
               coalesce(sum(allocation_ratio) filter (where not is_adjustment), 0), count(*), sum(allocation_ratio),
               sum(allocated_revenue_cents)::bigint,
               coalesce(sum(allocated_revenue_cents) filter (where is_fallback), 0)::bigint,
               min(converted_at), max(converted_at)
          from attribution_allocations group by 1, 2, 3, 4, 5""",
    "mv_channel_performance": """
        select tenant_id, model_version, channel_code, currency, (converted_at at time zone 'UTC')::date,
               count(*) filter (where not is_adjustment),
               coalesce(sum(allocation_ratio) filter (where not is_adjustment), 0),
               sum(allocated_revenue_cents)::bigint
          from attribution_allocations group by 1, 2, 3, 4, 5""",
    "mv_allocation_summary": """
        select tenant_id, model_version, currency, count(distinct event_id), count(*),
               sum(allocated_revenue_cents)::bigint,
               coalesce(sum(allocated_revenue_cents) filter (where is_fallback), 0)::bigint,
               min(converted_at), max(converted_at)
          from attribution_allocations group by 1, 2, 3""",
    "mv_daily_revenue_summary": """
        select tenant_id, (occurred_at at time zone 'UTC')::date, currency,
               count(*) filter (where kind = 'conversion'),
               coalesce(sum(revenue_cents) filter (where kind = 'conversion'), 0)::bigint,
               count(*) filter (where kind = 'adjustment'),
               coalesce(sum(revenue_cents) filter (where kind = 'adjustment'), 0)::bigint, sum(revenue_cents)::bigint
          from attribution_events where kind in ('conversion', 'adjustment') group by 1, 2, 3""",
}
REPORTS = ("allocation_days", "revenue_days", *(name for name in TRUTH if name.startswith("mv_")))
SPLITS: tuple[dict[str, tuple[str, int]], ...] = (
    {"direct": ("1", 100)},
    {"email": ("0.5", 50), "organic": ("0.5", 50)},
    {"direct": ("0.3333333334", 34), "email": ("0.3333333333", 33), "organic": ("0.3333333333", 33)},
    {"referral": ("1", 100)},
)
ADD = """
insert into attribution_allocations (tenant_id, event_id, model_version, channel_code, allocation_ratio,
  allocated_revenue_cents, currency, is_fallback, model_type, run_id, converted_at, is_adjustment)
select e.tenant_id, e.id, %(version)s, c.code, c.ratio::numeric, sign(e.revenue_cents) * c.cents, e.currency,
       %(is_fallback)s, 'linear', gen_random_uuid(), e.occurred_at, e.kind = 'adjustment'
  from attribution_events e
 cross join unnest(%(codes)s::text[], %(ratios)s::text[], %(cents)s::bigint[]) c (code, ratio, cents)
 where e.id = %(event)s
on conflict (tenant_id, event_id, model_version, channel_code) do update
   set allocation_ratio = excluded.allocation_ratio, allocated_revenue_cents = excluded.allocated_revenue_cents,
       is_fallback = excluded.is_fallback
"""
# One statement, as a run writes: rows that are no longer right go, the others come.
RESPLIT = f"""
with gone as (
  delete from attribution_allocations
   where event_id = %(event)s and model_version = %(version)s and not channel_code = any (%(codes)s::text[]))
{ADD}"""


class Shop:
    """Two tenants, two versions, and the sales and refunds made so far."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.tenants = [make_tenant(database, f"n{uuid4().hex}") for _ in range(2)]
        for tenant in self.tenants:
            for version in ("linear@1", "linear@2"):
                make_model(database, tenant, version)
        self.events: list[tuple[UUID, UUID, bool]] = []

    def do(self, verb: str, pick: int, day: int, split: int) -> None:
        if verb == "refresh":
            refresh(self.database, REPORTS[pick % len(REPORTS)])
        elif verb == "sell" or not self.events:
            tenant = self.tenants[pick % 2]
            currency = "EUR" if split % 2 else "USD"
            minutes = day * 24 * 60 + pick
            event = make_event(self.database, tenant, cents=100, currency=currency, minutes=minutes)
            self.events.append((tenant, event, False))
            self._write(event, pick, split)
        elif verb == "refund":
            tenant, sale, is_refund = self.events[pick % len(self.events)]
            if not is_refund:
                at = DAY + timedelta(days=day + 2)
                refund = make_event(
                    self.database, tenant, kind="adjustment", cents=-100, occurred_at=at, parent_event_id=sale
                )
                self.events.append((tenant, refund, True))
                self._write(refund, pick, split)
        elif verb == "resplit":
            self._write(self.events[pick % len(self.events)][1], pick, split)
        elif verb == "move":  # an update of where a row counts; its day is that of its event, always
            statement = (
                "update attribution_allocations set model_version = 'linear@1'"
                " where event_id = %s and model_version = 'linear@2'"
            )
            event = self.events[pick % len(self.events)][1]
            in_the_way = "delete from attribution_allocations where event_id = %s and model_version = 'linear@1'"
            self.database.query(in_the_way, [str(event)])
            self.database.query(statement, [str(event)])
        else:
            statement = "delete from attribution_allocations where event_id = %s"
            self.database.query(statement, [str(self.events[pick % len(self.events)][1])])

    def _write(self, event: UUID, pick: int, split: int) -> None:
        parts = SPLITS[split]
        values: dict[str, Any] = {
            "event": str(event),
            "version": f"linear@{1 + pick % 2}",
            "is_fallback": split == 3,
            "codes": list(parts),
            "ratios": [ratio for ratio, _ in parts.values()],
            "cents": [cents for _, cents in parts.values()],
        }
        self.database.query(RESPLIT, values)


def refresh(database: Database, report: str) -> None:
    database.query("select app.refresh_report(%s, false)", [report])


def differences(database: Database, name: str) -> list[tuple[Any, ...]]:
    """Return the rows in which a summary or view and the truth differ, to both sides."""
    truth = TRUTH[name]
    return database.query(
        f"(select * from {name} except all ({truth})) union all (({truth}) except all select * from {name})"
    )


@pytest.fixture(scope="module")
def shared(cluster: Cluster) -> Iterator[Database]:
    """One database for all examples; each has tenants of its own."""
    with copy_of_template(cluster) as made:
        yield made


STEP = st.tuples(
    st.sampled_from(("sell", "sell", "resplit", "refund", "move", "drop", "refresh", "refresh")),
    st.integers(0, 11),
    st.integers(0, 2),
    st.integers(0, len(SPLITS) - 1),
)


@settings(max_examples=40, derandomize=True, deadline=None)
@given(steps=st.lists(STEP, min_size=1, max_size=14))
def test_summaries_and_views_are_what_they_sum_up(shared: Database, steps: list[tuple[str, int, int, int]]) -> None:
    shop = Shop(shared)
    for step in steps:
        shop.do(*step)
    for report in REPORTS:
        refresh(shared, report)
    for name in TRUTH:
        assert differences(shared, name) == [], name
    assert shared.value("select count(*) from report_changes where target <> 'mv_realtime_revenue'") == 0


def test_a_full_count_is_the_same(shared: Database) -> None:
    shop = Shop(shared)
    for number in range(12):
        shop.do(("sell", "refund", "resplit")[number % 3], number, number % 3, number % 4)
    shared.query("update allocation_days set allocated_revenue_cents = 7")
    shared.query("delete from revenue_days")
    for report in REPORTS:
        shared.query("select app.refresh_report(%s, true)", [report])
    assert [differences(shared, name) for name in TRUTH] == [[]] * len(TRUTH)


@pytest.mark.parametrize(
    "mutant",
    [
        "alter table attribution_allocations disable trigger attribution_allocations_changes_insert",
        "alter table attribution_allocations disable trigger attribution_allocations_changes_delete",
        "alter table attribution_allocations disable trigger attribution_allocations_changes_before",
        "alter table attribution_allocations disable trigger attribution_allocations_changes_after",
    ],
)
def test_without_one_of_its_triggers_a_summary_is_wrong(database: Database, mutant: str) -> None:
    shop = Shop(database)
    shop.do("sell", 1, 0, 1)
    refresh(database, "allocation_days")
    database.query(mutant)
    shop.do("sell", 3, 2, 2)
    if "insert" not in mutant:
        refresh(database, "allocation_days")
        shop.do("drop" if "delete" in mutant else "move", 1, 1, 1)
    refresh(database, "allocation_days")
    assert differences(database, "allocation_days")


def test_what_commits_during_a_refresh_is_not_forgotten(database: Database) -> None:
    shop = Shop(database)
    shop.do("sell", 0, 0, 1)
    late = database.connect()
    with late.cursor() as cursor:
        cursor.execute("delete from attribution_allocations")
        refresh(database, "allocation_days")  # neither waits for the change nor sees it
        assert database.value("select count(*) from allocation_days") == 2
        late.commit()
    late.close()
    assert database.value("select count(*) from report_changes where target = 'allocation_days'") == 1
    refresh(database, "allocation_days")
    assert differences(database, "allocation_days") == []


def test_writers_do_not_wait_for_one_another(database: Database) -> None:
    shop = Shop(database)
    shop.do("sell", 0, 0, 1)
    shop.do("sell", 2, 0, 1)  # the same tenant, version and day
    first, second = database.connect(), database.connect()
    try:
        for connection, (_, event, _) in zip((first, second), shop.events, strict=True):
            with connection.cursor() as cursor:
                cursor.execute("set local lock_timeout = '1s'")
                cursor.execute("delete from attribution_allocations where event_id = %s", [str(event)])
        second.commit()
        first.commit()
    finally:
        first.close()
        second.close()
    refresh(database, "allocation_days")
    assert differences(database, "allocation_days") == []
