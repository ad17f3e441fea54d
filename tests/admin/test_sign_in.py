"""Who gets in, how often one may try, and when a session ends."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from admin import limiter
from admin.guard import safe_path
from tests.admin.world import PASSWORD, World, sign_in, token_of
from tests.cluster import Database

Client = Callable[[str | None], FlaskClient]


def test_a_token_of_before_the_sign_in_is_worth_nothing_after_it(world: World, app: Flask) -> None:
    client = app.test_client()
    planted = token_of(client, "/admin/login")
    assert (
        client.post(
            "/admin/login", data={"email": world.admin, "password": PASSWORD, "csrf_token": planted}
        ).status_code
        == 302
    )
    assert client.post("/admin/logout", data={"csrf_token": planted}).status_code == 400
    assert client.post("/admin/logout", data={"csrf_token": token_of(client, "/admin/account/")}).status_code == 302


def test_json_is_not_a_way_around_the_limits(world: World, app: Flask) -> None:
    client = app.test_client()
    token = token_of(client, "/admin/login")
    body = {"email": world.admin, "password": PASSWORD}
    response = client.post("/admin/login", json=body, headers={"X-CSRFToken": token})
    assert response.status_code == 400 and client.get("/admin/").status_code == 302


def test_sign_in_and_out(world: World, app: Flask) -> None:
    client = app.test_client()
    assert client.get("/admin/dead/?status=any").location == "/admin/login?next=/admin/dead/?status%3Dany"
    token = token_of(client, "/admin/login")
    data = {"email": "Admin@Example.com", "password": PASSWORD, "csrf_token": token, "next": "/admin/dead/?status=any"}
    response = client.post("/admin/login", data=data)
    assert (response.status_code, response.location) == (302, "/admin/dead/?status=any")
    cookie = next(value for value in response.headers.getlist("Set-Cookie") if value.startswith("skeldir="))
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie and "Secure" not in cookie
    assert client.get("/admin/").status_code == 200
    assert world.count("console_audit", "action = 'sign_in' and actor = %s", (world.admin,)) == 1
    assert client.post("/admin/logout", data={"csrf_token": token_of(client, "/admin/account/")}).status_code == 302
    assert client.get("/admin/").status_code == 302


def test_the_answer_to_a_wrong_password_is_the_same_for_all(world: World, app: Flask) -> None:
    texts = set()
    for email in (world.admin, "unknown@example.com"):
        client = app.test_client()
        response = sign_in(client, email, "not this password")
        assert response.status_code == 200
        text = response.get_data(as_text=True).replace(email, "")
        text = text.replace(text.split('name="csrf_token"')[1].split(">")[0], "")
        texts.add(text)
        assert client.get("/admin/").status_code == 302
    assert len(texts) == 1 and "E-mail or password is not right." in texts.pop()


def test_an_account_that_is_not_active_stays_out(world: World, app: Flask, client_of: Client) -> None:
    client = client_of(world.viewer_a)
    world.database.query("update console_user set active = false where email = %s", (world.viewer_a,))
    assert client.get("/admin/").status_code == 302
    again = app.test_client()
    sign_in(again, world.viewer_a)
    assert again.get("/admin/").status_code == 302


def test_guessing_is_slowed_down(world: World, app: Flask) -> None:
    client = app.test_client()
    token = token_of(client, "/admin/login")
    wrong = {"email": world.admin, "password": "wrong wrong wrong", "csrf_token": token}
    codes = [client.post("/admin/login", data=wrong).status_code for _ in range(limiter.PER_ACCOUNT_AND_ADDRESS + 1)]
    assert codes == [200] * limiter.PER_ACCOUNT_AND_ADDRESS + [429]
    assert client.post("/admin/login", data=wrong | {"password": PASSWORD}).status_code == 429
    elsewhere = client.post(
        "/admin/login", data=wrong | {"password": PASSWORD}, environ_base={"REMOTE_ADDR": "10.1.1.1"}
    )
    assert elsewhere.status_code == 302, "the account itself is not locked"


def test_the_limiter_forgets_in_time(database: Database) -> None:
    assert [limiter.attempt("10.0.0.1", "a@b") for _ in range(5)] == [0] * 5
    assert limiter.WINDOW_S - 30 < limiter.attempt("10.0.0.1", "a@b") <= limiter.WINDOW_S
    assert limiter.attempt("10.0.0.2", "a@b") == 0, "another address"
    assert limiter.attempt("10.0.0.1", "c@d") == 0, "another account"
    database.query("update console_attempt set at = at - interval '301 seconds'")
    assert limiter.attempt("10.0.0.1", "a@b") == 0
    assert database.value("select count(*) from console_attempt") == 3, "the old ones are removed"
    limiter.forget("10.0.0.1", "a@b")
    assert database.value("select count(*) from console_attempt") == 1, "that of the address alone stays"


def test_the_limits_hold_for_an_address_and_for_an_account(database: Database) -> None:
    waits = [limiter.attempt("10.0.0.1", f"{number}@b") for number in range(limiter.PER_ADDRESS + 1)]
    assert waits[:-1] == [0] * limiter.PER_ADDRESS and waits[-1] > 0
    waits = [limiter.attempt(f"10.1.0.{number}", "a@b") for number in range(limiter.PER_ACCOUNT + 1)]
    assert waits[:-1] == [0] * limiter.PER_ACCOUNT and waits[-1] > 0


def test_the_limiter_is_right_when_many_ask_at_once(database: Database) -> None:
    start, waits = threading.Barrier(12), []

    def ask() -> None:
        start.wait()
        waits.append(limiter.attempt("10.0.0.1", "a@b"))

    threads = [threading.Thread(target=ask) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert waits.count(0) == limiter.PER_ACCOUNT_AND_ADDRESS and len(waits) == 12


def test_a_session_ends_after_8_hours(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    with client.session_transaction() as session:
        session["signed_in_at"] -= 8 * 3600 + 1
    assert client.get("/admin/").status_code == 302


def test_a_changed_password_ends_the_other_sessions(world: World, client_of: Client) -> None:
    other, client = client_of(world.viewer_a), client_of(world.viewer_a)
    new = "another long enough password"
    data = {"password": PASSWORD, "new_password": new, "new_password_confirm": new}
    response = client.post("/admin/change", data=data | {"csrf_token": token_of(client, "/admin/change")})
    assert (response.status_code, response.location) == (302, "/admin/account/")
    account = f"/admin/account/?tenant={world.a.tenant_id}"
    assert client.get(account).status_code == 200 and other.get(account).status_code == 302
    assert world.count("console_audit", "action = 'change_password'") == 1


@pytest.mark.parametrize(
    "url",
    [
        "//evil.com",
        "http:evil.com",
        "https://evil.com",
        "/\\evil.com",
        "\\\\evil.com",
        "/a\tb",
        "javascript:alert(1)",
        "evil",
    ],
)
def test_nobody_is_sent_elsewhere_after_sign_in(world: World, app: Flask, url: str) -> None:
    assert not safe_path(url)
    client = app.test_client()
    assert client.get("/admin/login", query_string={"next": url}).status_code == 400
    data = {"email": world.admin, "password": PASSWORD, "csrf_token": token_of(client, "/admin/login"), "next": url}
    assert client.post("/admin/login", data=data).status_code == 400
    assert client.get("/admin/").status_code == 302
