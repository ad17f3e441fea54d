"""Tenants: each figure equals SQL after a change; limits and pauses are set once, by those who may."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from uuid import UUID, uuid4

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from admin.reads.tenants import discrepancy_bp
from admin.show import DASH
from tests.admin.reading import cells, figures, page, part, plain
from tests.admin.world import World, add_attempt, add_job, token_of
from tests.factories import make_event, make_letter

Client = Callable[[str | None], FlaskClient]


def send(client: FlaskClient, tenant: UUID, verb: str, query: str = "", **fields: str) -> TestResponse:
    """Send the form of a verb on a tenant's page."""
    data = {"reason": "tests say so", "tenant": str(tenant), "csrf_token": token_of(client, "/admin/account/")}
    return client.post(f"/admin/tenants/{tenant}/{verb}{query}", data=data | fields)


def reconcile(world: World, **counts: int) -> UUID:
    """Insert a reconciliation of yesterday with two orders: 100.00 claimed of 80.00, and 500 yen matched."""
    row_id, tenant = uuid4(), str(world.a.tenant_id)
    names = ("ghost_count", "unallocated_count", "under_allocated_count", "over_allocated_count")
    values = [counts.get(name, 0) for name in names]
    world.database.query(
        f"insert into reconciliation_runs (tenant_id, id, window_start, window_end, order_count, {', '.join(names)},"
        " without_order_count, waiting_count) values (%s, %s, '2025-06-01Z', '2025-06-02Z', 2, %s, %s, %s, %s, 0, 0)",
        (tenant, str(row_id), *values),
    )
    world.database.query(
        "insert into reconciliation_orders (tenant_id, reconciliation_id, order_id, currency, claimed_cents,"
        " verified_cents, allocated_cents, ghost_cents, discrepancy_bp, allocation_state) values"
        " (%(t)s, %(r)s, 'order-1', 'USD', 10000, 8000, 8000, 2000, 2500, 'matched'),"
        " (%(t)s, %(r)s, 'order-2', 'JPY', 500, 500, 400, 0, 0, 'under_allocated')",
        {"t": tenant, "r": str(row_id)},
    )
    return row_id


def test_the_list_equals_sql_after_a_change(world: World, client_of: Client) -> None:
    a = world.a.tenant_id
    for _ in range(3):
        make_letter(world.database, a)
        add_attempt(world.database, a, "done", run_ms=1000)
    add_attempt(world.database, a, "dead", run_ms=500)
    add_attempt(world.database, world.b.tenant_id, "done", ago="25 hours", run_ms=1e6)
    add_job(world.database, a, "waiting")
    make_event(world.database, a, minutes=5000)
    text = page(client_of(world.admin), "/admin/tenants/")
    for side, name in ((world.a, "Acme"), (world.b, "Bolt")):
        mine = (str(side.tenant_id),)
        shown = cells(text, name)
        assert shown[0] == str(world.count("worker_failed_jobs", "tenant_id = %s and status = 'pending'", mine)), name
        done, dead, run_ms = world.database.query(
            "select count(*) filter (where outcome = 'done'), count(*) filter (where outcome = 'dead'), sum(run_ms)"
            " from huey.job_attempt where tenant_id = %s and ended_at > now() - interval '24 hours'",
            mine,
        )[0]
        assert shown[1] == f"{100 * dead / (done + dead):.1f} %", name
        assert shown[2] == str(world.count("huey.job", "tenant_id = %s and state = 'waiting'", mine)), name
        whole = world.database.value(
            "select sum(run_ms) from huey.job_attempt where ended_at > now() - interval '24 hours'"
        )
        assert shown[4] == f"{100 * run_ms / whole:.1f} %", name
        last = world.database.value("select max(occurred_at) from attribution_events where tenant_id = %s", mine)
        assert f'datetime="{last.isoformat().replace("+00:00", "Z")}"' in text, name
    assert cells(text, "Acme")[6] == "never" and cells(text, "Acme")[7] == "up to date"


def test_reconciliation_and_late_data_are_told(world: World, client_of: Client) -> None:
    client, a = client_of(world.admin), world.a.tenant_id
    world.database.query(
        "insert into attribution_dirty_ranges (tenant_id, range_start, range_end, reason) values"
        " (%s, '2025-06-01T10:00Z', '2025-06-01T11:00Z', 'late_touch')",
        (str(a),),
    )
    reconcile(world)
    text = page(client, "/admin/tenants/")
    assert cells(text, "Acme")[6].startswith("matched") and cells(text, "Acme")[7].startswith("late")
    reconcile(world, ghost_count=1, under_allocated_count=1)
    assert cells(page(client, "/admin/tenants/"), "Acme")[6].startswith("differs")
    detail = part(page(client, f"/admin/tenants/{a}/"), "reconciliation")
    assert cells(detail, "USD") == ["1", "100.00", "80.00", "80.00", "20.00", "2 500 bp"]
    assert cells(detail, "JPY") == ["1", "500", "500", "400", "0", "0 bp"]
    assert cells(detail, "order-1")[4] == "20.00" and cells(detail, "order-2")[5] == "under allocated"


@pytest.mark.parametrize(
    ("claimed", "verified", "bp"),
    [
        (0, 0, 0),
        (5, 0, None),
        (10_000, 8_000, 2500),
        (1, 3, -6667),
        (20001, 20000, 1),
        (3, -2, -25000),
        (19999, 20000, -1),
    ],
)
def test_the_discrepancy_rounds_as_the_reconciliation_does(
    world: World, claimed: int, verified: int, bp: int | None
) -> None:
    found = discrepancy_bp(SimpleNamespace(claimed=claimed, verified=verified))  # type: ignore[arg-type]
    assert found == bp
    if verified:
        assert found == world.database.value(
            "select round((%s - %s) * 10000::numeric / %s)::bigint", (claimed, verified, verified)
        )


def test_one_tenants_page(world: World, client_of: Client) -> None:
    a = world.a.tenant_id
    text = page(client_of(world.operator_a), f"/admin/tenants/{a}/?tenant={a}")
    shown = figures(text)
    assert shown["Waiting"] == str(world.count("huey.job", "state = 'waiting' and tenant_id = %s", (str(a),)))
    assert shown["Share of workers"] == DASH, "what others use is not to be seen from here"
    for endpoint in ("dead", "recompute", "allocations", "queues", "audit"):
        assert f"/admin/{endpoint}/?tenant={a}" in text
    everything = plain(text)
    for secret in ("password", "fs_uniquifier", "DATABASE"):
        assert secret not in everything
    assert client_of(world.operator_a).get(f"/admin/tenants/{world.b.tenant_id}/?tenant={a}").status_code == 404
    assert client_of(world.admin).get(f"/admin/tenants/{world.b.tenant_id}/?tenant={a}").status_code == 404
    assert client_of(world.admin).get(f"/admin/tenants/{uuid4()}/").status_code == 404


def test_limits_are_set_by_an_admin_of_all_tenants_only(world: World, client_of: Client) -> None:
    a, rule = world.a.tenant_id, "select weight, cap from huey.tenant_rule where tenant_id = %s and lane = 'ingest'"
    fields = {"weight": "2.5", "cap": "3"}
    assert send(client_of(world.operator_a), a, "limits", f"?tenant={a}&lane=ingest", **fields).status_code == 403
    assert world.database.query(rule, (str(a),)) == []
    assert send(client_of(world.admin), a, "limits", "?lane=ingest", **fields).status_code == 303
    assert world.database.query(rule, (str(a),)) == [(2.5, 3)]
    lanes = part(page(client_of(world.admin), f"/admin/tenants/{a}/"), "lanes")
    assert cells(lanes, "ingest")[1:3] == ["2.5", "3"] and cells(lanes, "llm")[1:3] == ["1", "none"]
    assert send(client_of(world.admin), a, "limits", "?lane=ingest", weight="1", cap="").status_code == 303
    assert world.database.query(rule, (str(a),)) == [(1.0, None)]
    first = "select detail from console_audit where action = 'limits' and result = 'ok' order by id limit 1"
    detail = world.database.value(first)
    assert detail["after"] == {"weight": 2.5, "cap": 3} and detail["before"] == {"weight": 1, "cap": None}


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("weight", "0"),
        ("weight", "nan"),
        ("weight", "x"),
        ("weight", "1e9"),
        ("cap", "0"),
        ("cap", "1.5"),
        ("cap", "²"),
    ],
)
def test_a_wrong_limit_is_refused_at_its_field(world: World, client_of: Client, field: str, value: str) -> None:
    fields = {"weight": "1", "cap": ""} | {field: value}
    response = send(client_of(world.admin), world.a.tenant_id, "limits", "?lane=ingest", **fields)
    assert response.status_code == 400
    text = response.get_data(as_text=True)
    assert f'id="{field}-error"' in text and "tests say so" in text, "what was typed is kept"
    assert world.count("huey.tenant_rule") == 0


def test_a_tenant_is_paused_in_every_lane_and_resumed(world: World, client_of: Client) -> None:
    client, a = client_of(world.operator_a), world.a.tenant_id
    scope = f"?tenant={a}"
    world.database.query(
        "insert into huey.tenant_rule (tenant_id, lane, paused_at, paused_by, pause_reason)"
        " values (%s, 'llm', now(), 'dana@example.com', 'earlier')",
        (str(a),),
    )
    assert send(client, a, "pause", scope, minutes="60").status_code == 303
    lanes = world.count("huey.lane")
    paused = "tenant_id = %s and paused_at is not null"
    assert world.count("huey.tenant_rule", paused, (str(a),)) == lanes
    assert world.count("huey.tenant_rule", paused + " and resume_at is not null", (str(a),)) == lanes - 1
    assert world.count("huey.job", "tenant_id = %s and held and state = 'waiting'", (str(a),)) == 1
    assert world.count("huey.tenant_rule", paused, (str(world.b.tenant_id),)) == 0
    assert send(client, a, "pause", scope).status_code == 409
    assert send(client, a, "resume", scope).status_code == 303
    assert send(client, a, "resume", scope).status_code == 409
    assert world.count("huey.tenant_rule", paused, (str(a),)) == 0 == world.count("huey.job", "held")
    assert world.count("console_audit", "target_type = 'tenant'") == 2
    assert send(client_of(world.viewer_a), a, "pause", scope).status_code == 403


def test_the_wall_holds_for_tenants(world: World, client_of: Client) -> None:
    client, a, b = client_of(world.operator_a), world.a.tenant_id, world.b.tenant_id
    token = token_of(client, "/admin/account/")
    for path_id, form_id in ((b, b), (b, a), (a, b), (uuid4(), a)):
        for query in (f"?tenant={a}", f"?tenant={b}", ""):
            data = {"reason": "let me in", "tenant": str(form_id), "csrf_token": token}
            for verb in ("pause", "resume"):
                response = client.post(f"/admin/tenants/{path_id}/{verb}{query}", data=data)
                assert response.status_code in (400, 404), (path_id, form_id, query)
    assert world.count("huey.tenant_rule") == 0 == world.count("console_audit", "target_type = 'tenant'")


def test_the_newest_rate_of_each_currency(world: World, client_of: Client) -> None:
    path = f"/admin/tenants/{world.a.tenant_id}/"
    client = client_of(world.admin)
    assert "None yet" in part(page(client, path), "rates")
    add = (
        "insert into exchange_rates (tenant_id, currency, day, base, rate, source)"
        " values (%s, %s, %s, 'EUR', %s, 'bank.csv')"
    )
    for currency, day, rate in (
        ("USD", "2025-06-01", "1.1"),
        ("USD", "2025-06-02", "1.0800"),
        ("JPY", "2025-06-02", "100"),
    ):
        world.database.query(add, (str(world.a.tenant_id), currency, day, rate))
    world.database.query(add, (str(world.b.tenant_id), "CHF", "2025-06-02", "0.9"))
    text = part(page(client, path), "rates")
    assert "1.08 per EUR on 2025-06-02" in text and "100 per EUR" in text and "bank.csv" in text
    assert "1.1 per" not in text and "CHF" not in text
