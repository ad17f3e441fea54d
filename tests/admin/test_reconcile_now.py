"""Reconcile now: one job per window, by an operator, with an audit row; its result stands on the tenant's page."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from skeldir_huey.main import huey
from tests.admin.reading import page
from tests.admin.world import World, sign_in, token_of

Client = Callable[[str | None], FlaskClient]
JOBS = "task_name = 'skeldir.ledger.reconcile'"


def send(client: FlaskClient, tenant: UUID, *, form_tenant: UUID | None = None, **fields: str) -> TestResponse:
    data = {"first": "2025-06-01", "last": "2025-06-02", "reason": "the bank sent a correction"} | fields
    data |= {"tenant": str(form_tenant or tenant), "csrf_token": token_of(client, "/admin/account/")}
    return client.post(f"/admin/tenants/{tenant}/reconcile?tenant={form_tenant or tenant}", data=data)


def test_the_job_compares_just_these_days_and_the_page_shows_it(world: World, client_of: Client) -> None:
    client, a = client_of(world.operator_a), world.a.tenant_id
    path = f"/admin/tenants/{a}/?tenant={a}"
    assert "Never compared yet" in page(client, path) and "Reconcile now" in page(client, path)
    response = send(client, a)
    ((task_id,),) = world.database.query(f"select task_id from huey.job where {JOBS}")
    assert response.status_code == 303 and f"/admin/jobs/{task_id}/" in response.location
    ((detail, tenant),) = world.database.query("select detail, tenant_id from console_audit where action = 'reconcile'")
    window = ("2025-06-01T00:00:00+00:00", "2025-06-03T00:00:00+00:00")
    assert (detail["window_start"], detail["window_end"]) == window and tenant == a and detail["task_id"] == task_id
    huey.storage.new_identity()
    data = huey.storage.dequeue()
    while data is not None and (task := huey.task_of(data)) is not None and task.id != task_id:
        data = huey.storage.dequeue()
    huey.execute(task)
    found = world.database.query("select tenant_id, task_id from reconciliation_runs")
    assert found == [(a, task_id)]
    assert "Never compared yet" not in page(client, path)
    huey.close_process()
    huey.storage.close()


def test_however_often_it_is_asked_one_job_waits(world: World, app: Flask) -> None:
    clients = [app.test_client() for _ in range(3)]
    for client in clients:
        sign_in(client, world.admin)
    with ThreadPoolExecutor(3) as pool:
        answers = list(pool.map(lambda client: send(client, world.a.tenant_id), clients))
    assert len({answer.location.split("?")[0] for answer in answers}) == 1, "all are led to the same job"
    assert world.count("huey.job", JOBS) == 1 == world.count("console_audit", "action = 'reconcile'")


def test_refused(world: World, client_of: Client) -> None:
    a, b = world.a.tenant_id, world.b.tenant_id
    operator = client_of(world.operator_a)
    assert send(client_of(world.viewer_a), a).status_code == 403
    assert send(operator, b).status_code == 404
    assert send(operator, b, form_tenant=a).status_code == 404
    refused: list[tuple[dict[str, Any], str]] = [
        ({"first": ""}, "choose the first"),
        ({"last": "2025-05-01"}, "is before the first day"),
        ({"last": "2027-05-01"}, "at most 366 days"),
        ({"last": "2027-15-01"}, "expected a day"),
        ({"reason": "no"}, "say why"),
    ]
    for fields, words in refused:
        response = send(operator, a, **fields)
        assert response.status_code == 400 and words in response.get_data(as_text=True), fields
    assert 'value="the bank sent a correction"' in send(operator, a, first="").get_data(as_text=True)
    assert world.count("huey.job", JOBS) == 0 == world.count("console_audit", "action = 'reconcile' and result = 'ok'")
