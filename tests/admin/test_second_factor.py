"""The second factor: set up, asked for, each code once, recovery codes, and an admin who takes it off."""

from __future__ import annotations

import html
import re
import threading
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from passlib.exc import UsedTokenError
from passlib.totp import TOTP

from admin import limiter
from admin.second_factor import STEP_S, key_for
from tests.admin.world import PASSWORD, World, sign_in, token_of

Client = Callable[[str | None], FlaskClient]


def post(client: FlaskClient, path: str, page: str, **fields: Any) -> Any:
    return client.post(path, data=fields | {"csrf_token": token_of(client, page)})


def set_up(client: FlaskClient) -> TOTP:
    """Switch the second factor on, as a person does, and return the app."""
    text = post(client, "/admin/tf-setup", "/admin/tf-setup", setup="authenticator").get_data(as_text=True)
    key = re.search(r"<dt>Key</dt><dd><code>([^<]+)</code>", text)
    action = re.search(r'action="(/admin/tf-setup/[^"]+)"', text)
    assert key and action and 'src="data:image/svg+xml;base64,' in text
    app = TOTP(key[1])
    fields = {"code": app.generate().token, "csrf_token": token_of(client, "/admin/account/")}
    assert client.post(html.unescape(action[1]), data=fields).location == "/admin/account/"
    return app


def forget_counter(world: World) -> None:
    """Let the code of this half minute be taken once more, as if time had passed."""
    world.database.query("update console_user set tf_last_counter = null")


def half_way(app: Flask, world: World) -> FlaskClient:
    """Return a client that gave the right password, and no code yet."""
    client = app.test_client()
    response = sign_in(client, world.admin)
    assert (response.status_code, response.location) == (302, "/admin/tf-validate")
    assert client.get("/admin/").status_code == 302, "the password alone opens nothing"
    return client


def test_sign_in_with_a_code(world: World, app: Flask, client_of: Client) -> None:
    totp = set_up(client_of(world.admin))
    forget_counter(world)
    client = half_way(app, world)
    response = post(client, "/admin/tf-validate", "/admin/tf-validate", code=totp.generate().token)
    assert (response.status_code, response.location) == (302, "/admin/")
    assert client.get("/admin/").status_code == 200
    assert [action for (action,) in world.database.query("select action from console_audit order by id")] == [
        "sign_in",
        "set_second_factor",
        "sign_in",
    ]


def test_the_page_that_was_asked_for_comes_after_the_code(world: World, app: Flask, client_of: Client) -> None:
    totp = set_up(client_of(world.admin))
    forget_counter(world)
    client = app.test_client()
    data = {"email": world.admin, "password": PASSWORD, "csrf_token": token_of(client, "/admin/login")}
    response = client.post("/admin/login", data=data | {"next": "/admin/dead/?status=any"})
    assert response.location == "/admin/tf-validate?next=/admin/dead/?status%3Dany"
    page = client.get(response.location).get_data(as_text=True)
    fields = {"next": "/admin/dead/?status=any", "code": totp.generate().token}
    assert 'name="next" value="/admin/dead/?status=any"' in page
    assert post(client, "/admin/tf-validate", response.location, **fields).location == "/admin/dead/?status=any"
    for bad in ("//evil.example", "https://evil.example"):
        assert client.get("/admin/tf-validate", query_string={"next": bad}).status_code in (400, 404)


def test_a_code_works_once(world: World, app: Flask, client_of: Client) -> None:
    totp = set_up(client_of(world.admin))
    client = half_way(app, world)
    taken = world.database.value("select tf_last_counter from console_user where email = %s", (world.admin,))
    code = totp.generate(taken * STEP_S).token  # a new half minute may have begun
    response = post(client, "/admin/tf-validate", "/admin/tf-validate", code=code)
    assert response.status_code == 200 and "Invalid code" in response.get_data(as_text=True), "used at the set-up"


def test_one_of_two_browsers_with_the_same_code_gets_in(world: World, app: Flask, client_of: Client) -> None:
    totp = set_up(client_of(world.admin))
    forget_counter(world)
    clients = [half_way(app, world) for _ in range(3)]
    tokens = [token_of(client, "/admin/tf-validate") for client in clients]
    code, codes, start = totp.generate().token, [], threading.Barrier(3)

    def send(client: FlaskClient, token: str) -> None:
        start.wait()
        codes.append(client.post("/admin/tf-validate", data={"code": code, "csrf_token": token}).status_code)

    threads = [threading.Thread(target=send, args=pair) for pair in zip(clients, tokens, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(codes) == [200, 200, 302]


def test_a_step_is_taken_once(world: World, app: Flask) -> None:
    """Both have read that nothing was taken yet; the second to write is refused, and so is an older step."""
    user = SimpleNamespace(id=world.database.value("select id from console_user where email = %s", (world.admin,)))
    totp = app.extensions["security"].totp_factory
    totp.set_last_counter(user, SimpleNamespace(counter=7))
    for counter in (7, 6):
        with pytest.raises(UsedTokenError):
            totp.set_last_counter(user, SimpleNamespace(counter=counter))
    totp.set_last_counter(user, SimpleNamespace(counter=8))
    assert totp.get_last_counter(user) == 8


def test_guessing_codes_is_slowed_down(world: World, app: Flask, client_of: Client) -> None:
    set_up(client_of(world.admin))
    client = half_way(app, world)
    token = token_of(client, "/admin/tf-validate")
    codes = [
        client.post("/admin/tf-validate", data={"code": f"{number:06}", "csrf_token": token}).status_code
        for number in range(limiter.PER_ACCOUNT_AND_ADDRESS + 1)
    ]
    assert codes == [200] * limiter.PER_ACCOUNT_AND_ADDRESS + [429]
    refused = "action = 'second_factor' and result = 'refused' and actor = %s"
    assert world.count("console_audit", refused, (world.admin,)) == limiter.PER_ACCOUNT_AND_ADDRESS


def test_a_recovery_code_signs_in_once(world: World, app: Flask, client_of: Client) -> None:
    owner = client_of(world.admin)
    set_up(owner)
    page = post(owner, "/admin/mf-recovery-codes", "/admin/mf-recovery-codes", generate_new_codes="yes")
    codes = re.findall(r"<li><code>([0-9a-f-]{14})</code></li>", page.get_data(as_text=True))
    assert len(codes) == 10
    stored = world.database.value("select mf_recovery_codes from console_user where email = %s", (world.admin,))
    assert len(stored) == 10 and not set(codes) & set(stored), "only their encryption is stored"
    for expected in (302, 200):
        client = half_way(app, world)
        response = post(client, "/admin/mf-recovery", "/admin/mf-recovery", code=codes[3])
        assert response.status_code == expected
    assert (
        world.database.value("select cardinality(mf_recovery_codes) from console_user where email = %s", (world.admin,))
        == 9
    )


def test_the_secret_is_stored_encrypted(world: World, client_of: Client) -> None:
    totp = set_up(client_of(world.admin))
    stored = world.database.value("select tf_totp_secret from console_user where email = %s", (world.admin,))
    assert totp.base32_key not in stored and '"enckey"' in stored
    assert key_for("a", "totp") != key_for("b", "totp") != key_for("b", "recovery codes")


def test_it_is_switched_off_again(world: World, app: Flask, client_of: Client) -> None:
    client = client_of(world.admin)
    set_up(client)
    assert post(client, "/admin/tf-setup", "/admin/tf-setup", setup="disable").location == "/admin/account/"
    assert world.database.query(
        "select tf_totp_secret, mf_recovery_codes from console_user where email = %s", (world.admin,)
    ) == [(None, None)]
    assert sign_in(app.test_client(), world.admin).location == "/admin/"
    assert world.count("console_audit", "action = 'remove_second_factor'") == 1


def test_setting_it_up_needs_a_fresh_sign_in(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    with client.session_transaction() as session:
        session["fs_paa"] -= 301
    assert client.get("/admin/tf-setup").location.startswith("/admin/verify?next=")
    assert client.get("/admin/mf-recovery-codes").location.startswith("/admin/verify?next=")
    response = post(client, "/admin/verify", "/admin/verify", password=PASSWORD)
    assert response.status_code == 302
    assert client.get("/admin/tf-setup").status_code == 200


@pytest.mark.parametrize("path", ["/admin/tf-rescue", "/admin/tf-select"])
def test_what_the_library_offers_and_we_do_not(world: World, app: Flask, client_of: Client, path: str) -> None:
    for client in (app.test_client(), client_of(world.admin)):
        assert client.get(path).status_code == 404


def test_a_get_of_the_code_page_does_not_sign_out(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    assert client.get("/admin/tf-validate").status_code == 404
    assert client.get("/admin/account/").status_code == 200
