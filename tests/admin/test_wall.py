"""The wall between tenants: every route, every foreign id: not found, nothing shown, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from skeldir_huey.db.engine import transaction
from tests.admin import walk
from tests.admin.world import World, act, sign_in, token_of
from tests.db.rows import fill

Client = Callable[[str | None], FlaskClient]

# Pages about the signed-in person alone: no tenant is in them.
PERSONAL = ("security", "account")


@pytest.fixture
def theirs(world: World) -> UUID:
    """A tenant that the operator may not see, with a row in every table that has a tenant."""
    return fill(world.database, "theirs")


def foreign_ids(world: World, theirs: UUID) -> list[str]:
    """Return one id of each kind that is behind the wall, the last one of nobody."""
    found = [str(world.global_letter), *walk.foreign_ids(world.database, world.a.tenant_id, theirs)]
    assert len(found) > 15
    return found


@pytest.mark.timeout(400)
def test_every_page_with_every_foreign_id_is_not_found(
    world: World, theirs: UUID, app: Flask, client_of: Client
) -> None:
    client, ids = client_of(world.operator_a), foreign_ids(world, theirs)
    walked = 0
    for rule in filter(walk.takes_id, walk.rules(app, "GET")):
        for query in (f"?tenant={world.a.tenant_id}", f"?tenant={theirs}"):
            for unknown, *foreign in zip(*(walk.paths(app, rule, row_id) for row_id in reversed(ids)), strict=True):
                expected = client.get(unknown + query)
                assert expected.status_code in (403, 404), (unknown, query)
                for path in foreign:
                    response = client.get(path + query)
                    assert response.status_code == expected.status_code, (path, query)
                    assert walk.bare(response) == walk.bare(expected), "a foreign id must look like an unknown one"
                    walked += 1
    assert walked > 400


@pytest.mark.timeout(400)
def test_every_post_with_every_foreign_id_writes_nothing(
    world: World, theirs: UUID, app: Flask, client_of: Client
) -> None:
    client, ids = client_of(world.operator_a), foreign_ids(world, theirs)
    token = token_of(client, "/admin/account/")
    before = walk.digest(world.database)
    own, other = f"?tenant={world.a.tenant_id}", f"?tenant={theirs}"
    for rule in filter(walk.takes_id, walk.rules(app, "POST")):
        for row_id in ids:
            for path in walk.paths(app, rule, row_id):
                for query, form_tenant in ((own, world.a.tenant_id), (other, theirs)):
                    data = {"tenant": str(form_tenant), "reason": "let me in", "csrf_token": token}
                    response = client.post(path + query, data=data)
                    assert response.status_code in (400, 403, 404, 409), (path, query, form_tenant)
    assert walk.digest(world.database) == before


@pytest.mark.timeout(400)
def test_every_form_about_another_tenant_writes_nothing(world: World, app: Flask, client_of: Client) -> None:
    client = client_of(world.operator_a)
    token = token_of(client, "/admin/account/")
    before = walk.digest(world.database)
    for rule in walk.rules(app, "POST"):
        if walk.takes_id(rule) or rule.endpoint.split(".")[0] in PERSONAL:
            continue
        for path in walk.paths(app, rule):
            for tenant in (world.b.tenant_id, uuid4(), "none", ""):
                for query in (f"?tenant={world.b.tenant_id}", f"?tenant={world.a.tenant_id}", ""):
                    if str(world.a.tenant_id) in query and rule.endpoint.endswith(".export"):
                        continue  # its scope is that of the address: that of its own tenant
                    data = {"tenant": str(tenant), "reason": "let me in", "csrf_token": token}
                    response = client.post(path + query, data=data)
                    assert response.status_code in (400, 403, 404, 409), (path, query, tenant)
    assert walk.digest(world.database) == before


def test_the_session_of_somebody_else_is_not_ended(world: World, client_of: Client) -> None:
    client, other = client_of(world.operator_a), client_of(world.admin)
    foreign = world.database.value(
        "select s.id::text from console_session s join console_user u on u.id = s.user_id where u.email = %s",
        (world.admin,),
    )
    data = {"only": foreign, "csrf_token": token_of(client, "/admin/account/")}
    assert client.post(f"/admin/account/sessions?tenant={world.a.tenant_id}", data=data).status_code == 404
    assert other.get("/admin/account/").status_code == 200


def test_a_lane_is_not_steered_from_behind_the_wall(world: World, client_of: Client) -> None:
    client = client_of(world.operator_a)
    token = token_of(client, "/admin/account/")
    before = walk.digest(world.database)
    for verb in ("pause", "resume"):
        for form_tenant in (world.a.tenant_id, world.b.tenant_id, "none", world.a.letter, uuid4()):
            for tenant in (world.a.tenant_id, world.b.tenant_id, uuid4(), ""):
                for task in ("skeldir.housekeeping.ping", ""):
                    if not task and form_tenant == tenant == world.a.tenant_id:
                        continue  # the one that is allowed
                    data = {"tenant": str(form_tenant), "reason": "let me in", "csrf_token": token}
                    path = f"/admin/queues/attribution/{verb}?tenant={tenant}&task={task}"
                    assert client.post(path, data=data).status_code in (400, 404), (path, form_tenant)
    assert walk.digest(world.database) == before


def test_lists_of_one_tenant_show_that_tenant_only(world: World, client_of: Client) -> None:
    client = client_of(world.operator_a)
    foreign = [str(world.b.tenant_id), "Bolt", *walk.foreign_ids(world.database, world.a.tenant_id, world.b.tenant_id)]
    for path in (
        "/admin/",
        "/admin/queues/attribution/",
        "/admin/dead/?state=any",
        "/admin/dead/jobs/?status=any",
        "/admin/bulk/",
        "/admin/refused/?status=any",
        "/admin/recompute/",
        "/admin/allocations/",
        "/admin/audit/",
    ):
        text = client.get(path, follow_redirects=True).get_data(as_text=True)
        assert str(world.a.tenant_id) in text, path
        for secret in foreign:
            if secret.isdigit():
                continue  # a small number stands in every page
            assert secret not in text and secret[:8] not in text, (path, secret)


def test_without_a_tenant_in_the_url_the_own_one_is_put_there(world: World, client_of: Client) -> None:
    response = client_of(world.operator_a).get("/admin/dead/?status=any")
    assert response.status_code == 302
    assert response.location == f"/admin/dead/?status=any&tenant={world.a.tenant_id}"


def test_a_foreign_or_unknown_tenant_is_not_found(world: World, client_of: Client) -> None:
    client = client_of(world.operator_a)
    for tenant in (str(world.b.tenant_id), str(uuid4()), "nonsense"):
        assert client.get(f"/admin/?tenant={tenant}").status_code == 404


def test_a_grant_that_was_taken_away_closes_at_once(world: World, client_of: Client) -> None:
    client = client_of(world.operator_a)
    world.database.query("delete from console_grant where tenant_id = %s", (str(world.a.tenant_id),))
    for path in ("/admin/", "/admin/dead/", f"/admin/dead/{world.a.letter}/"):
        assert client.get(path).status_code == 403, path
    response = act(client, world.a.letter, "replay", world.a.tenant_id)
    assert response.status_code == 403
    assert world.count("console_audit", "action = 'replay'") == 0


def test_two_tabs_of_two_tenants_do_not_meet(world: World, client_of: Client) -> None:
    """The scope stands in the address: the form of the first tab still means its own tenant."""
    client, scope = client_of(world.admin), f"?tenant={world.a.tenant_id}"
    first_tab = f"/admin/dead/{world.a.letter}/replay{scope}"
    data = {"reason": "tests say so", "tenant": str(world.a.tenant_id), "csrf_token": token_of(client, first_tab)}
    client.get(f"/admin/dead/?tenant={world.b.tenant_id}")  # the other tab, opened last
    assert client.post(first_tab, data=data).status_code == 303
    assert world.database.query("select tenant_id::text from huey.job where letter_id is not null") == [
        (str(world.a.tenant_id),)
    ]


@pytest.mark.parametrize("table", ["worker_failed_jobs", "huey.job", "attribution_recompute_jobs", "tenants"])
def test_the_all_tenants_role_cannot_write(world: World, table: str) -> None:
    with pytest.raises(sa.exc.ProgrammingError, match="permission denied"):
        with transaction(None, role="console_all", who="console") as connection:
            connection.exec_driver_sql(f"delete from {table}")


def test_no_page_of_nobody(world: World, app: Flask) -> None:
    client = app.test_client()
    sign_in(client, world.nobody)
    assert client.get("/admin/").status_code == 403
    assert client.get("/admin/account/").status_code == 200
