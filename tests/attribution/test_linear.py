"""linear in SQL gives what the obvious reading of its formula gives, on small journeys full of coincidences."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from uuid import UUID, uuid5

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.attribution.reading import Seen, linear
from tests.attribution.runner import make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_tenant

LOOKBACK_S = 120
CHANNELS = ("direct", "email", "organic", "unknown")

# Times are few, so that touches meet the lookback's ends, each other, and conversions.
facts = st.lists(
    st.tuples(
        st.integers(0, 8).map(lambda step: step * 60),
        st.sampled_from("ab"),
        st.sampled_from(("touch", "touch", "conversion")),
        st.sampled_from(CHANNELS),
        st.integers(0, 20),
    ),
    max_size=14,
)

INSERT = """
insert into attribution_events (tenant_id, id, occurred_at, event_type, kind, journey_key, session_id, channel,
                                revenue_cents, currency, idempotency_key)
overriding system value
select %(tenant)s, (e->>'id')::uuid, (e->>'at')::timestamptz, 'x', e->>'kind', (e->>'journey')::uuid,
       (e->>'journey')::uuid, e->>'channel', (e->>'cents')::bigint, e->>'currency', sha256((e->>'id')::bytea)
  from jsonb_array_elements(%(events)s::jsonb) with ordinality as given (e, ord) order by ord
"""


@pytest.mark.parametrize("repeat", ["window", "reset"])
@pytest.mark.parametrize("dedupe", ["none", "consecutive", "unique"])
def test_sql_agrees_with_the_plain_reading(database: Database, dedupe: str, repeat: str) -> None:
    tenant_id = make_tenant(database)
    version = make_version(tenant_id, "linear", lookback_s=LOOKBACK_S, dedupe=dedupe, repeat=repeat)
    connection = database.connect(autocommit=True)
    cursor = connection.cursor()

    @settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @example([(60, "a", "touch", "email", 0), (60, "a", "conversion", "direct", 7), (60, "a", "touch", "organic", 0)])
    @given(facts)
    def check(given_facts: list[tuple[int, str, str, str, int]]) -> None:
        cursor.execute("truncate attribution_events, attribution_allocations, attribution_recompute_jobs cascade")
        events = [Seen(fact[0], seq, *fact[1:]) for seq, fact in enumerate(given_facts)]
        ids = {seq: uuid5(tenant_id, str(seq)) for seq in range(len(events))}
        described = [
            {
                "id": str(ids[event.seq]),
                "at": (DAY + timedelta(seconds=event.at)).isoformat(),
                "kind": event.kind,
                "journey": str(uuid5(tenant_id, event.journey)),
                "channel": event.channel,
                "cents": event.cents if event.kind == "conversion" else None,
                "currency": "JPY" if event.kind == "conversion" else None,
            }
            for event in events
        ]
        cursor.execute(INSERT, {"tenant": str(tenant_id), "events": json.dumps(described)})
        run = run_window(tenant_id, version)
        cursor.execute(
            "select event_id, channel_code, allocated_revenue_cents, allocation_ratio, is_fallback"
            " from attribution_allocations"
        )
        found: dict[UUID, dict[str, tuple[int, int, bool]]] = {}
        for event_id, channel, cents, ratio, is_fallback in cursor.fetchall():
            found.setdefault(event_id, {})[channel] = (cents, int(ratio * Decimal(10**10)), is_fallback)
        expected = {ids[seq]: parts for seq, parts in linear(events, LOOKBACK_S, dedupe, repeat).items()}
        assert found == expected
        assert run.conversion_count == len(expected)

    try:
        check()
    finally:
        connection.close()


def test_thousands_of_touches_of_one_journey(database: Database) -> None:
    tenant_id = make_tenant(database)
    events: list[dict[str, object]] = [
        {
            "id": str(uuid5(tenant_id, str(n))),
            "at": (DAY + timedelta(seconds=n)).isoformat(),
            "kind": "touch",
            "journey": str(tenant_id),
            "channel": CHANNELS[n % 3],
            "cents": None,
            "currency": None,
        }
        for n in range(3000)
    ]
    sale = {"kind": "conversion", "cents": 10_001, "currency": "USD", "channel": "unknown"}
    events.append(events[-1] | sale | {"id": str(tenant_id)})
    database.query(INSERT, {"tenant": str(tenant_id), "events": json.dumps(events)})
    run_window(tenant_id, make_version(tenant_id, "linear"))
    rows = database.query("select channel_code, allocated_revenue_cents, allocation_ratio::text"
                          " from attribution_allocations order by 1")  # fmt: skip
    assert [row[:2] for row in rows] == [("direct", 3334), ("email", 3334), ("organic", 3333)]
    assert [row[2] for row in rows] == ["0.3333333334", "0.3333333333", "0.3333333333"]
