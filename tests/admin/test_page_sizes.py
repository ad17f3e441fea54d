"""What a page may cost, whatever the machine: at most 12 statements, 6 requests and 100 kB, however much there is.

On 50 tenants, 40 errors and rows in every list, seeded as `make bench-console` seeds; the times are told there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from flask import Flask
from flask.testing import FlaskClient

from admin import users
from admin.reads import health
from bench.console.measure import counted, sizes_of
from bench.console.pages import pages
from bench.console.reach import MAX_KB, MAX_REQUESTS, MAX_STATEMENTS
from bench.console.seed import Seeder
from skeldir_huey import config
from skeldir_huey.db import engine
from tests.admin.world import PASSWORD, sign_in, start_console
from tests.cluster import Cluster, Database
from tests.conftest import copy_of_template, point_at

TENANTS, SCALE = 50, 15_000
EVERYWHERE, IN_EACH = "all@example.com", "each@example.com"


class Place:
    """A test's database as a benchmark's."""

    def __init__(self, database: Database) -> None:
        self._connection = database.connect(autocommit=True)

    def run(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        with self._connection.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def close(self) -> None:
        self._connection.close()


@pytest.fixture(scope="module")
def place(cluster: Cluster) -> Iterator[Place]:
    """A database of many tenants; a person with a role in all of them, and one with a role in each."""
    with copy_of_template(cluster) as database, pytest.MonkeyPatch.context() as patch:
        point_at(database, patch)
        made = Place(database)
        Seeder(made, TENANTS).grow(SCALE)
        for email, tenants in ((EVERYWHERE, "(values (null::uuid)) tenants (id)"), (IN_EACH, "tenants")):
            user_id = str(uuid4())
            made.run(
                "insert into console_user (id, email, password, fs_uniquifier) values (%s, %s, %s, %s)",
                (user_id, email, users.hash_password(PASSWORD), user_id),
            )
            made.run(f"insert into console_grant (user_id, tenant_id, role) select %s, id, 'admin' from {tenants}",
                     (user_id,))  # fmt: skip
        yield made
        made.close()
        engine.dispose()
    config.settings.cache_clear()


@pytest.fixture(scope="module")
def app(place: Place) -> Flask:
    return start_console()


def client_of(app: Flask, email: str) -> FlaskClient:
    client = app.test_client()
    assert sign_in(client, email).status_code == 302
    return client


def paths(app: Flask, place: Place, tenant: str) -> dict[str, str]:
    """Return every page of the menu, for all tenants and for one, and the pages behind them."""
    found = {}
    for page in pages(app, place, []):  # type: ignore[arg-type]
        found[page.name] = page.path
        joint = "&" if "?" in page.path else "?"
        if "tenant=" not in page.path:
            found[f"{page.name} of one tenant"] = f"{page.path}{joint}tenant={tenant}"
    return found | {"overview with data": "/admin/?data=throughput&by=tenant"}


@pytest.mark.timeout(400)
def test_no_page_costs_more_than_it_may(app: Flask, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REMEMBER_S", 0.0)
    ((tenant,),) = place.run("select md5('tenant1')::uuid::text")
    client, wrong = client_of(app, EVERYWHERE), {}
    walked = paths(app, place, tenant)
    assert len(walked) > 40
    for name, path in walked.items():
        client.get(path)  # the first one compiles templates and statements
        with counted() as statements:
            response = client.get(path)
        if response.status_code == 404 and name.endswith("of one tenant"):
            continue  # another tenant's row
        sizes = sizes_of(client, response)
        cost = len(statements), len(sizes), round(sum(sizes) / 1000, 1)
        if response.status_code not in (200, 302) or any(
            cost[i] > most for i, most in enumerate((MAX_STATEMENTS, MAX_REQUESTS, MAX_KB))
        ):
            wrong[name] = (response.status_code, *cost)
    assert wrong == {}


def test_grants_in_fifty_tenants_cost_no_more_than_one_for_all(app: Flask, place: Place) -> None:
    """Somebody who may enter each tenant, but not all at once: a transaction per tenant would be fifty."""
    ((tenant,),) = place.run("select md5('tenant1')::uuid::text")
    costs = []
    for email in (EVERYWHERE, IN_EACH):
        client = client_of(app, email)
        path = f"/admin/dead/jobs/?tenant={tenant}"
        client.get(path)
        with counted() as statements:
            text = client.get(path).get_data(as_text=True)
        assert text.count("<option value=") >= TENANTS and "Tenant 50" in text
        costs.append(len(statements))
    assert costs[0] == costs[1] <= MAX_STATEMENTS
