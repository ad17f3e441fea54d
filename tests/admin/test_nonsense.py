"""Nonsense in the address or in a form is refused or ignored, never an error of the console."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.admin.world import World, token_of

Client = Callable[[str | None], FlaskClient]

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

NONSENSE = ["nonsense", "-1", "0", "' or 1=1 --", "%00", "\x00", "9" * 400, "☃", "2025-06-01~x", "x~y", "~", "é" * 300]


@pytest.mark.timeout(400)
@pytest.mark.parametrize("path", PAGES)
def test_nonsense_in_the_address_is_never_a_500(world: World, client_of: Client, path: str) -> None:
    client = client_of(world.admin)
    scope = str(world.a.tenant_id)
    for name in ("tenant", "status", "queue", "range", "after", "model", "page", "id", "limit"):
        for value in (
            *NONSENSE,
            "2025-06-01T00:00:00~99999999999999999999",
            "9999-99-99T00:00:00~" + scope,
            "x" * 10_240,
        ):
            for query in ({name: value}, {"tenant": scope, name: value})[name == "tenant" :]:
                response = client.get(path, query_string=query)
                assert response.status_code in (200, 400, 404), (path, query, response.status_code)
    for twice in ("tenant", "status", "after"):
        assert client.get(f"{path}?{twice}=a&{twice}=b").status_code in (200, 400, 404)
    for bad in ("/%00", "/nonsense/", f"/{'9' * 3000}/", "/..%2f..%2fetc/passwd"):
        assert client.get(path.rstrip("/") + bad).status_code in (308, 400, 404), (path, bad)


def test_a_value_that_a_page_knows_is_checked(world: World, client_of: Client) -> None:
    client = client_of(world.admin)
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
