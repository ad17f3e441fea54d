"""Sign-in, cookies, headers, tokens, bad addresses: what holds on every route."""

from __future__ import annotations

import json
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from admin import create_app, guard, limiter, security
from admin.guard import safe_path
from skeldir_huey import config
from tests.admin import walk
from tests.admin.world import PASSWORD, World, sign_in, token_of
from tests.cluster import Database

Client = Callable[[str | None], FlaskClient]

OPEN = {"home", "security.login"}
PAGES = (
    "/admin/",
    "/admin/queues/",
    "/admin/queues/ingest/",
    "/admin/dead/",
    "/admin/dead/jobs/",
    "/admin/bulk/",
    "/admin/refused/",
    "/admin/recompute/",
    "/admin/allocations/",
    "/admin/audit/",
    "/admin/account/",
)
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


def test_an_anonymous_walk_sees_nothing(world: World, app: Flask) -> None:
    client, walked = app.test_client(), 0
    token = token_of(client, "/admin/login")
    for method in ("GET", "POST"):
        for rule in walk.rules(app, method):
            if rule.endpoint in OPEN:
                continue
            for path in walk.paths(app, rule, world.a.letter):
                data = {"csrf_token": token, "tenant": str(world.a.tenant_id), "reason": "let me in"}
                response = client.open(path, method=method, data=data if method == "POST" else None)
                leads_to_sign_in = response.status_code == 302 and response.location.startswith("/admin/login")
                closed = rule.endpoint in guard.CLOSED and response.status_code == 404
                signed_out = rule.endpoint == "security.logout" and response.status_code == 302
                code = response.status_code
                assert leads_to_sign_in or closed or signed_out or code == 401, (path, method, code)
                walked += 1
    assert walked > 60
    assert world.count("console_audit") == 0


@pytest.mark.timeout(400)
def test_headers_on_every_route(world: World, app: Flask, client_of: Client) -> None:
    client, anonymous = client_of(world.admin), app.test_client()
    extra = ["/nope", "/admin/nope", "/static/nope.css", "/static/base.css", "/healthz", "/readyz", "/metrics"]
    found = [(client, "GET", path) for path in extra] + [
        (anonymous, "POST", "/admin/login"),
        (client, "PUT", "/admin/"),
    ]
    for rule in walk.rules(app, "GET"):
        path = next(walk.paths(app, rule, world.a.letter), None)
        found += [(client, "GET", path), (anonymous, "GET", path)] if path else []
    for who, method, path in found:
        response = who.open(path, method=method, buffered=True)
        assert response.headers["Content-Security-Policy"] == CSP, path
        for name, value in security.HEADERS.items():
            assert response.headers[name] == value, (path, name)
        stored = "no-cache" if path.startswith("/static/") else "no-store"
        assert stored in response.headers["Cache-Control"], path
        assert response.headers["X-Request-Id"], path
        text = response.get_data(as_text=True)
        if response.mimetype == "text/html" and "Redirecting" not in text:
            assert walk.Page(text).dangers == [], path
            assert not re.search(r"(src|href)=\"(https?:)?//", text), path
            assert text.count("<h1") == 1 and text.count("<main") == 1 and '<html lang="en"' in text, path


@pytest.mark.timeout(400)
def test_every_post_needs_a_token(world: World, app: Flask, client_of: Client) -> None:
    client = client_of(world.admin)
    before = walk.digest(world.database)
    for rule in walk.rules(app, "POST"):
        for path in walk.paths(app, rule, world.a.letter):
            data = {"tenant": str(world.a.tenant_id), "reason": "no token at all"}
            assert client.post(path, data=data).status_code == 400, path
            assert client.post(path, data=data | {"csrf_token": "x"}).status_code == 400, path
    assert walk.digest(world.database) == before
    assert client.get("/admin/account/").status_code == 200, "still signed in: sign-out needs a token, too"


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


@pytest.mark.timeout(400)
def test_get_changes_nothing(world: World, app: Flask, client_of: Client) -> None:
    """Every route, and every link that leads from the overview, for somebody who may do everything."""
    client = client_of(world.admin)
    before = walk.digest(world.database) | {"sessions": world.count("console_session", "ended_at is null")}
    for rule in walk.rules(app, "GET"):
        for row_id in (world.a.letter, world.a.run, world.a.task_id, world.a.sale):
            for path in walk.paths(app, rule, row_id):
                assert client.get(path, buffered=True).status_code < 500, path
    visited = [(path, response.status_code) for path, response in walk.crawl(client, "/admin/")]
    assert [path for path, code in visited if code >= 400] == []
    assert len(visited) > 40
    after = walk.digest(world.database) | {"sessions": world.count("console_session", "ended_at is null")}
    assert after == before


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


def test_a_foreign_host_is_refused(app: Flask) -> None:
    client = app.test_client()
    for path in ("/admin/login", "/healthz", "/nope"):
        assert client.get(path, headers={"Host": "evil.example"}).status_code == 400
        assert client.get(path, headers={"Host": "127.0.0.1:5000"}).status_code in (200, 404)


def test_health_and_metrics(world: World, app: Flask, client_of: Client) -> None:
    client_of(world.admin).get("/admin/dead/")
    client = app.test_client()
    assert client.get("/healthz").json == {"status": "ok"} and client.get("/readyz").json == {"status": "ready"}
    text = client.get("/metrics").get_data(as_text=True)
    assert 'endpoint="dead.index"' in text and str(world.a.letter) not in text
    for kind in ({"environ_base": {"REMOTE_ADDR": "10.0.0.9"}}, {"headers": {"X-Forwarded-For": "10.0.0.9"}}):
        assert client.get("/metrics", **kind).status_code == 403


def test_metrics_with_a_token(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKELDIR_METRICS_TOKEN", "t" * 32)
    config.reload()
    client = create_app().test_client()
    far = {"REMOTE_ADDR": "10.0.0.9"}
    for sent, code in ((f"Bearer {'t' * 32}", 200), (f"Bearer {'u' * 32}", 403), ("Bearer \xfc", 403), ("", 403)):
        assert client.get("/metrics", headers={"Authorization": sent}, environ_base=far).status_code == code


def test_not_ready_without_the_database(world: World, app: Flask, client_of: Client) -> None:
    client = client_of(world.admin)
    world.database.query("alter role console nologin")
    try:
        world.database.query("select pg_terminate_backend(pid) from pg_stat_activity where usename = 'console'")
        response = app.test_client().get("/readyz")
        assert (response.status_code, response.json) == (503, {"status": "unavailable"})
        assert app.test_client().get("/healthz").status_code == 200
        broken = client.get("/admin/dead/")
        text = broken.get_data(as_text=True)
        assert broken.status_code == 500 and broken.headers["X-Request-Id"] in text and "Traceback" not in text
    finally:
        world.database.query("alter role console login")
    assert client.get("/admin/dead/").status_code == 200


NONSENSE = ["nonsense", "-1", "0", "' or 1=1 --", "%00", "\x00", "9" * 400, "☃", "2025-06-01~x", "x~y", "~", "é" * 300]


@pytest.mark.timeout(400)
def test_nonsense_in_the_address_is_never_a_500(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
    scope = str(world.a.tenant_id)
    for path in PAGES:
        for name in ("tenant", "status", "queue", "range", "after", "model", "page", "id", "limit"):
            for value in (
                *NONSENSE,
                "2025-06-01T00:00:00~99999999999999999999",
                "9999-99-99T00:00:00~" + scope,
                "x" * 10_240,
            ):
                for query in ({name: value}, {"tenant": scope, name: value}):
                    response = client.get(path, query_string=query)
                    assert response.status_code in (200, 400, 404), (path, query, response.status_code)
        for twice in ("tenant", "status", "after"):
            assert client.get(f"{path}?{twice}=a&{twice}=b").status_code in (200, 400, 404)
        for bad in ("/%00", "/nonsense/", f"/{'9' * 3000}/", "/..%2f..%2fetc/passwd"):
            assert client.get(path.rstrip("/") + bad).status_code in (308, 400, 404), (path, bad)
    assert client.get("/admin/dead/jobs/?status=nonsense").status_code == 400
    assert client.get("/admin/dead/jobs/?after=nonsense").status_code == 400
    assert client.get("/admin/?range=99y").status_code == 400


def test_nonsense_in_forms_is_never_a_500(world: World, client_of: Client, app: Flask) -> None:
    client = client_of(world.admin)
    token = token_of(client, "/admin/account/")
    for value in NONSENSE:
        for name in ("tenant", "reason"):
            data = {"tenant": str(world.b.tenant_id), "reason": "fine reason", "csrf_token": token, name: value}
            code = client.post(f"/admin/dead/{world.a.letter}/replay", data=data).status_code
            assert code in (400, 404), (name, value, code)
    anonymous = app.test_client()
    for number, value in enumerate(NONSENSE):
        data = {"email": value, "password": value, "csrf_token": token_of(anonymous, "/admin/login")}
        code = anonymous.post("/admin/login", data=data, environ_base={"REMOTE_ADDR": f"10.0.0.{number}"}).status_code
        assert code == 200, (value, code)
    too_large = {"reason": "x" * 70_000, "tenant": "none", "csrf_token": token}
    assert client.post(f"/admin/dead/{world.a.letter}/replay", data=too_large).status_code == 413


def test_the_secret_key_is_kept_for_its_owner_only(tmp_path: Path) -> None:
    first = security.kept_secret(tmp_path / "new")
    assert len(first) >= 43 and security.kept_secret(tmp_path / "new") == first
    assert stat.S_IMODE((tmp_path / "new" / "secret_key").stat().st_mode) == 0o600
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["secret_key"]


def test_cookies_behind_https(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKELDIR_HTTPS", "1")
    config.reload()
    app = create_app()
    client = app.test_client()
    response = client.get("/admin/login", headers={"X-Forwarded-Proto": "https", "X-Forwarded-For": "10.0.0.5"})
    cookie = response.headers["Set-Cookie"]
    assert cookie.startswith("__Host-skeldir=") and "Secure" in cookie and "Path=/" in cookie and "Domain" not in cookie


def test_a_start_that_cannot_work_ends_with_one_line(
    world: World, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("DATABASE_CONSOLE_URL", "mysql://localhost/x")
    config.settings.cache_clear()
    with pytest.raises(SystemExit) as ended:
        create_app()
    lines = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 2 and len(lines) == 1 and "DATABASE_CONSOLE_URL" in lines[0]
    monkeypatch.setenv("DATABASE_CONSOLE_URL", world.database.url("postgres"))
    config.settings.cache_clear()
    with pytest.raises(SystemExit) as ended:
        create_app()
    lines = capsys.readouterr().err.strip().splitlines()
    assert ended.value.code == 1 and len(lines) == 1 and "superuser" in lines[0]


def test_the_script_reads_the_same_csp(client_of: Client, world: World) -> None:
    """The live refresh of a signed-out page gets 401, not the sign-in page with 200."""
    response = client_of(None).get("/admin/dead/", headers={"X-Live": "1"})
    assert response.status_code == 401
    assert json.dumps(response.headers["Content-Security-Policy"]) == json.dumps(CSP)
