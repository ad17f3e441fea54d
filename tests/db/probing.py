"""Probes of row security: every command under every setting of the tenant, and what it touched."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import psycopg2
from psycopg2.extensions import cursor as Cursor

from tests.cluster import Database
from tests.db.catalog import RUNTIME
from tests.db.rows import TENANT_COLUMN, another, existing, fill

LOGIN = {role: "console" if role.startswith("console") else "app_user" for role in RUNTIME}
ROLES = tuple(role for role in RUNTIME if role != "console")
SETTINGS = ("unset", "empty", "garbage", "other", "own")
ALLOWED_ERRORS = {"42501", "22P02"}
# Where the primary key is made by the database, a stored row conflicts by another key.
KEYS = {
    "huey.job": "task_id",
    "huey.flow_total": "lane, tenant_id, kind",
    "huey.run_minute": "minute, lane, task_name, tenant_id",
    "huey.run_quarter": "quarter, lane, task_name, tenant_id",
    "huey.error_total": "tenant_id, fingerprint, day",
    "huey.error_group": "tenant_id, fingerprint",
    "huey.bulk_share": "operation_id, tenant_id",
}


class World:
    """Tenant "mine" and tenant "theirs", each with rows in every table; probes act on the rows of "theirs"."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.mine = fill(database, "mine")
        self.theirs = fill(database, "theirs")
        self.new = {table: another(database, table, self.theirs) for table in TENANT_COLUMN}
        self.stored = {table: existing(database, table, self.theirs) for table in TENANT_COLUMN}
        granted = database.query(
            "select r, t, p from unnest(%(r)s) r, unnest(%(t)s) t, unnest(array['select','insert','update','delete']) p"
            " where has_table_privilege(r, t, p)"
            " or case when p <> 'delete' then has_any_column_privilege(r, t, p) end",
            {"r": list(RUNTIME), "t": list(TENANT_COLUMN)},
        )
        self.granted = set(granted)
        updatable = database.query(
            "select r, t, min(a.attname::text) from unnest(%(r)s) r, unnest(%(t)s) t join pg_attribute a"
            " on a.attrelid = t::regclass and a.attnum > 0 where has_column_privilege(r, t, a.attname, 'update')"
            " and a.attidentity = '' group by 1, 2",
            {"r": list(RUNTIME), "t": list(TENANT_COLUMN)},
        )
        self.updatable = {(role, table): column for role, table, column in updatable}
        keys = database.query(
            "select t, string_agg(a.attname::text, ', ') from unnest(%(t)s) t"
            " join pg_index i on i.indrelid = t::regclass and i.indisprimary"
            " join pg_attribute a on a.attrelid = i.indrelid and a.attnum = any(i.indkey) group by 1",
            {"t": list(TENANT_COLUMN)},
        )
        self.keys = dict(keys)


@contextmanager
def acting(database: Database, role: str, tenant: UUID | str | None) -> Iterator[Cursor]:
    """Open a fresh session of the role's login, enter role and tenant as `transaction()` does, and roll back."""
    connection = database.connect(LOGIN.get(role, role))
    try:
        with connection.cursor() as cursor:
            if LOGIN.get(role, role) != role:
                cursor.execute(f'set local role "{role}"')
            if tenant is not None:
                cursor.execute("select set_config('app.current_tenant_id', %s, true)", [str(tenant)])
            yield cursor
    finally:
        connection.rollback()
        connection.close()


def insertion(table: str, row: dict[str, Any], conflict: str = "") -> str:
    columns = ", ".join(row)
    return f"insert into {table} ({columns}) values ({', '.join(f'%({name})s' for name in row)}) {conflict}"


def commands(world: World, role: str, table: str) -> dict[str, tuple[str, str, dict[str, Any]]]:
    """Return name: (privilege, statement, parameters); each is about rows of "theirs", and its rows count as a leak."""
    whose, column = TENANT_COLUMN[table], world.updatable.get((role, table), TENANT_COLUMN[table])
    theirs = {"theirs": str(world.theirs)}
    new, stored = world.new[table], world.stored[table]
    found = {
        "select": ("select", f"select {whose} from {table} where {whose} = %(theirs)s", theirs),
        "insert": ("insert", insertion(table, new), new),
        "update": ("update", f"update {table} set {column} = {column} where {whose} = %(theirs)s", theirs),
        "delete": ("delete", f"delete from {table} where {whose} = %(theirs)s", theirs),
        "on conflict do nothing": ("insert", insertion(table, stored, "on conflict do nothing"), stored),
    }
    if (role, table, "update") in world.granted and table != "huey.job_attempt":
        key = KEYS.get(table, world.keys[table])
        again = f"on conflict ({key}) do update set {column} = excluded.{column}"
        found["on conflict do update"] = ("insert", insertion(table, stored, again), stored)
    return found


def outcome(cursor: Cursor, statement: str, parameters: dict[str, Any]) -> int | str:
    """Return the number of rows that the statement touched, or its error code; the transaction goes on."""
    cursor.execute("savepoint probe")
    try:
        cursor.execute(statement, parameters)
        return cursor.rowcount
    except psycopg2.Error as error:
        return str(error.pgcode)
    finally:
        cursor.execute("rollback to savepoint probe")


def probe(world: World, role: str, table: str) -> Iterator[tuple[str, str, str, int | str]]:
    """Try every command under every setting of the tenant; yields (setting, command, privilege, outcome)."""
    values = {"unset": None, "empty": "", "garbage": "not-a-uuid", "other": world.mine, "own": world.theirs}
    for setting in SETTINGS:
        with acting(world.database, role, values[setting]) as cursor:
            for name, (privilege, statement, parameters) in commands(world, role, table).items():
                yield setting, name, privilege, outcome(cursor, statement, parameters)


def leaks(world: World, role: str, table: str) -> list[str]:
    """Return every probe without the right tenant that touched a row, and every error that says too much.

    A granted read without any tenant must show no rows, and no error.
    """
    found = []
    for setting, name, privilege, result in probe(world, role, table):
        granted = (role, table, privilege) in world.granted
        quiet = name == "select" and granted and setting in ("unset", "empty")
        if setting != "own" and result != 0 and (quiet or result not in ALLOWED_ERRORS):
            found.append(f"{role} {name} {table} with tenant {setting}: {result}")
    return found
