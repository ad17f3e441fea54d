"""Where a second factor is required, no verb is done without one; looking is not touched."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from flask import Flask
from flask.testing import FlaskClient

from skeldir_huey import config
from skeldir_huey.config import read
from tests.admin.reading import page
from tests.admin.test_second_factor import half_way, post, set_up
from tests.admin.world import World, act, add_job, sign_in

Client = Callable[[str | None], FlaskClient]


@pytest.fixture
def require(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def change(role: str) -> None:
        monkeypatch.setenv("SKELDIR_SECOND_FACTOR", role)
        config.reload()

    yield change
    monkeypatch.undo()
    config.reload()


def test_the_default_is_operators_in_production_and_nobody_elsewhere() -> None:
    empty = {"SKELDIR_ENV_FILE": "/nonexistent/.env"}
    assert read(empty).second_factor_from is None
    production = empty | {"SKELDIR_ENVIRONMENT": "production", "SKELDIR_SECRET_KEY": "k" * 32}
    assert read(production).second_factor_from == "operator"
    assert read(production | {"SKELDIR_SECOND_FACTOR": "nobody"}).second_factor_from is None
    assert read(empty | {"SKELDIR_SECOND_FACTOR": "admin"}).second_factor_from == "admin"


def test_every_verb_wants_it_and_the_pages_say_so(
    world: World, app: Flask, client_of: Client, require: Callable[[str], None]
) -> None:
    require("operator")
    client, letter = client_of(world.admin), f"/admin/dead/{world.a.letter}/"
    text = page(client, letter)
    assert "Acting here needs a second factor" in text and "Needs the role" in text
    response = act(client, world.a.letter, "replay", world.a.tenant_id)
    assert response.status_code == 403 and "you need a second factor" in response.get_data(as_text=True)
    assert world.count("huey.job", "letter_id is not null") == 0
    assert world.count("console_audit", "action = 'replay' and result = 'refused'") == 1
    totp = set_up(client)
    assert "Acting here needs a second factor" not in page(client, letter)
    assert act(client, world.a.letter, "replay", world.a.tenant_id).status_code == 303
    world.database.query("update console_user set tf_last_counter = null")
    again = half_way(app, world)
    assert post(again, "/admin/tf-validate", "/admin/tf-validate", code=totp.generate().token).status_code == 302
    assert act(again, world.a.abandoned, "reopen", world.a.tenant_id).status_code == 303


def test_of_admins_only_leaves_operators_alone(world: World, client_of: Client, require: Callable[[str], None]) -> None:
    require("admin")
    query = f"?tenant={world.a.tenant_id}"
    operator, admin = client_of(world.operator_a), client_of(world.admin)
    assert act(operator, world.a.letter, "abandon", world.a.tenant_id, query=query).status_code == 303
    assert admin.get(f"/admin/dead/{world.b.letter}/edit").status_code == 403
    running = add_job(world.database, world.a.tenant_id, "running")
    assert "a second factor" in page(admin, f"/admin/jobs/{running}/release")


def test_setting_it_up_ends_sessions_that_gave_the_password_alone(world: World, app: Flask, client_of: Client) -> None:
    older, client = client_of(world.admin), client_of(world.admin)
    set_up(client)
    assert client.get("/admin/account/").status_code == 200
    assert older.get("/admin/account/").status_code == 302
    assert sign_in(app.test_client(), world.viewer_a).status_code == 302
