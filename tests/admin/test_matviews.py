"""Materialized views: freshness as recorded, and a refresh that is asked for once."""

from __future__ import annotations

from collections.abc import Callable

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from admin.show import DASH
from skeldir_huey.queue.instance import huey
from skeldir_huey.reports.registry import REPORTS
from tests.admin.reading import cells, page, part
from tests.admin.world import World, token_of

Client = Callable[[str | None], FlaskClient]

VIEW = "mv_channel_performance"


def send(client: FlaskClient, name: str = VIEW) -> TestResponse:
    data = {"reason": "tests say so", "tenant": "none", "csrf_token": token_of(client, "/admin/account/")}
    return client.post(f"/admin/matviews/{name}/refresh", data=data)


def add_refresh(world: World, outcome: str, ago: str, rows: int | None = None) -> None:
    world.database.query(
        "insert into matview_refresh (view_name, started_at, ended_at, row_count, outcome, asked_by, error_message)"
        " values (%s, now() - %s::interval, case when %s <> 'running' then now() - %s::interval + interval '2 seconds'"
        " end, %s, %s, 'dana@example.com', case when %s = 'failed' then 'disk full' end)",
        (VIEW, ago, outcome, ago, rows, outcome, outcome),
    )


def test_every_view_is_listed_with_what_is_recorded(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    text = page(client, "/admin/matviews/")
    for view in REPORTS:
        assert cells(text, view.name), view.name
    assert cells(text, VIEW)[0] == "never refreshed" and cells(text, VIEW)[2:4] == [DASH, DASH]
    add_refresh(world, "refreshed", "10 minutes", rows=1234)
    add_refresh(world, "failed", "3 minutes")
    shown = cells(page(client, "/admin/matviews/"), VIEW)
    assert shown[2].startswith("failed") and "3 min ago" in shown[2] and "dana@example.com" in shown[2]
    assert "took 2.0 s" in shown[2] and shown[3] == "1 234" and shown[5] == "nobody"
    detail = part(page(client, f"/admin/matviews/{VIEW}/"), "refreshes")
    assert "disk full" in detail and detail.count("dana@example.com") == 2
    assert client.get("/admin/matviews/nothing/").status_code == 404


def test_one_tenant_sees_freshness_but_no_counts_of_all(world: World, client_of: Client) -> None:
    add_refresh(world, "refreshed", "10 minutes", rows=1234)
    text = page(client_of(world.operator_a), f"/admin/matviews/?tenant={world.a.tenant_id}")
    assert cells(text, VIEW)[3:5] == [DASH, DASH] and "1 234" not in text.replace("\u202f", " ")
    detail = page(client_of(world.operator_a), f"/admin/matviews/{VIEW}/?tenant={world.a.tenant_id}")
    assert "1 234" not in detail.replace("\u202f", " ")


def test_a_refresh_is_asked_for_once(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    for _ in range(2):
        assert send(client).status_code == 303
    assert world.count("huey.job", "task_name = 'skeldir.reports.refresh_view'") == 1
    assert world.count("console_audit", "action = 'refresh' and target_id = %s", (VIEW,)) == 1
    message = world.database.value("select message from huey.job where task_name = 'skeldir.reports.refresh_view'")
    task = huey.deserialize_task(bytes(message))
    assert task.args == (VIEW,) and task.kwargs == {"asked_by": world.admin, "forced": True}


def test_a_refresh_that_runs_refuses_another_with_a_link(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    with world.database.connect() as holder, holder.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtextextended('skeldir.refresh:' || %s, 0))", (VIEW,))
        assert cells(page(client, "/admin/matviews/"), VIEW)[6] != "nobody"
        response = send(client)
        holder.rollback()
    assert response.status_code == 409
    text = response.get_data(as_text=True)
    assert "runs already" in text and f"/admin/matviews/{VIEW}/" in text
    assert world.count("huey.job", "task_name = 'skeldir.reports.refresh_view'") == 0


def test_only_an_operator_of_all_tenants_refreshes(world: World, client_of: Client) -> None:
    client = client_of(world.operator_a)
    data = {"reason": "tests say so", "tenant": "none", "csrf_token": token_of(client, "/admin/account/")}
    for query in ("", f"?tenant={world.a.tenant_id}"):
        assert client.post(f"/admin/matviews/{VIEW}/refresh{query}", data=data).status_code in (400, 403, 404)
    data["tenant"] = str(world.a.tenant_id)
    assert client.post(f"/admin/matviews/{VIEW}/refresh?tenant={world.a.tenant_id}", data=data).status_code == 400
    assert world.count("huey.job", "task_name = 'skeldir.reports.refresh_view'") == 0
