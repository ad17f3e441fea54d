"""Events that come late, in any order: the runs of their dirty ranges end where a reading of them all at once ends."""

from __future__ import annotations

from datetime import timedelta
from hashlib import sha256
from uuid import UUID, uuid4, uuid5

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from skeldir_huey.attribution.dirty import dirty_windows
from skeldir_huey.db.engine import transaction
from skeldir_huey.ingest.normalise import Event
from skeldir_huey.ingest.store import add_events
from tests.attribution.reading import Seen, allocate
from tests.attribution.runner import make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_tenant

HOUR = 3600
LOOKBACK_S = 40 * 86_400  # beyond the default: how far a range reaches must come from the versions

Fact = tuple[int, str, str, str, int]
# Days apart, so that a range that is too short leaves a conversion out.
facts = st.lists(
    st.tuples(
        st.integers(0, 12).map(lambda step: step * 160 * HOUR),
        st.sampled_from("ab"),
        st.sampled_from(("touch", "touch", "conversion")),
        st.sampled_from(("direct", "email", "organic")),
        st.sampled_from((0, 1, 100, 9_999)),
    ),
    max_size=6,
)


def add(tenant_id: UUID, events: list[Seen]) -> None:
    """Add events as an import does, in one transaction with the ranges that they make dirty."""
    given_events = [
        Event(
            occurred_at=DAY + timedelta(seconds=event.at),
            event_type="purchase" if event.kind == "conversion" else "ad_click",
            kind=event.kind,
            journey_key=uuid5(tenant_id, event.journey),
            session_id=uuid5(tenant_id, event.journey),
            visitor_id=None,
            channel=event.channel,
            campaign_id=None,
            revenue_cents=event.cents if event.kind == "conversion" else None,
            currency="USD" if event.kind == "conversion" else None,
            order_id=None,
            idempotency_key=sha256(f"{event.seq}".encode()).digest(),
        )
        for event in events
    ]
    with transaction(tenant_id, role="app_import") as connection:
        add_events(connection, tenant_id, given_events, uuid4())


def stored(database: Database) -> dict[int, dict[str, int]]:
    found: dict[int, dict[str, int]] = {}
    for key, channel, cents in database.query(
        "select e.idempotency_key, a.channel_code, a.allocated_revenue_cents from attribution_allocations a"
        " join attribution_events e on e.tenant_id = a.tenant_id and e.id = a.event_id"
    ):
        found.setdefault(SEQ[bytes(key)], {})[channel] = cents
    return found


SEQ = {sha256(f"{seq}".encode()).digest(): seq for seq in range(100)}


def test_late_events_move_what_they_should_and_nothing_is_left(database: Database) -> None:
    tenant_id = make_tenant(database)

    @settings(max_examples=25, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @example(
        # A conversion that comes late takes the touch away from the next one, 27 days after it.
        [
            [(0, "a", "touch", "email", 0), (28 * 24 * HOUR, "a", "conversion", "direct", 100)],
            [(24 * HOUR, "a", "conversion", "direct", 1)],
        ],
        "reset",
    )
    @example(
        # A touch that comes late belongs to the conversion before which it was, not to the later one.
        [
            [(10 * HOUR, "a", "conversion", "direct", 7), (35 * 24 * HOUR, "a", "conversion", "direct", 100)],
            [(0, "a", "touch", "email", 0), (11 * HOUR, "a", "touch", "organic", 0)],
        ],
        "reset",
    )
    @given(st.lists(facts, min_size=2, max_size=3), st.sampled_from(("reset", "window")))
    def check(batches: list[list[Fact]], repeat: str) -> None:
        database.query("truncate attribution_events, attribution_allocations, attribution_recompute_jobs cascade")
        database.query("truncate attribution_dirty_ranges")
        version = make_version(tenant_id, "linear", repeat, publish=True, lookback_s=LOOKBACK_S, repeat=repeat)
        events: list[Seen] = []
        for batch in batches:
            new = [Seen(fact[0], len(events) + nth, *fact[1:]) for nth, fact in enumerate(batch)]
            events += new
            if new:
                add(tenant_id, new)
            with transaction(tenant_id, read_only=True) as connection:
                windows = dirty_windows(connection, tenant_id)
            for window in windows:
                run_window(tenant_id, version, window.window_start, window.window_end)
        assert database.value("select count(*) from attribution_dirty_ranges") == 0
        expected = allocate("linear", events, {}, LOOKBACK_S, repeat=repeat)
        assert stored(database) == {
            seq: {channel: part[0] for channel, part in parts.items()} for seq, parts in expected.items()
        }

    check()
