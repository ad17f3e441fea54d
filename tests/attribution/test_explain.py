"""Two versions side by side, and every cent of a conversion followed back to its touches."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction
from uuid import UUID, uuid4

import pytest

from skeldir_huey.attribution.compare import compare
from skeldir_huey.attribution.explain import Explanation, explain
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError, NotFound
from tests.attribution.runner import NEXT_DAY, allocations, make_version, run_window, run_windows_together
from tests.attribution.test_formulas import MODELS
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant


def sale(database: Database, tenant_id: UUID, channels: tuple[str, ...], cents: int, currency: str = "USD") -> UUID:
    visitor = uuid4()
    for minutes, channel in enumerate(channels):
        make_event(database, tenant_id, kind="touch", visitor=visitor, minutes=minutes, channel=channel)
    return make_event(database, tenant_id, visitor=visitor, minutes=30, cents=cents, currency=currency)


def explained(tenant_id: UUID, event_id: UUID, version: str) -> Explanation:
    with transaction(tenant_id, read_only=True) as connection:
        return explain(connection, tenant_id, event_id, version)


def test_every_model_agrees_with_its_explanation(database: Database) -> None:
    tenant_id = make_tenant(database)
    events = [
        sale(database, tenant_id, ("email", "direct", "organic", "email", "unknown"), 10_007),
        sale(database, tenant_id, ("direct", "direct"), 1, "JPY"),
        sale(database, tenant_id, (), 0, "KWD"),
    ]
    versions = [
        make_version(tenant_id, model, f"{number}", **params)
        for number, (model, params, _) in enumerate(MODELS.values())
    ]
    runs = run_windows_together(tenant_id, versions)
    for version, run in zip(versions, runs, strict=True):
        for event_id in events:
            found = explained(tenant_id, event_id, version)
            assert found.agrees and found.run == run, (version, event_id)
            assert sum(row.credit for row in found.channels) == 1
            assert sum(row.cents for row in found.channels) == found.revenue_cents
            assert sum(row.floor_cents for row in found.channels) + found.units_left == found.revenue_cents
            assert sum(row.ratio for row in found.channels) == 1
            if found.touches and found.spec.model_type != "even_split":
                assert sum(touch.credit for touch in found.touches) == 1
        assert explained(tenant_id, events[2], version).is_fallback == (not version.startswith("even_split"))


def test_rounding_is_shown_step_by_step(database: Database) -> None:
    tenant_id = make_tenant(database)
    event_id = sale(database, tenant_id, ("email", "email", "direct"), 100)
    version = make_version(tenant_id, "linear")
    before = explained(tenant_id, event_id, version)
    assert not before.agrees and before.run is None
    assert [row.stored_cents for row in before.channels] == [None, None]
    run = run_window(tenant_id, version)
    found = explained(tenant_id, event_id, version)
    assert [(touch.channel, touch.credit) for touch in found.touches] == [
        ("email", Fraction(1, 3)),
        ("email", Fraction(1, 3)),
        ("direct", Fraction(1, 3)),
    ]
    direct, email = found.channels
    assert (direct.floor_cents, direct.remainder, direct.gets_unit, direct.cents) == (33, Fraction(1, 3), False, 33)
    assert (email.floor_cents, email.remainder, email.gets_unit, email.cents) == (66, Fraction(2, 3), True, 67)
    assert (email.ratio, email.stored_ratio, email.stored_cents) == (*[Decimal("0.6666666667")] * 2, 67)
    assert (found.units_left, found.run) == (1, run)

    # What came later is not in the rows: the explanation says so, until the run is done again.
    visitor = database.value("select journey_key from attribution_events where id = %s", (str(event_id),))
    make_event(database, tenant_id, kind="touch", visitor=visitor, minutes=20, channel="organic")
    late = explained(tenant_id, event_id, version)
    assert not late.agrees
    assert [(row.channel, row.cents, row.stored_cents) for row in late.channels] == [
        ("direct", 25, 33),
        ("email", 50, 67),
        ("organic", 25, None),
    ]
    run_window(tenant_id, version)
    assert explained(tenant_id, event_id, version).agrees


def test_what_cannot_be_explained(database: Database) -> None:
    tenant_id, other = make_tenant(database), make_tenant(database, "other")
    touch = make_event(database, tenant_id, kind="touch")
    version = make_version(tenant_id, "linear")
    make_version(other, "linear")
    with pytest.raises(InputError, match="event_id: expected a conversion, this is of kind touch"):
        explained(tenant_id, touch, version)
    with pytest.raises(InputError, match="model_version: unknown version"):
        explained(tenant_id, touch, "linear@9")
    with pytest.raises(NotFound):
        explained(other, touch, version)


def test_two_versions_side_by_side(database: Database) -> None:
    tenant_id = make_tenant(database)
    same = sale(database, tenant_id, ("email",), 500)
    small = sale(database, tenant_id, ("email", "direct"), 101)
    large = sale(database, tenant_id, ("organic", "direct", "direct"), 900, "KWD")
    make_event(database, tenant_id, kind="adjustment", minutes=99, cents=-50, parent_event_id=str(small))  # left out
    first, linear = make_version(tenant_id, "first_touch"), make_version(tenant_id, "linear")
    run_windows_together(tenant_id, [first, linear])
    only_a = make_event(database, tenant_id, minutes=60 * 23, cents=5)
    run_window(tenant_id, first)
    with transaction(tenant_id, read_only=True) as connection:
        found = compare(connection, tenant_id, first, linear, DAY, NEXT_DAY)
        cut = compare(connection, tenant_id, linear, first, DAY, NEXT_DAY, limit=1)
        none = compare(connection, tenant_id, first, linear, NEXT_DAY, NEXT_DAY.replace(day=9))
    assert (found.count_a, found.count_b, found.count_both, found.count_different) == (4, 3, 3, 2)
    assert [(row.currency, row.channel_code, row.cents_a, row.cents_b) for row in found.channels] == [
        ("KWD", "direct", 0, 600),
        ("KWD", "organic", 900, 300),
        ("USD", "direct", 5, 51),
        ("USD", "email", 601, 550),
    ]
    assert found.channels[3].difference_cents == -51 and found.channels[3].credit_b == Decimal("1.5")
    assert [(pair.event_id, pair.moved_cents) for pair in found.conversions] == [(large, 600), (small, 51)]
    assert [(row.channel_code, row.cents_a, row.cents_b) for row in found.conversions[0].channels] == [
        ("direct", 0, 600),
        ("organic", 900, 300),
    ]
    assert [pair.event_id for pair in cut.conversions] == [large] and cut.count_different == 2
    assert (none.count_a, none.channels, none.conversions) == (0, [], [])
    assert same != only_a and sum(cents for _, cents in allocations(database, linear)) == 1_451


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"version_b": "linear@1.0.0"}, "version_b"),
        ({"version_b": "linear@2"}, "model_version"),
        ({"window_end": DAY}, "window_end"),
        ({"window_start": "soon"}, "window_start"),
        ({"limit": -1}, "limit"),
    ],
)
def test_bad_comparison_names_its_field(database: Database, changes: dict[str, object], field: str) -> None:
    tenant_id = make_tenant(database)
    given = {
        "version_a": make_version(tenant_id, "linear"),
        "version_b": make_version(tenant_id, "first_touch"),
        "window_start": DAY,
        "window_end": NEXT_DAY,
    } | changes
    with pytest.raises(InputError) as refused, transaction(tenant_id, read_only=True) as connection:
        compare(connection, tenant_id, **given)  # type: ignore[arg-type]
    assert refused.value.field == field
