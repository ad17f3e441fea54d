"""Every model in SQL gives what the obvious reading of its formula gives, on small journeys full of coincidences."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4, uuid5

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg2.extensions import cursor as Cursor

from tests.attribution.reading import Seen, allocate
from tests.attribution.runner import make_version, run_window, run_windows_together
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant

LOOKBACK_S = 120
CHANNELS = ("direct", "email", "organic", "unknown")
SHARES = {"direct": "0.2", "email": "0.700000000000001", "unknown": "0.099999999999999"}  # organic was never seen

# Each model with the parameters of its formula, as given and as read.
MODELS: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "even_split": ("even_split", {"channels": list(CHANNELS)}, {"channels": CHANNELS}),
    "first": ("first_touch", {}, {}),
    "last": ("last_touch", {}, {}),
    "non_direct": ("last_non_direct", {}, {}),
    "linear": ("linear", {}, {}),
    "u": ("position_based", {"preset": "u"}, {"first": 40, "middle": 20, "last": 40}),
    "j": ("position_based", {"preset": "j"}, {"first": 20, "middle": 20, "last": 60}),
    "inverse_j": ("position_based", {"preset": "inverse_j"}, {"first": 60, "middle": 20, "last": 20}),
    "middle": ("position_based", {"first": 0, "middle": 3, "last": 0}, {"first": 0, "middle": 3, "last": 0}),
    "ends": ("position_based", {"first": 1, "middle": 0, "last": 6}, {"first": 1, "middle": 0, "last": 6}),
    "decay": ("time_decay", {"half_life_s": 77}, {"half_life_s": 77}),
    "steep": ("time_decay", {"half_life_s": 1}, {"half_life_s": 1}),
    "shapley": ("shapley_set", {}, {}),
    "markov": ("markov_path", {"order": 2, "shares": SHARES}, {"shares": SHARES}),
}

# Times are few, so that touches meet the lookback's ends, each other, and conversions.
facts = st.lists(
    st.tuples(
        st.integers(0, 8).map(lambda step: step * 60),
        st.sampled_from("ab"),
        st.sampled_from(("touch", "touch", "touch", "conversion")),
        st.sampled_from(CHANNELS),
        st.sampled_from((0, 1, 2, 7, 100, 9_999, 10**15)),
    ),
    max_size=16,
)
policies = st.tuples(
    st.sampled_from(("none", "consecutive", "unique")),
    st.sampled_from(("window", "reset")),
    st.sampled_from(("own", "direct", "unknown")),
)

INSERT = """
insert into attribution_events (tenant_id, id, occurred_at, event_type, kind, journey_key, session_id, channel,
                                revenue_cents, currency, idempotency_key)
overriding system value
select %(tenant)s, (e->>'id')::uuid, (e->>'at')::timestamptz, 'x', e->>'kind', (e->>'journey')::uuid,
       (e->>'journey')::uuid, e->>'channel', (e->>'cents')::bigint, e->>'currency', sha256((e->>'id')::bytea)
  from jsonb_array_elements(%(events)s::jsonb) with ordinality as given (e, ord) order by ord
"""


def any_params(**params: Any) -> dict[str, Any]:
    return params


Found = dict[str, dict[UUID, dict[str, tuple[int, int, bool]]]]


@pytest.fixture
def cursor(database: Database) -> Iterator[Cursor]:
    connection = database.connect(autocommit=True)
    yield connection.cursor()
    connection.close()


def add(cursor: Cursor, tenant_id: UUID, events: list[Seen]) -> dict[int, UUID]:
    ids = {event.seq: uuid5(tenant_id, str(event.seq)) for event in events}
    described = [
        {
            "id": str(ids[event.seq]),
            "at": (DAY + timedelta(seconds=event.at)).isoformat(),
            "kind": event.kind,
            "journey": str(uuid5(tenant_id, event.journey)),
            "channel": event.channel,
            "cents": event.cents if event.kind == "conversion" else None,
            "currency": ("JPY", "KWD", "USD")[event.seq % 3] if event.kind == "conversion" else None,
        }
        for event in events
    ]
    cursor.execute(INSERT, {"tenant": str(tenant_id), "events": json.dumps(described)})
    return ids


def stored(cursor: Cursor) -> Found:
    cursor.execute(
        "select a.model_version, a.event_id, channel_code, allocated_revenue_cents, allocation_ratio, is_fallback,"
        " a.currency = e.currency from attribution_allocations a left join attribution_events e on e.id = a.event_id"
    )
    found: Found = {}
    for version, event_id, channel, cents, ratio, is_fallback, same_currency in cursor.fetchall():
        assert same_currency
        parts = found.setdefault(version, {}).setdefault(event_id, {})
        parts[channel] = (cents, int(ratio * Decimal(10**10)), is_fallback)
    return found


def test_sql_agrees_with_the_plain_reading(database: Database, cursor: Cursor) -> None:
    tenant_id = make_tenant(database)

    @settings(max_examples=30, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @example(
        [(60, "a", "touch", "email", 0), (60, "a", "conversion", "direct", 7), (60, "a", "touch", "organic", 0)],
        ("none", "window", "own"),
    )
    @example([(0, "a", "touch", "organic", 0), (0, "a", "conversion", "direct", 1)], ("none", "reset", "own"))
    # Under reset: a touch at the first instant of the lookback; touches at the instant of the conversion before.
    @example([(0, "a", "touch", "email", 0), (120, "a", "conversion", "direct", 7)], ("none", "reset", "own"))
    @example(
        [
            (60, "a", "touch", "email", 0),
            (60, "a", "conversion", "direct", 1),
            (60, "a", "touch", "organic", 0),
            (120, "a", "conversion", "unknown", 100),
        ],
        ("none", "reset", "own"),
    )
    @given(facts, policies)
    def check(given_facts: list[tuple[int, str, str, str, int]], policy: tuple[str, str, str]) -> None:
        cursor.execute("truncate attribution_events, attribution_allocations, attribution_recompute_jobs cascade")
        dedupe, repeat, fallback = policy
        shared = {"lookback_s": LOOKBACK_S, "dedupe": dedupe, "repeat": repeat, "fallback": fallback}
        versions = {}
        for number, (name, (model, params, _)) in enumerate(MODELS.items()):
            own = params if model == "even_split" else params | shared
            version = f"{number}.{dedupe}-{repeat}-{fallback}"
            versions[name] = make_version(tenant_id, model, version, **own)
        events = [Seen(fact[0], seq, *fact[1:]) for seq, fact in enumerate(given_facts)]
        ids = add(cursor, tenant_id, events)
        runs = run_windows_together(tenant_id, list(versions.values()))
        found = stored(cursor)
        for (name, (model, _, read)), run in zip(MODELS.items(), runs, strict=True):
            expected = {
                ids[seq]: parts
                for seq, parts in allocate(model, events, read, LOOKBACK_S, dedupe, repeat, fallback).items()
            }
            assert found.get(versions[name], {}) == expected, name
            assert run.conversion_count == len(expected)
            assert run.allocation_count == run.changed_count == sum(map(len, expected.values()))

    check()


@pytest.mark.parametrize("repeat", ["window", "reset"])
@pytest.mark.parametrize(("dedupe", "fallback"), [("none", "own"), ("consecutive", "direct"), ("unique", "unknown")])
def test_many_journeys_under_each_policy(
    database: Database, cursor: Cursor, dedupe: str, fallback: str, repeat: str
) -> None:
    """Hypothesis finds what is small; here each policy meets a hundred crowded journeys at once."""
    tenant_id, chance = make_tenant(database), random.Random(f"{dedupe} {repeat}")
    shared: dict[str, Any] = {"lookback_s": LOOKBACK_S, "dedupe": dedupe, "repeat": repeat, "fallback": fallback}
    events: list[Seen] = []
    for journey in range(100):
        for _ in range(chance.randint(1, 9)):
            kind = chance.choice(("touch", "touch", "conversion"))
            at, cents = chance.randrange(0, 301, 30), chance.choice((0, 1, 7, 9_999, 10**15))
            events.append(Seen(at, len(events), str(journey), kind, chance.choice(CHANNELS), cents))
    ids = add(cursor, tenant_id, events)
    versions = {
        name: make_version(tenant_id, model, f"{number}", **params, **({} if model == "even_split" else shared))
        for number, (name, (model, params, _)) in enumerate(MODELS.items())
    }
    run_windows_together(tenant_id, list(versions.values()))
    found = stored(cursor)
    of_journey: dict[str, list[Seen]] = {}
    for event in events:
        of_journey.setdefault(event.journey, []).append(event)
    for name, (model, _, read) in MODELS.items():
        for own in of_journey.values():
            for seq, parts in allocate(model, own, read, LOOKBACK_S, dedupe, repeat, fallback).items():
                assert found[versions[name]].pop(ids[seq]) == parts, name
        assert found[versions[name]] == {}


def test_together_is_the_same_as_one_by_one(database: Database, cursor: Cursor) -> None:
    tenant_id = make_tenant(database)
    events = [
        Seen(at, seq, "ab"[seq % 2], "conversion" if seq % 5 == 4 else "touch", CHANNELS[seq * 7 % 4], 1_001 * seq)
        for seq, at in enumerate(range(0, 40 * 37, 37))
    ]
    add(cursor, tenant_id, events)
    versions = [
        make_version(tenant_id, model, f"{name}.{repeat}", **params, **({} if model == "even_split" else extra))
        for name, (model, params, _) in MODELS.items()
        for repeat in ("window", "reset")
        for extra in (any_params(repeat=repeat, lookback_s=600),)
    ]
    alone = [run_window(tenant_id, version) for version in versions]
    before = stored(cursor)
    together = run_windows_together(tenant_id, versions)
    assert stored(cursor) == before
    assert [run.checksum for run in together] == [run.checksum for run in alone]
    assert {run.changed_count for run in together} == {0} and {run.run_count for run in together} == {2}
    cursor.execute("delete from attribution_allocations")
    anew = run_windows_together(tenant_id, versions)
    assert [run.checksum for run in anew] == [run.checksum for run in alone]
    assert [run.changed_count for run in anew] == [run.changed_count for run in alone]


def test_runs_that_do_not_belong_together_are_refused(database: Database) -> None:
    tenant_id = make_tenant(database)
    version = make_version(tenant_id, "linear")
    for wanted in ([], [version, version]):
        with pytest.raises(ValueError, match="one window"):
            run_windows_together(tenant_id, wanted)


@pytest.mark.parametrize("name", [name for name in MODELS if name != "even_split"])
def test_thousands_of_touches_of_one_journey(database: Database, cursor: Cursor, name: str) -> None:
    tenant_id = make_tenant(database)
    events = [Seen(n, n, "a", "touch", CHANNELS[n % 3]) for n in range(3000)]
    events.append(Seen(2999, 3000, "a", "conversion", "unknown", 10_001))
    ids = add(cursor, tenant_id, events)
    model, params, read = MODELS[name]
    version = make_version(tenant_id, model, **params)
    run_window(tenant_id, version)
    expected = allocate(model, events, read, 30 * 86_400)
    assert stored(cursor) == {version: {ids[3000]: expected[3000]}}


def test_one_cent_over_seven_channels(database: Database, cursor: Cursor) -> None:
    tenant_id = make_tenant(database)
    seven = ["email", "direct", "organic", "referral", "unknown", "tiktok_paid", "facebook_paid"]
    events = [Seen(n, n, "a", "touch", channel) for n, channel in enumerate(seven)]
    events.append(Seen(7, 7, "a", "conversion", "direct", 1))
    ids = add(cursor, tenant_id, events)
    versions = [make_version(tenant_id, model) for model in ("linear", "shapley_set")]
    run_windows_together(tenant_id, versions)
    for parts in stored(cursor).values():
        cents = {channel: part[0] for channel, part in parts[ids[7]].items()}
        assert cents == dict.fromkeys(seven, 0) | {"direct": 1}  # equal remainders: first in C collation
        assert sum(part[1] for part in parts[ids[7]].values()) == 10**10


def test_one_visitor_is_one_journey_over_sessions(database: Database) -> None:
    tenant_id = make_tenant(database, identity_policy="consented")
    visitor = uuid4()
    for minutes, channel in ((0, "email"), (1, "organic")):
        make_event(
            database, tenant_id, kind="touch", visitor=visitor, minutes=minutes, channel=channel, session_id=uuid4()
        )
    make_event(database, tenant_id, visitor=visitor, minutes=2, cents=100, session_id=uuid4())
    models = [model for model in dict.fromkeys(model for model, _, _ in MODELS.values()) if model != "even_split"]
    given_params = {model: params for model, params, _ in MODELS.values()}
    versions = [make_version(tenant_id, model, **given_params[model]) for model in models]
    run_windows_together(tenant_id, versions)
    assert database.value("select count(*) from attribution_allocations where is_fallback") == 0
    assert database.value("select sum(allocated_revenue_cents) from attribution_allocations") == 100 * len(models)
