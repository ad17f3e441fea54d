"""The wall between tenants: every route, every foreign id: not found, nothing shown, nothing written."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import pytest
import sqlalchemy as sa
from flask import Flask
from flask.testing import FlaskClient

from skeldir_huey.db.engine import transaction
from tests.admin.world import World, act, sign_in, token_of

Client = Callable[[str | None], FlaskClient]

TABLES = (
    "worker_failed_jobs",
    "huey.job",
    "huey.lane",
    "huey.task_rule",
    "huey.tenant_rule",
    "console_audit",
    "attribution_recompute_jobs",
    "attribution_allocations",
)


def rules(app: Flask, method: str) -> list[str]:
    """Return the paths of the console with an id in them, the id as `{}`."""
    found = []
    for rule in app.url_map.iter_rules():
        if method in (rule.methods or ()) and rule.arguments - {"filename"}:
            assert len(rule.arguments - {"verb_name"}) == 1, rule
            of_place = ("pause", "resume") if "lane" in rule.arguments else ("replay", "abandon", "reopen")
            verbs = of_place if "verb_name" in rule.arguments else ("",)
            for verb in verbs:
                path = str(rule).replace("<verb_name>", verb)
                found.append(path[: path.index("<")] + "{}" + path[path.index(">") + 1 :])
    assert found
    return found


def ids(world: World) -> list[UUID]:
    side = world.b
    return [
        side.tenant_id,
        side.letter,
        side.abandoned,
        side.run,
        side.sale,
        UUID(side.task_id),
        world.global_letter,
        uuid4(),
    ]


def fingerprints(world: World) -> list[str]:
    """Return a digest of every table that a verb could change."""
    return [
        world.database.value(f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {table} t")
        for table in TABLES
    ]


def test_every_page_with_every_foreign_id_is_not_found(world: World, app: Flask, client_of: Client) -> None:
    client = client_of(world.operator_a)
    unknown = None
    for path in rules(app, "GET"):
        for row_id in ids(world):
            for query in (f"?tenant={world.a.tenant_id}", f"?tenant={world.b.tenant_id}"):
                response = client.get(path.format(row_id) + query)
                text = response.get_data(as_text=True).replace(response.headers["X-Request-Id"], "")
                assert response.status_code == 404, (path, row_id, query)
                unknown = unknown or text
                assert text == unknown, "a foreign id must not look different from an unknown one"


def test_every_post_with_every_foreign_id_writes_nothing(world: World, app: Flask, client_of: Client) -> None:
    client = client_of(world.operator_a)
    token = token_of(client, "/admin/account/")
    before = fingerprints(world)
    for path in rules(app, "POST"):
        for row_id in ids(world):
            for form_tenant in (world.a.tenant_id, world.b.tenant_id, "none", uuid4()):
                for query in (f"?tenant={world.a.tenant_id}", f"?tenant={world.b.tenant_id}", ""):
                    data = {"tenant": str(form_tenant), "reason": "let me in", "csrf_token": token}
                    response = client.post(path.format(row_id) + query, data=data)
                    assert response.status_code in (400, 404), (path, row_id, form_tenant, query)
    assert fingerprints(world) == before


def test_a_lane_is_not_steered_from_behind_the_wall(world: World, client_of: Client) -> None:
    client = client_of(world.operator_a)
    token = token_of(client, "/admin/account/")
    before = fingerprints(world)
    for verb in ("pause", "resume"):
        for form_tenant in (world.a.tenant_id, world.b.tenant_id, "none", world.a.letter, uuid4()):
            for tenant in (world.a.tenant_id, world.b.tenant_id, uuid4(), ""):
                for task in ("skeldir.housekeeping.ping", ""):
                    if not task and form_tenant == tenant == world.a.tenant_id:
                        continue  # the one that is allowed
                    data = {"tenant": str(form_tenant), "reason": "let me in", "csrf_token": token}
                    path = f"/admin/queues/attribution/{verb}?tenant={tenant}&task={task}"
                    assert client.post(path, data=data).status_code in (400, 404), (path, form_tenant)
    assert fingerprints(world) == before


def test_lists_of_one_tenant_show_that_tenant_only(world: World, client_of: Client) -> None:
    client = client_of(world.operator_a)
    foreign = [str(world.b.tenant_id), "Bolt", *(str(row_id) for row_id in ids(world)[1:-1])]
    for path in (
        "/admin/",
        "/admin/queues/attribution/",
        "/admin/dead/?status=any",
        "/admin/recompute/",
        "/admin/allocations/",
        "/admin/audit/",
    ):
        text = client.get(path, follow_redirects=True).get_data(as_text=True)
        assert str(world.a.tenant_id) in text, path
        for secret in foreign:
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
    client = client_of(world.admin)
    client.get(f"/admin/dead/?tenant={world.b.tenant_id}")  # the other tab, opened last
    response = act(client, world.a.letter, "replay", world.a.tenant_id, query=f"?tenant={world.a.tenant_id}")
    assert response.status_code == 303
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
