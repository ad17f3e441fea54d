"""Give a running job to another worker: by an admin with a fresh sign-in, once, and across no wall."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from uuid import UUID, uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from skeldir_huey.db.engine import transaction
from skeldir_huey.queue import control
from tests.admin.reading import page
from tests.admin.world import World, add_job, add_user, sign_in, token_of

Client = Callable[[str | None], FlaskClient]
REASON = "its worker hangs in a call to the bank"


@pytest.fixture
def job(world: World) -> tuple[str, UUID]:
    """Return the id and the claim of a job of tenant a that runs."""
    task_id = add_job(world.database, world.a.tenant_id, "running")
    world.database.query("update huey.job set attempt = 2 where task_id = %s", (task_id,))
    return task_id, world.database.value("select claim_token from huey.job where task_id = %s", (task_id,))


def release(
    client: FlaskClient, task_id: str, claim: object, tenant: UUID | None, *, reason: str = REASON, query: str = ""
) -> TestResponse:
    data = {"reason": reason, "claim": str(claim), "tenant": str(tenant or "none")}
    data["csrf_token"] = token_of(client, f"/admin/account/{query}")
    return client.post(f"/admin/jobs/{task_id}/release{query}", data=data)


def state(world: World, task_id: str) -> tuple[object, ...]:
    found: tuple[object, ...] = world.database.query(
        "select state, attempt, claim_token, deaths from huey.job where task_id = %s", (task_id,)
    )[0]
    return found


def test_an_admin_gives_it_back_and_the_page_says_by_whom(
    world: World, client_of: Client, job: tuple[str, UUID]
) -> None:
    task_id, claim = job
    client = client_of(world.admin)
    assert f'value="{claim}"' in page(client, f"/admin/jobs/{task_id}/release")
    assert release(client, task_id, claim, world.a.tenant_id, reason="no").status_code == 400
    assert state(world, task_id)[0] == "running"
    assert release(client, task_id, claim, world.a.tenant_id).status_code == 303
    assert state(world, task_id) == ("waiting", 1, None, 0)
    assert world.count("huey.job_attempt", "task_id = %s and outcome = 'released' and attempt = 2", (task_id,)) == 1
    wanted = "action = 'release' and target_id = %s and reason = %s and tenant_id = %s"
    assert world.count("console_audit", wanted, (task_id, REASON, str(world.a.tenant_id))) == 1
    again = release(client, task_id, claim, world.a.tenant_id)
    text = again.get_data(as_text=True)
    assert again.status_code == 409 and f"It is waiting. Last: release by {world.admin}" in text and "ago" in text
    assert f'href="/admin/jobs/{task_id}/release"' in text, "a way to look at it as it is now"


def test_a_later_claim_is_left_alone(world: World, client_of: Client, job: tuple[str, UUID]) -> None:
    task_id, seen = job
    later = uuid4()
    world.database.query("update huey.job set claim_token = %s where task_id = %s", (str(later), task_id))
    assert release(client_of(world.admin), task_id, seen, world.a.tenant_id).status_code == 409
    assert state(world, task_id) == ("running", 2, later, 0)
    assert release(client_of(world.admin), task_id, "no uuid", world.a.tenant_id).status_code == 400


def test_a_double_click_releases_once(world: World, app: Flask, job: tuple[str, UUID]) -> None:
    clients = [app.test_client() for _ in range(4)]
    for client in clients:
        sign_in(client, world.admin)
    with ThreadPoolExecutor(4) as pool:
        found = sorted(r.status_code for r in pool.map(lambda c: release(c, *job, world.a.tenant_id), clients))
    assert found == [303, 409, 409, 409]
    assert world.count("console_audit", "action = 'release'") == 1
    assert state(world, job[0])[1] == 1


def test_lesser_roles_a_stale_sign_in_and_foreign_tenants(
    world: World, client_of: Client, job: tuple[str, UUID]
) -> None:
    query, foreign = f"?tenant={world.a.tenant_id}", add_job(world.database, world.b.tenant_id, "running")
    for email in (world.viewer_a, world.operator_a):
        client = client_of(email)
        assert release(client, *job, world.a.tenant_id, query=query).status_code == 403
        assert "Needs the role admin in this tenant" in page(client, f"/admin/jobs/{job[0]}/{query}")
    add_user(world.database, "admin-a@example.com", "admin", "acme")
    client = client_of("admin-a@example.com")
    claim = world.database.value("select claim_token from huey.job where task_id = %s", (foreign,))
    assert release(client, foreign, claim, world.a.tenant_id, query=query).status_code == 404
    assert release(client, foreign, claim, world.b.tenant_id, query=query).status_code == 400
    with client.session_transaction() as session:
        session["fs_paa"] = 0
    response = release(client, *job, world.a.tenant_id, query=query)
    assert response.status_code == 303 and "/admin/verify" in response.location
    assert state(world, job[0])[0] == "running" == state(world, foreign)[0]
    assert world.count("console_audit", "action = 'release' and result = 'ok'") == 0
    assert world.count("console_audit", "action = 'release' and result = 'refused'") == 2
    assert f'value="{REASON}"' in page(client, f"/admin/jobs/{job[0]}/release{query}"), "the reason is offered again"


def test_the_database_itself_refuses_across_the_wall(world: World, job: tuple[str, UUID]) -> None:
    with transaction(world.b.tenant_id, role="console_tenant", who="console") as connection:
        assert control.release_running(connection, *job, "not mine") is None
    with transaction(None, role="console_global", who="console") as connection:
        assert control.release_running(connection, *job, "of no tenant") is None
    assert state(world, job[0])[0] == "running"
