"""Sign-in, cookies, headers, tokens, bad addresses: what holds on every route."""

from __future__ import annotations

import json
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from admin import create_app, guard, security
from skeldir_huey import config
from tests.admin import walk
from tests.admin.world import World, token_of

Client = Callable[[str | None], FlaskClient]

OPEN = {"home", "security.login"}

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
