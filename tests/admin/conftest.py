"""A console on the test's database, and clients signed in as each person."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from flask.testing import FlaskClient

from tests.admin.world import World, make_world, sign_in, start_console
from tests.cluster import Database


@pytest.fixture
def world(database: Database) -> World:
    return make_world(database)


@pytest.fixture
def app(world: World) -> Flask:
    return start_console()


@pytest.fixture
def client_of(app: Flask) -> Callable[[str | None], FlaskClient]:
    """Return a client signed in as an e-mail address; None is anonymous."""

    def make(email: str | None) -> FlaskClient:
        client = app.test_client()
        if email is not None:
            assert sign_in(client, email).status_code == 302, email
        return client

    return make
