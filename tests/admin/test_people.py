"""Users and account: who may change whose rights, at once, with a fresh sign-in, and with an audit row of each."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.admin.world import PASSWORD, World, act, add_user, sign_in, token_of
from tests.factories import make_letter

Client = Callable[[str | None], FlaskClient]
REASON = "joined the team, ticket 12"


def id_of(world: World, email: str) -> str:
    found: str = world.database.value("select id::text from console_user where email = %s", (email,))
    return found


def send(client: FlaskClient, path: str, tenant: object = "none", **fields: Any) -> Any:
    query = path.partition("?")[2]
    token = token_of(client, "/admin/account/" + (f"?{query}" if "tenant=" in query else ""))
    return client.post(path, data={"tenant": str(tenant), "reason": REASON, "csrf_token": token} | fields)


def change(client: FlaskClient, world: World, email: str, verb: str, **fields: Any) -> Any:
    return send(client, f"/admin/users/{id_of(world, email)}/{verb}", **fields)


def stale(client: FlaskClient) -> None:
    with client.session_transaction() as session:
        session["fs_paa"] -= 301


def last_audit(world: World) -> tuple[Any, ...]:
    (row,) = world.database.query(
        "select actor, action, tenant_id::text, reason, result, detail from console_audit order by id desc limit 1"
    )
    return row


def test_an_admin_makes_an_account_that_signs_in(world: World, app: Flask, client_of: Client) -> None:
    client = client_of(world.admin)
    response = send(client, "/admin/users/new", email="Kim@Example.com", role="operator", of=world.a.tenant_id)
    password = re.search(r'<pre id="password">([^<]+)</pre>', response.get_data(as_text=True))
    assert response.status_code == 200 and password
    assert last_audit(world) == (
        world.admin, "create_user", None, REASON, "ok",
        {"email": "kim@example.com", "after": {"role": "operator", "tenant": str(world.a.tenant_id)}},
    )  # fmt: skip
    assert sign_in(kim := app.test_client(), "kim@example.com", password[1]).status_code == 302
    assert kim.get(f"/admin/dead/?tenant={world.a.tenant_id}").status_code == 200
    assert kim.get(f"/admin/dead/?tenant={world.b.tenant_id}").status_code == 404
    again = send(client, "/admin/users/new", email="kim@example.com", role="admin", of="all")
    assert again.status_code == 409
    assert password[1] not in client.get("/admin/users/").get_data(as_text=True)
    stored = world.database.value("select password from console_user where email = 'kim@example.com'")
    assert stored.startswith("$argon2id$")


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"email": "no address"}, "expected an e-mail address"),
        ({"role": "boss"}, "expected one of"),
        ({"reason": "no"}, "say why"),
        ({"of": "nonsense"}, "expected a uuid"),
    ],
)
def test_bad_input_is_named_and_nothing_typed_is_lost(
    world: World, client_of: Client, fields: dict[str, str], named: str
) -> None:
    good = {"email": "kim@example.com", "role": "viewer", "of": "all"}
    response = send(client_of(world.admin), "/admin/users/new", **good | fields)
    text = response.get_data(as_text=True)
    assert response.status_code == 400 and named in text
    assert fields.get("email", "kim@example.com") in text and fields.get("reason", REASON) in text
    assert world.count("console_user") == 4


def test_grants_hold_at_once_and_are_audited_in_their_tenant(world: World, client_of: Client) -> None:
    client, viewer = client_of(world.admin), client_of(world.viewer_a)
    tenant = str(world.a.tenant_id)
    assert act(viewer, world.a.letter, "replay", world.a.tenant_id, query=f"?tenant={tenant}").status_code == 403
    assert change(client, world, world.viewer_a, "grant", of=tenant, role="operator").status_code == 303
    assert last_audit(world) == (
        world.admin, "grant", tenant, REASON, "ok",
        {"email": world.viewer_a, "before": {"role": "viewer"}, "after": {"role": "operator"}},
    )  # fmt: skip
    assert act(viewer, world.a.letter, "replay", world.a.tenant_id, query=f"?tenant={tenant}").status_code == 303
    assert change(client, world, world.viewer_a, "grant", of=tenant, role="operator").status_code == 409
    assert change(client, world, world.viewer_a, "revoke", of=tenant).status_code == 303
    assert viewer.get(f"/admin/?tenant={tenant}").status_code == 403
    assert change(client, world, world.viewer_a, "revoke", of=tenant).status_code == 409


def test_a_disabled_account_is_out_at_once(world: World, app: Flask, client_of: Client) -> None:
    client, viewer = client_of(world.admin), client_of(world.viewer_a)
    page = f"/admin/?tenant={world.a.tenant_id}"
    assert change(client, world, world.viewer_a, "disable").status_code == 303
    assert viewer.get(page).status_code == 302
    assert sign_in(app.test_client(), world.viewer_a).status_code == 200
    assert last_audit(world)[1:5] == ("sign_in", None, None, "refused")
    assert change(client, world, world.viewer_a, "password").status_code == 409, "not enabled by the way"
    assert change(client, world, world.viewer_a, "enable").status_code == 303
    assert viewer.get(page).status_code == 302, "the old session stays ended"
    assert client_of(world.viewer_a).get(page).status_code == 200


def test_a_reset_password_replaces_the_old_one(world: World, app: Flask, client_of: Client) -> None:
    viewer = client_of(world.viewer_a)
    response = change(client_of(world.admin), world, world.viewer_a, "password")
    password = re.search(r'<pre id="password">([^<]+)</pre>', response.get_data(as_text=True))
    assert password and viewer.get(f"/admin/?tenant={world.a.tenant_id}").status_code == 302
    assert sign_in(app.test_client(), world.viewer_a, PASSWORD).status_code == 200
    assert sign_in(app.test_client(), world.viewer_a, password[1]).status_code == 302
    assert world.count("console_audit", "detail::text like %s", (f"%{password[1]}%",)) == 0


def test_an_admin_takes_a_second_factor_off(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    assert change(client, world, world.viewer_a, "factor").status_code == 409
    world.database.query("update console_user set tf_totp_secret = 'x', tf_primary_method = 'authenticator'")
    assert "Remove second factor" in client.get(f"/admin/users/{id_of(world, world.viewer_a)}/").get_data(as_text=True)
    assert change(client, world, world.viewer_a, "factor").status_code == 303
    assert last_audit(world)[1] == "reset_second_factor"
    assert world.count("console_user", "tf_totp_secret is null") == 1


def test_nobody_changes_their_own_rights(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    for verb, fields in (
        ("revoke", {"of": "all"}),
        ("grant", {"of": "all", "role": "viewer"}),
        ("disable", {}),
        ("password", {}),
        ("factor", {}),
    ):
        assert change(client, world, world.admin, verb, **fields).status_code == 403, verb
    assert world.count("console_grant", "role = 'admin' and tenant_id is null") == 1


def test_two_admins_cannot_remove_each_other_at_once(world: World, client_of: Client) -> None:
    add_user(world.database, "second@example.com", "admin")
    pairs = [(client_of(world.admin), "second@example.com"), (client_of("second@example.com"), world.admin)]
    tokens = [token_of(client, "/admin/account/") for client, _ in pairs]
    codes, start = [], threading.Barrier(2)

    def remove(client: FlaskClient, email: str, token: str) -> None:
        data = {"tenant": "none", "of": "all", "reason": REASON, "csrf_token": token}
        path = f"/admin/users/{id_of(world, email)}/revoke"
        start.wait()
        codes.append(client.post(path, data=data).status_code)

    threads = [threading.Thread(target=remove, args=(*pair, token)) for pair, token in zip(pairs, tokens, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [303, 403]
    assert world.count("console_grant", "role = 'admin' and tenant_id is null") == 1


def test_an_admin_of_one_tenant_manages_that_tenant_only(world: World, client_of: Client) -> None:
    add_user(world.database, "chief-a@example.com", "admin", "acme")
    add_user(world.database, "viewer-b@example.com", "viewer", "bolt")
    client, own = client_of("chief-a@example.com"), f"?tenant={world.a.tenant_id}"
    text = client.get(f"/admin/users/{own}").get_data(as_text=True)
    assert world.viewer_a in text and "viewer-b@example.com" not in text
    assert client.get(f"/admin/users/?tenant={world.b.tenant_id}").status_code == 404
    assert client.get(f"/admin/users/{id_of(world, 'viewer-b@example.com')}/{own}").status_code == 404
    path = f"/admin/users/{id_of(world, world.viewer_a)}"
    assert (
        send(client, f"{path}/grant{own}", world.a.tenant_id, of=world.a.tenant_id, role="operator").status_code == 303
    )
    before = world.database.query("select role, tenant_id, user_id from console_grant order by id")
    for of in (world.b.tenant_id, "all"):
        assert send(client, f"{path}/grant{own}", world.a.tenant_id, of=of, role="admin").status_code in (400, 404)
    for verb in ("disable", "password", "factor"):
        assert send(client, f"{path}/{verb}{own}", world.a.tenant_id).status_code == 403, verb
        assert last_audit(world)[:2] + last_audit(world)[4:5] == ("chief-a@example.com", "users", "refused")
    assert world.database.query("select role, tenant_id, user_id from console_grant order by id") == before
    fields = {"email": "viewer-b@example.com", "role": "viewer", "of": world.a.tenant_id}
    assert send(client, f"/admin/users/new{own}", world.a.tenant_id, **fields).status_code == 303
    assert send(client, f"/admin/users/new{own}", world.a.tenant_id, **fields | {"email": "x@y.org"}).status_code == 400


@pytest.mark.parametrize("who", ["operator_a", "viewer_a"])
def test_others_see_no_accounts(world: World, client_of: Client, who: str) -> None:
    client, own = client_of(getattr(world, who)), f"?tenant={world.a.tenant_id}"
    for path in ("/admin/users/", "/admin/users/new", f"/admin/users/{id_of(world, world.admin)}/"):
        response = client.get(path + own)
        assert response.status_code == 403 and world.admin not in response.get_data(as_text=True)
    path = f"/admin/users/{id_of(world, world.viewer_a)}/grant{own}"
    response = send(client, path, world.a.tenant_id, of=world.a.tenant_id, role="admin")
    assert response.status_code == 403
    assert last_audit(world) == (getattr(world, who), "users", str(world.a.tenant_id), None, "refused", {})
    assert ">Users<" not in client.get(f"/admin/{own}").get_data(as_text=True)


def test_a_stale_sign_in_is_asked_for_the_password_and_nothing_runs_twice(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    path = f"/admin/users/{id_of(world, world.viewer_a)}/disable"
    stale(client)
    assert client.get(path).location == f"/admin/verify?next={path}"
    response = send(client, path)
    assert (response.status_code, response.location) == (303, f"/admin/verify?next={path}")
    assert world.count("console_user", "not active") == 0
    token = token_of(client, response.location)
    wrong = client.post(response.location, data={"password": "wrong wrong wrong", "csrf_token": token})
    assert wrong.status_code == 200 and last_audit(world)[1] == "confirm_password"
    right = client.post(response.location, data={"password": PASSWORD, "csrf_token": token})
    assert (right.status_code, right.location) == (302, path)
    text = client.get(path).get_data(as_text=True)
    assert REASON in text, "what was typed is offered again"
    assert world.count("console_user", "not active") == 0, "the form is not repeated on its own"
    assert send(client, path).status_code == 303
    assert world.count("console_audit", "action = 'disable_user'") == 1


def test_all_other_sessions_are_ended(world: World, client_of: Client) -> None:
    clients = [client_of(world.admin) for _ in range(3)]
    text = clients[0].get("/admin/account/").get_data(as_text=True)
    assert text.count("since <time") == 3 and text.count("this one") == 1
    response = send(clients[0], "/admin/account/sessions")
    assert response.status_code == 303 and last_audit(world)[5] == {"ended_sessions": 2}
    assert [client.get("/admin/").status_code for client in clients] == [200, 302, 302]


def test_one_session_is_ended(world: World, client_of: Client) -> None:
    mine, other = client_of(world.admin), client_of(world.admin)
    ids = re.findall(r'name="only" value="([^"]+)"', mine.get("/admin/account/").get_data(as_text=True))
    assert len(ids) == 1
    assert send(mine, "/admin/account/sessions", only=ids[0]).status_code == 303
    assert [client.get("/admin/").status_code for client in (mine, other)] == [200, 302]


def test_signing_out_ends_the_session_itself(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    with client.session_transaction() as session:
        stolen = dict(session)
    send(client, "/admin/logout")
    assert last_audit(world)[1] == "sign_out"
    with client.session_transaction() as session:
        session.update(stolen)
    assert client.get("/admin/").status_code == 302, "a kept copy of the cookie is worth nothing"


def test_an_idle_session_ends_and_live_updates_are_no_work(world: World, client_of: Client) -> None:
    client = client_of(world.admin)

    def sit(seconds: int) -> None:
        with client.session_transaction() as session:
            session["seen_at"] -= seconds

    sit(3000)
    assert client.get("/admin/", headers={"X-Live": "1"}).status_code == 200
    sit(700)
    assert client.get("/admin/", headers={"X-Live": "1"}).status_code == 401
    client = client_of(world.admin)
    for _ in range(3):
        sit(3000)
        assert client.get("/admin/").status_code == 200


def test_settings_are_kept_with_the_account(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    response = send(client, "/admin/account/settings", theme="dark", time_zone="Europe/Berlin", refresh_s="15")
    assert response.status_code == 303 and "theme=dark" in response.headers["Set-Cookie"]
    text = client_of(world.admin).get("/admin/audit/").get_data(as_text=True)
    assert 'data-refresh="15"' in text and re.search(r"\d\d:\d\d:\d\d CES?T", text)
    for bad in ({"theme": "pink"}, {"time_zone": "Mars/Base"}, {"refresh_s": "1"}):
        good = {"theme": "", "time_zone": "UTC", "refresh_s": "5"}
        response = send(client, "/admin/account/settings", **good | bad)
        assert response.status_code == 400 and next(iter(bad)) in response.get_data(as_text=True)


def test_a_viewer_sees_disabled_buttons_and_is_refused(world: World, client_of: Client) -> None:
    client, own = client_of(world.viewer_a), f"?tenant={world.a.tenant_id}"
    text = client.get(f"/admin/dead/{world.a.letter}/{own}").get_data(as_text=True)
    assert re.search(r"<button[^>]* disabled title=\"Needs the role operator in this tenant\">Replay</button>", text)
    letter = make_letter(world.database, world.a.tenant_id)
    assert act(client, letter, "replay", world.a.tenant_id, query=own).status_code == 403
    assert last_audit(world) == (world.viewer_a, "replay", str(world.a.tenant_id), None, "refused", {})
