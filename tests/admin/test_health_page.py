"""The page Health shows the checks of `doctor`, and a fault that is planted."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from admin.reads import health
from tests.admin.test_pages import page
from tests.admin.world import World
from tests.test_doctor import make_well

Client = Callable[[str | None], FlaskClient]


def test_all_is_well_then_a_fault_is_named(world: World, client_of: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "REMEMBER_S", 0.0)
    world.database.query("update tenants set name = 'first' where name = 'acme'")  # make_well has one of that name
    world.database.query("delete from huey.job_attempt")  # they stand where today's partition belongs
    make_well(world.database)
    client = client_of(world.admin)
    text = page(client, "/admin/health/")
    wrong = re.findall(r"(?:failed|paused)\">(?:bad|look).*?main-cell break\">(.*?)</td>", text, re.S)
    assert not wrong and "checks are well" in text, wrong
    assert text.count("status-done") == text.count('class="state-cell"')
    world.database.query("alter table dead_events no force row level security")
    world.database.query("update huey.consumer set version = '0.0.1', lanes = '{ingest}'")
    text = page(client, "/admin/health/")
    assert "not forced on dead_events" in text and "5 things are wrong" in text and "no consumer is alive" in text


def test_it_is_remembered_for_everybody(world: World, client_of: Client) -> None:
    first = page(client_of(world.admin), "/admin/health/")
    world.database.query("alter table dead_events no force row level security")
    assert "dead_events" not in first + page(client_of(world.admin), "/admin/health/")


def test_an_operator_of_one_tenant_is_told_what_is_needed(world: World, client_of: Client) -> None:
    response = client_of(world.operator_a).get(f"/admin/health/?tenant={world.a.tenant_id}")
    assert response.status_code == 403 and "viewer in all tenants" in response.get_data(as_text=True)
