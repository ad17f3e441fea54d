"""Run scheduled now and cancel waiting: the jobs that were there, of the right tenant, once, with an audit row."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.admin.reading import page
from tests.admin.world import World, add_job, add_user, sign_in, token_of

Client = Callable[[str | None], FlaskClient]
LANE = "ingest"
REASON = "the bank is back, no reason to wait"
DUE = "state = 'scheduled' and run_at <= clock_timestamp() and lane = 'ingest'"


def fill(world: World, state: str, a: int, b: int, nobody: int = 0) -> None:
    for tenant, count in ((world.a.tenant_id, a), (world.b.tenant_id, b), (None, nobody)):
        for _ in range(count):
            add_job(world.database, tenant, state, lane=LANE)


def send(
    client: FlaskClient, verb: str, tenant: UUID | None, *, reason: str = REASON, number: str = "", form: str = ""
) -> TestResponse:
    path = f"/admin/queues/{LANE}/jobs/{verb}" + (f"?tenant={tenant}" if tenant else "")
    text = page(client, path)
    seen = {name: found[1] for name in ("upto", "count") if (found := re.search(rf'name="{name}" value="(\d+)"', text))}
    data = {"upto": "9" * 18, "count": "0", "reason": reason, "tenant": form or str(tenant or "none")} | seen
    return client.post(
        path,
        data=data
        | {
            "number": number,
            "csrf_token": token_of(client, "/admin/account/" + (f"?tenant={tenant}" if tenant else "")),
        },
    )


def test_scheduled_jobs_of_one_tenant_become_due(world: World, client_of: Client) -> None:
    fill(world, "scheduled", a=3, b=2)
    client = client_of(world.operator_a)
    assert "<dd>3 scheduled</dd>" in page(client, f"/admin/queues/{LANE}/jobs/run_scheduled?tenant={world.a.tenant_id}")
    assert send(client, "run_scheduled", world.a.tenant_id).status_code == 303
    assert world.count("huey.job", f"{DUE} and tenant_id = %s", (str(world.a.tenant_id),)) == 3
    assert world.count("huey.job", DUE) == 3, "the other tenant's wait for their date"
    ((detail, tenant, target),) = world.database.query(
        "select detail, tenant_id, target_id from console_audit where action = 'run_scheduled'"
    )
    assert (detail["count"], tenant, target) == (3, world.a.tenant_id, LANE)


def test_all_tenants_at_once_and_what_came_later_is_not_meant(world: World, client_of: Client) -> None:
    fill(world, "waiting", a=2, b=3, nobody=1)
    client = client_of(world.admin)
    path = f"/admin/queues/{LANE}/jobs/cancel_waiting"
    upto = re.search(r'name="upto" value="(\d+)"', page(client, path))
    assert upto
    later = add_job(world.database, world.a.tenant_id, "waiting", lane=LANE)
    data = {"upto": upto[1], "count": "6", "reason": REASON, "tenant": "none"}
    data["csrf_token"] = token_of(client, "/admin/account/")
    assert client.post(path, data=data).status_code == 303
    wanted = {f"r:{row[0]}" for row in world.database.query("select task_id from huey.job where lane = 'ingest'")}
    assert {row[0] for row in world.database.query("select key from huey.result")} == wanted - {f"r:{later}"}
    detail = world.database.value("select detail from console_audit where action = 'cancel_waiting'")
    assert detail == {
        "count": 6,
        "tenants": {str(world.a.tenant_id): 2, str(world.b.tenant_id): 3, "none": 1},
    }
    again = client.post(path, data=data | {"csrf_token": token_of(client, "/admin/account/")})
    assert again.status_code == 409 and f"cancel waiting by {world.admin}" in again.get_data(as_text=True)


def test_a_double_click_does_it_once(world: World, app: Flask) -> None:
    fill(world, "waiting", a=4, b=0)
    clients = [app.test_client() for _ in range(4)]
    for client in clients:
        sign_in(client, world.admin)
    with ThreadPoolExecutor(4) as pool:
        codes = sorted(r.status_code for r in pool.map(lambda c: send(c, "cancel_waiting", None), clients))
    assert codes == [303, 409, 409, 409]
    assert world.count("huey.result") == 4 and world.count("console_audit", "action = 'cancel_waiting'") == 1


def test_above_a_thousand_the_number_is_typed_by_an_admin_with_a_fresh_sign_in(world: World, client_of: Client) -> None:
    world.database.query(
        "insert into huey.job (task_id, lane, task_name, tenant_id, message, state)"
        " select gen_random_uuid()::text, 'ingest', 't', %s, '{}', 'waiting' from generate_series(1, 1001)",
        (str(world.a.tenant_id),),
    )
    operator, admin = client_of(world.operator_a), client_of(world.admin)
    assert send(operator, "cancel_waiting", world.a.tenant_id, number="1001").status_code == 403
    response = send(admin, "cancel_waiting", None, number="1000")
    text = response.get_data(as_text=True)
    assert response.status_code == 400 and "type 1001 to go on" in text and f'value="{REASON}"' in text
    with admin.session_transaction() as session:
        session["fs_paa"] = 0
    assert "/admin/verify" in send(admin, "cancel_waiting", None, number="1001").location
    assert (
        world.count("huey.result") == 0 == world.count("console_audit", "action = 'cancel_waiting' and result = 'ok'")
    )
    with admin.session_transaction() as session:
        session["fs_paa"] = time.time()
    assert send(admin, "cancel_waiting", None, number="1001").status_code == 303
    assert world.count("huey.result") == 1001


def test_lesser_roles_and_foreign_tenants(world: World, client_of: Client) -> None:
    fill(world, "waiting", a=1, b=2)
    fill(world, "scheduled", a=1, b=2)
    add_user(world.database, "viewer@example.com", "viewer")
    for verb in ("cancel_waiting", "run_scheduled"):
        assert send(client_of(world.viewer_a), verb, world.a.tenant_id).status_code == 403
        assert send(client_of("viewer@example.com"), verb, None).status_code == 403
        operator = client_of(world.operator_a)
        path = f"/admin/queues/{LANE}/jobs/{verb}?tenant={world.b.tenant_id}"
        data = {"upto": "9" * 18, "count": "2", "reason": REASON, "tenant": str(world.b.tenant_id)}
        data["csrf_token"] = token_of(operator, f"/admin/account/?tenant={world.a.tenant_id}")
        assert operator.post(path, data=data).status_code == 404
        assert send(operator, verb, world.a.tenant_id, form=str(world.b.tenant_id)).status_code == 400
        assert send(operator, verb, world.a.tenant_id, reason="no").status_code == 400
    assert world.count("huey.result") == 0 == world.count("huey.job", DUE)
