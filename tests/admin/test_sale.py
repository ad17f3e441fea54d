"""One sale: its touches, weights and the rounding step, its refund, and what a repeated run changed."""

from __future__ import annotations

import re
from collections.abc import Callable
from uuid import UUID

from flask.testing import FlaskClient

from tests.admin.journeys import amount, compute, journeys, run_window
from tests.admin.reading import cells, figures, page, part
from tests.admin.world import World
from tests.factories import make_event

Client = Callable[[str | None], FlaskClient]


def test_one_sale_shows_touches_weights_and_the_rounding_step(world: World, client_of: Client) -> None:
    sale = journeys(world)["JPY"]
    (version,) = compute(world, "linear")
    text = page(client_of(world.operator_a), f"/admin/allocations/{sale}/?tenant={world.a.tenant_id}&model={version}")
    touches = part(text, "touches")
    assert re.findall(r"<th scope=\"row\">([^<]+)</th>", touches) == [
        "Email",
        "Google Search",
        "Facebook paid",
        "Email",
    ]
    assert touches.count('class="timeline-touch"') == 4 and touches.count("25.0\u202f%") == 4
    # 1000 yen over halves and quarters: floors and stored rows as in the database.
    rounding = part(text, "rounding")
    stored = world.database.query(
        "select channel_code, allocated_revenue_cents from attribution_allocations"
        " where event_id = %s and model_version = %s",
        (str(sale), version),
    )
    names = {"email": "Email", "google_search_paid": "Google Search", "facebook_paid": "Facebook paid"}
    assert {cells(rounding, names[code])[-1] for code, _ in stored} == {"500", "250"}
    for code, cents in stored:
        assert cells(rounding, names[code])[-2:] == [str(cents)] * 2
    assert "agrees" in rounding and "execution 1" in rounding
    usd = page(
        client_of(world.operator_a),
        f"/admin/allocations/{world.a.sale}/?tenant={world.a.tenant_id}&model={version}",
    )
    assert cells(part(usd, "rounding"), "Email")[1:4] == ["6666.6667", "6 666", "0.6667"]
    assert cells(part(usd, "rounding"), "Email")[4] == "+1"


def test_a_touch_outside_the_lookback_is_told_apart(world: World, client_of: Client) -> None:
    sale = journeys(world)["USD"]
    visitor = world.database.value("select journey_key from attribution_events where id = %s", (str(sale),))
    make_event(
        world.database,
        world.a.tenant_id,
        kind="touch",
        minutes=-40 * 1440,
        visitor=UUID(str(visitor)),
        channel="organic",
    )
    (version,) = compute(world, "linear")
    text = page(client_of(world.operator_a), f"/admin/allocations/{sale}/?tenant={world.a.tenant_id}&model={version}")
    assert "outside the lookback" in part(text, "touches") and text.count('class="timeline-idle"') == 1


def test_a_refund_leads_to_its_sale(world: World, client_of: Client) -> None:
    sale = journeys(world)["USD"]
    compute(world, "linear")
    refund = world.database.value("select id::text from attribution_events where kind = 'adjustment'")
    text = page(client_of(world.operator_a), f"/admin/allocations/{refund}/?tenant={world.a.tenant_id}")
    assert f"/admin/allocations/{sale}/" in text and "-5.01" in text and "exact" in text


def test_a_repeated_run_shows_what_it_changed(world: World, client_of: Client) -> None:
    (version,) = compute(world, "linear")
    run = world.database.value("select id::text from attribution_recompute_jobs where model_version = %s", (version,))
    client, path = client_of(world.admin), f"/admin/recompute/{run}/"
    run_window(world, version)
    text = page(client, path)
    assert "identical to the previous run" in text
    assert cells(part(text, "channels"), "Email") == ["66.67", "66.67", "0.00"]
    before = world.database.value(
        "select encode(checksum, 'hex') from attribution_recompute_jobs where id = %s", (run,)
    )
    journeys(world)
    run_window(world, version)
    text = page(client, path)
    channels = part(text, "channels")
    after = world.database.query(
        "select currency, channel_code, sum(allocated_revenue_cents)::bigint from attribution_allocations"
        " where model_version = %s group by 1, 2",
        (version,),
    )
    names = dict(world.database.query("select code, display_name from channel_taxonomy"))
    shown = {one[:3]: one for one in channels.split("Money per channel in ")[1:]}
    for currency, channel, cents in after:
        digits = {"USD": 2, "JPY": 0, "KWD": 3}[currency]
        old = {"email": 6667, "google_search_paid": 3333}.get(channel, 0) if currency == "USD" else 0
        assert cells(shown[currency], names.get(channel, channel)) == [
            amount(old, digits), amount(cents, digits), amount(cents - old, digits)
        ], (currency, channel)  # fmt: skip
    assert before in text and "rows differ" in text
    assert figures(text)["Changed"] != "0"
