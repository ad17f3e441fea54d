"""Allocations: every model's column sums to the revenue to the cent, and every figure leads to the sales behind it."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable

from flask.testing import FlaskClient

from tests.admin.journeys import DAYS, amount, compute, journeys, tables
from tests.admin.reading import cells, page, part, plain
from tests.admin.world import MODEL, World, allocate, token_of
from tests.factories import make_event, make_tenant

Client = Callable[[str | None], FlaskClient]


def test_each_models_column_sums_to_the_revenue_to_the_cent(world: World, client_of: Client) -> None:
    journeys(world)
    versions = [MODEL, *compute(world, "first_touch", "time_decay", "position_based", "linear")]
    tenant = world.a.tenant_id
    text = page(client_of(world.operator_a), f"/admin/allocations/?tenant={tenant}&{DAYS}&base={MODEL}")
    shown = tables(text)
    assert set(shown) == {"USD", "JPY", "KWD"}
    for currency, digits in (("USD", 2), ("JPY", 0), ("KWD", 3)):
        card = shown[currency]
        heads = [plain(head) for head in re.findall(r'<th scope="col" class="num">(.*?)</th>', card)]
        assert heads[0] == MODEL and set(heads) == set(versions)
        for place, version in enumerate(heads):
            cents, revenue = world.database.query(
                "select sum(cents)::bigint, sum(revenue_cents)::bigint from (select event_id,"
                " sum(allocated_revenue_cents) as cents from attribution_allocations where tenant_id = %s"
                " and model_version = %s and currency = %s group by 1) a join attribution_events e on e.id = event_id",
                (str(tenant), version, currency),
            )[0]
            cents, revenue = cents or 0, revenue or 0
            assert cents == revenue, (currency, version)
            money = amount(cents, digits)
            assert cells(card, "Sum")[place] == money == cells(card, "Revenue")[place], (currency, version)
            assert cells(card, "Check")[place] == "exact"
    # The version that only the first sale has been computed under says what it lacks, in each currency by itself.
    assert "1 not computed: 1 000" in cells(shown["JPY"], "Events")[0]
    assert "2 not computed: 95.00" in cells(shown["USD"], "Events")[0]
    assert cells(shown["USD"], "Events")[1] == "3"


def test_cells_equal_sql_after_a_change(world: World, client_of: Client) -> None:
    second = make_event(world.database, world.a.tenant_id, minutes=900, cents=4_001)
    allocate(world.database, world.a.tenant_id, second, world.a.run, {"direct": 4_001})
    (version,) = compute(world, "first_touch")
    tenant = world.a.tenant_id
    card = tables(page(client_of(world.operator_a), f"/admin/allocations/?tenant={tenant}&{DAYS}&base={MODEL}"))["USD"]
    # Money, share, and for the other version the difference to the base.
    assert cells(card, "Email") == ["66.67 47.6 %", "100.00 71.4 % · +33.33", ""]
    assert cells(card, "Google Search") == ["33.33 23.8 %", "0.00", ""]
    assert cells(card, "Direct")[0] == "40.01 28.6 %"
    assert cells(card, "Sum")[0] == "140.01"
    other = tables(page(client_of(world.operator_a), f"/admin/allocations/?tenant={tenant}&{DAYS}&base={version}"))
    assert "-33.33" in cells(other["USD"], "Email")[1]
    day = tables(
        page(client_of(world.operator_a), f"/admin/allocations/?tenant={tenant}&start=2025-06-01&end=2025-06-01")
    )
    assert cells(day["USD"], "Sum")[0] == "140.01"
    text = page(client_of(world.operator_a), f"/admin/allocations/?tenant={tenant}&start=2025-06-02&end=2025-06-02")
    assert "No conversion in these days" in text


def test_a_cent_too_few_is_shown_in_red(world: World, client_of: Client) -> None:
    world.database.query("alter table attribution_allocations disable trigger user")
    world.database.query(
        "update attribution_allocations set allocated_revenue_cents = 6666 where channel_code = 'email'"
    )
    path = f"?tenant={world.a.tenant_id}"
    client = client_of(world.admin)
    assert "differs by -0.01" in page(client, f"/admin/allocations/{path}")
    text = page(client, f"/admin/allocations/{world.a.sale}/{path}")
    assert "differs by -0.01" in text and "does not agree" in text


def test_two_errors_that_cancel_out_are_found(world: World, client_of: Client) -> None:
    second = make_event(world.database, world.a.tenant_id, minutes=900, cents=4_001)
    allocate(world.database, world.a.tenant_id, second, world.a.run, {"direct": 4_001})
    world.database.query("alter table attribution_allocations disable trigger user")
    for event, channel, cents in ((world.a.sale, "email", 6666), (second, "direct", 4002)):
        world.database.query(
            "update attribution_allocations set allocated_revenue_cents = %s where event_id = %s and channel_code = %s",
            (cents, str(event), channel),
        )
    card = tables(page(client_of(world.admin), f"/admin/allocations/?tenant={world.a.tenant_id}"))["USD"]
    assert cells(card, "Sum")[0] == "140.01" == cells(card, "Revenue")[0]
    assert cells(card, "Check")[0] == "2 events differ"


def test_a_figure_leads_to_its_events_and_to_one_sale(world: World, client_of: Client) -> None:
    sales = journeys(world)
    (version,) = compute(world, "linear")
    tenant, client = world.a.tenant_id, client_of(world.operator_a)
    path = f"/admin/allocations/events?tenant={tenant}&model={version}&channel=facebook_paid&{DAYS}"
    text = page(client, path)
    shown = re.findall(r'href="/admin/allocations/([0-9a-f-]{36})/', text)
    wanted = world.database.query(
        "select event_id::text, allocated_revenue_cents, currency from attribution_allocations"
        " where model_version = %s and channel_code = 'facebook_paid' order by converted_at desc, event_id desc",
        (version,),
    )
    assert shown == [row[0] for row in wanted] and str(sales["KWD"]) in shown and str(world.a.sale) not in shown
    kwd = next(cents for event, cents, _ in wanted if event == str(sales["KWD"]))
    assert f"{kwd / 1000:.3f} KWD" in plain(text)
    assert "refund" in plain(text)
    comparison = page(client, f"/admin/allocations/?tenant={tenant}&{DAYS}")
    assert re.search(r'href="/admin/allocations/events\?[^"]*channel=facebook_paid', comparison)


def test_events_page_by_key(world: World, client_of: Client) -> None:
    for _ in range(60):  # all at one instant
        event = make_event(world.database, world.a.tenant_id, minutes=900, cents=100)
        allocate(world.database, world.a.tenant_id, event, world.a.run, {"direct": 100})
    client, seen = client_of(world.operator_a), []
    path: str | None = f"/admin/allocations/events?tenant={world.a.tenant_id}&model={MODEL}&channel=direct&{DAYS}"
    while path:
        text = page(client, path)
        seen += re.findall(r'href="/admin/allocations/([0-9a-f-]{36})/', text)
        older = re.search(r'rel="next" href="([^"]+)"', text)
        path = older[1] if older else None
    assert len(seen) == 60 == len(set(seen))


def test_exports_are_plain_and_audited(world: World, client_of: Client) -> None:
    sales = journeys(world)
    (version,) = compute(world, "linear")
    tenant, client = world.a.tenant_id, client_of(world.operator_a)
    data = {"tenant": str(tenant), "csrf_token": token_of(client, "/admin/account/")}
    response = client.post(f"/admin/allocations/export?tenant={tenant}&{DAYS}", data=data)
    assert response.status_code == 200 and response.mimetype == "text/csv"
    found = {
        (row["currency"], row["model_version"], row["channel"]): int(row["cents"])
        for row in csv.DictReader(io.StringIO(response.get_data(as_text=True)))
    }
    assert found == {
        row[:3]: row[3]
        for row in world.database.query(
            "select currency, model_version, channel_code, sum(allocated_revenue_cents)::bigint"
            " from attribution_allocations where tenant_id = %s group by 1, 2, 3",
            (str(tenant),),
        )
    }
    response = client.post(f"/admin/allocations/export?tenant={tenant}&model={version}&channel=email&{DAYS}", data=data)
    rows = list(csv.DictReader(io.StringIO(response.get_data(as_text=True))))
    assert str(sales["JPY"]) in {row["event_id"] for row in rows}
    assert world.count("console_audit", "action = 'export' and tenant_id = %s", (str(tenant),)) == 2
    assert client.post(f"/admin/allocations/export?{DAYS}&tenant={world.b.tenant_id}", data=data).status_code == 404
    assert client.post(f"/admin/allocations/export?tenant={tenant}&model=no@1&{DAYS}", data=data).status_code == 404


def test_wrong_values_in_the_address_are_refused(world: World, client_of: Client) -> None:
    client, tenant = client_of(world.operator_a), world.a.tenant_id
    for query, status in (
        ("start=x", 400),
        ("start=2025-06-02&end=2025-06-01", 400),
        ("start=2020-01-01&end=2025-06-01", 400),
        ("base=nothing@1", 404),
    ):
        assert client.get(f"/admin/allocations/?tenant={tenant}&{query}").status_code == status, query
    for query, status in (("after=x", 400), ("channel=nothing", 404), ("model=nothing@1", 404)):
        assert client.get(f"/admin/allocations/events?tenant={tenant}&{query}").status_code == status, query


def test_a_tenant_without_models_or_events_is_told_so(world: World, client_of: Client) -> None:
    empty = make_tenant(world.database, "empty")
    text = page(client_of(world.admin), f"/admin/allocations/?tenant={empty}")
    assert "No model version yet" in text
    assert "No model version yet" in page(client_of(world.admin), f"/admin/recompute/ask?tenant={empty}")


def test_a_comparison_that_takes_too_long_says_so_and_the_page_lives(world: World, client_of: Client) -> None:
    client = client_of(world.operator_a)
    with world.database.connect() as holder, holder.cursor() as cursor:
        cursor.execute("lock table attribution_allocations in access exclusive mode")
        text = page(client, f"/admin/allocations/?tenant={world.a.tenant_id}")
        holder.rollback()
    assert "took longer than 5 s" in part(text, "channels") and "Base model" in text
