"""Events are append-only for everybody: retention alone removes, and only what is behind the boundary."""

from __future__ import annotations

import pytest

from skeldir_huey.ingest import retention
from tests.cluster import Database
from tests.db.catalog import RUNTIME
from tests.db.probing import acting, outcome
from tests.tasks.retained import World, count


@pytest.fixture
def world(database: Database) -> World:
    return World(database)


@pytest.mark.parametrize("role", [role for role in RUNTIME if role != "console"])
def test_events_are_append_only_for_everyone_else(world: World, role: str) -> None:
    database = world.database
    for statement in ("delete from attribution_events", "update attribution_events set channel = 'email'"):
        with acting(database, role, world.mine) as cursor:
            assert outcome(cursor, statement, {}) == "42501"
    # Also if somebody grants it one day, and whoever owns the table.
    database.query(f"grant select, delete, update on attribution_events to {role}, skeldir_owner")
    for statement in ("delete from attribution_events", "update attribution_events set channel = 'email'"):
        with acting(database, role, world.mine) as cursor:
            assert outcome(cursor, statement, {}) == "42501"
    with pytest.raises(Exception, match="append-only"):
        database.query("delete from attribution_events")  # the superuser


@pytest.mark.parametrize("guard", ["attribution_events_append_only"])
def test_the_append_only_trigger_is_what_stops_them(world: World, guard: str) -> None:
    world.database.query(f"drop trigger {guard} on attribution_events; grant delete on attribution_events to app_user")
    world.database.query("delete from attribution_events where kind = 'adjustment'")
    assert count(world.database, "attribution_events", world.mine, "kind = 'adjustment'") == 0


def test_the_function_removes_only_what_is_behind_the_boundary(world: World) -> None:
    database, mine = world.database, world.mine
    remove = "select removed from app.remove_expired(%(part)s, %(days)s, null, 1000)"
    before = count(database, "attribution_events", mine)
    for part in retention.PARTS:
        with acting(database, "app_user", mine) as cursor:
            cursor.execute(remove, {"part": part, "days": 30})
            assert cursor.fetchone() == (0,), "nothing was frozen yet"
            assert outcome(cursor, remove, {"part": part, "days": 1}) == "22023"
        with acting(database, "app_user", None) as cursor:
            assert outcome(cursor, remove, {"part": part, "days": 90}) == "42501"
        for role in ("app_ro", "app_import", "console_tenant", "console_all", "console_global"):
            with acting(database, role, mine) as cursor:
                assert outcome(cursor, remove, {"part": part, "days": 90}) == "42501"
    with acting(database, "app_user", mine) as cursor:
        assert outcome(cursor, "update retention set removed_before = now()", {}) == "42501"
        assert outcome(cursor, "insert into retention (tenant_id) values (app.tenant())", {}) == "42501"
        assert outcome(cursor, remove, {"part": "console_audit", "days": 90}) == "22023", "the audit log never goes"
    assert count(database, "attribution_events", mine) == before
