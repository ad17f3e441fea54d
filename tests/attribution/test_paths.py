"""Path counts follow the events, late ones too, and training reads them."""

from __future__ import annotations

import random
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import pytest

from skeldir_huey.attribution import store
from skeldir_huey.attribution.channel_reports import make_report, markov_global
from skeldir_huey.attribution.paths import count_paths, read_paths
from skeldir_huey.attribution.train import train_markov
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import Conflict, InputError, NoResult
from tests.attribution.runner import allocations, make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant

TODAY = DAY.date()
MONTH = timedelta(days=30)


def count(tenant_id: UUID) -> int:
    with transaction(tenant_id) as connection:
        return count_paths(connection, tenant_id)


def stored(database: Database) -> dict[tuple[date, str], tuple[int, int, dict[str, int]]]:
    found = database.query("select day, path, conversion_count, null_count, cents from attribution_path_counts")
    return {(row[0], row[1]): row[2:] for row in found}


def expected(events: list[tuple[datetime, int, UUID, str, str, int]]) -> dict[Any, Any]:
    """The module's first paragraph, step by step."""
    journeys: dict[UUID, list[Any]] = defaultdict(list)
    for at, seq, key, kind, channel, revenue in events:
        journeys[key].append((at, kind == "conversion", seq, channel, revenue))
    result: dict[Any, Any] = {}
    for steps in journeys.values():
        steps.sort()
        walked: list[Any] = []
        for step, following in zip(steps, [*steps[1:], None], strict=True):
            if not step[1]:
                walked.append(step)
            if step[1] or following is None or following[0] > step[0] + MONTH:
                kept = [touch for touch in walked if touch[0] >= step[0] - MONTH]
                if kept:
                    ended = (step[0].astimezone(UTC).date(), ">".join(touch[3] for touch in kept))
                    converted, lost, cents = result.get(ended, (0, 0, Counter()))
                    if step[1]:
                        cents["USD"] += step[4]
                    result[ended] = converted + step[1], lost + (not step[1]), cents
                walked = []
    return {key: (converted, lost, dict(cents)) for key, (converted, lost, cents) in result.items()}


def test_counts_follow_events_that_arrive_in_any_order(database: Database) -> None:
    tenant_id, other = make_tenant(database), make_tenant(database, "other")
    make_event(database, other, kind="touch", channel="referral")
    chance, events = random.Random(5), []
    keys = [uuid4() for _ in range(6)]
    for round_ in range(3):
        for _ in range(25):
            at = DAY + timedelta(days=chance.randrange(0, 130), hours=chance.choice((0, 0, 7)))
            kind = chance.choice(("touch", "touch", "conversion"))
            channel, cents = chance.choice(("direct", "email", "organic")), chance.randrange(100)
            key = chance.choice(keys)
            event_id = make_event(
                database,
                tenant_id,
                kind=kind,
                occurred_at=at,
                channel=channel,
                visitor=key,
                cents=cents if kind == "conversion" else None,
            )
            seq = database.value("select ingest_seq from attribution_events where id = %s", (str(event_id),))
            events.append((at, seq, key, kind, channel, cents))
        assert count(tenant_id) > 0
        assert stored(database) == expected(events), round_
    assert count(tenant_id) == 0
    assert database.query("select distinct tenant_id from attribution_dirty_days") == [(other,)]
    database.query(
        "insert into attribution_dirty_days (tenant_id, first_day, last_day) values (%s, %s, %s)",
        (str(tenant_id), TODAY, TODAY + timedelta(days=130)),
    )
    assert count(tenant_id) == 0  # counted again, nothing to write


def test_a_late_conversion_makes_a_lost_path_a_converted_one(database: Database) -> None:
    tenant_id, visitor = make_tenant(database), uuid4()
    make_event(database, tenant_id, kind="touch", visitor=visitor, channel="email")
    assert count(tenant_id) == 1
    assert stored(database) == {(TODAY, "email"): (0, 1, {})}
    make_event(database, tenant_id, visitor=visitor, occurred_at=DAY + MONTH, cents=700, currency="KWD")
    assert count(tenant_id) == 2
    assert stored(database) == {(TODAY + MONTH, "email"): (1, 0, {"KWD": 700})}


def make_journeys(database: Database, tenant_id: UUID) -> None:
    for channels, converted, times in ((("email", "direct"), 1, 3), (("direct",), 0, 4), (("organic", "email"), 1, 1)):
        for _ in range(times):
            visitor = uuid4()
            for minutes, channel in enumerate(channels):
                make_event(database, tenant_id, kind="touch", visitor=visitor, minutes=minutes, channel=channel)
            if converted:
                make_event(database, tenant_id, visitor=visitor, minutes=9, cents=1_000)


def test_training_keeps_its_shares_with_the_version(database: Database) -> None:
    tenant_id = make_tenant(database)
    make_journeys(database, tenant_id)
    with transaction(tenant_id) as connection:
        spec, report_id = train_markov(connection, tenant_id, "markov_path", "2025.06", TODAY, TODAY, {"order": 2})
        paths = read_paths(connection, tenant_id, TODAY, TODAY)
        assert train_markov(connection, tenant_id, "markov_path", "2025.06", TODAY, TODAY, {"order": 2})[0] == spec
    report = markov_global(paths, 2)
    assert (report.conversion_count, report.null_count) == (4, 4)
    assert spec.params["shares"] == {row.channel: str(row.share) for row in report.shares}
    assert (spec.params["order"], spec.params["first_day"]) == (2, "2025-06-01")
    kept = database.query(
        "select channel_code, share, share_low, share_high, removal_effect, seed, kept_draw_count"
        " from attribution_channel_reports where report_id = %s order by 1",
        (str(report_id),),
    )
    assert kept == [
        (row.channel, row.share, row.low, row.high, row.removal_effect, report.seed, report.kept_draw_count)
        for row in report.shares
    ]
    first = run_window(tenant_id, spec.model_version)
    # More events, so other shares: but only for a new version.
    visitor = uuid4()
    make_event(database, tenant_id, kind="touch", visitor=visitor, minutes=1, channel="organic")
    make_event(database, tenant_id, visitor=visitor, minutes=9, cents=0)
    with pytest.raises(Conflict, match="a version never changes"), transaction(tenant_id) as connection:
        train_markov(connection, tenant_id, "markov_path", "2025.06", TODAY, TODAY, {"order": 2})
    again = run_window(tenant_id, spec.model_version)
    assert again.conversion_count == 5 and first.conversion_count == 4
    assert sum(cents for _, cents in allocations(database, spec.model_version)) == 4_000


def test_reports_of_stored_paths(database: Database) -> None:
    tenant_id = make_tenant(database)
    make_journeys(database, tenant_id)
    count(tenant_id)
    with transaction(tenant_id) as connection:
        _, report = make_report(connection, tenant_id, "shapley_set", TODAY, TODAY, dedupe="unique", draws=50)
    assert {row.channel: row.share * 8 for row in report.shares} == {"direct": 3, "email": 4, "organic": 1}
    assert database.value("select count(*) from attribution_channel_reports where chain_order is null") == 3
    for arguments, field in (
        (("magic", TODAY, TODAY), "report_type"),
        (("shapley_set", TODAY, TODAY - timedelta(days=1)), "last_day"),
    ):
        with pytest.raises(InputError) as refused, transaction(tenant_id) as connection:
            make_report(connection, tenant_id, *arguments)
        assert refused.value.field == field


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"params": {"order": 4}}, "params.order"),
        ({"params": {"order": "1"}}, "params.order"),
        ({"params": {"shares": {"direct": "1"}}}, "params.shares"),
        ({"params": {"lookback_s": 0}}, "params.lookback_s"),
        ({"params": {"half_life_s": 5}}, "params.half_life_s"),
        ({"version": "1 0"}, "version"),
        ({"last_day": date(2025, 5, 1)}, "last_day"),
    ],
)
def test_bad_training_names_its_field(database: Database, changes: dict[str, Any], field: str) -> None:
    tenant_id = make_tenant(database)
    make_journeys(database, tenant_id)
    given: dict[str, Any] = {"name": "markov_path", "version": "1", "first_day": TODAY, "last_day": TODAY} | changes
    with pytest.raises(InputError) as refused, transaction(tenant_id) as connection:
        train_markov(connection, tenant_id, **given)
    assert refused.value.field == field
    assert database.value("select count(*) from attribution_models") == 0
    assert database.value("select count(*) from attribution_path_counts") == 0


def test_training_on_days_without_journeys_says_so(database: Database) -> None:
    tenant_id = make_tenant(database)
    with pytest.raises(NoResult, match="no journey in these days"), transaction(tenant_id) as connection:
        train_markov(connection, tenant_id, "markov_path", "1", TODAY, TODAY)


# Each as superuser, whom no privilege stops.
CHANGES = (
    "update attribution_models set params = '{}'",
    "update attribution_models set model_version = 'linear@9', version = '9'",
    "delete from attribution_models",
)


@pytest.mark.parametrize("use", ["published", "run"])
def test_a_version_in_use_never_changes(database: Database, use: str) -> None:
    tenant_id = make_tenant(database)
    version = make_version(tenant_id, "linear", publish=use == "published")
    if use == "run":
        run_window(tenant_id, version)
    before = database.query("select * from attribution_models")
    attempts: list[Callable[[], object]] = [lambda change=change: database.query(change) for change in CHANGES]  # type: ignore[misc]
    for attempt in attempts:
        with pytest.raises(Exception, match="in use and never changes"):
            attempt()
    assert database.query("select * from attribution_models") == before
    # Without the trigger it would: so it is the trigger that was seen above.
    database.query("drop trigger attribution_models_immutable on attribution_models")
    database.query(CHANGES[0])
    with transaction(tenant_id) as connection:
        assert store.read_version(connection, tenant_id, version).params == {}


def test_a_version_that_nobody_used_may_go(database: Database) -> None:
    make_version(make_tenant(database), "linear")
    database.query(CHANGES[2])
    assert database.value("select count(*) from attribution_models") == 0
