"""What a database needs before its first migration: roles, an owner, the database itself. Safe to run again."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg2
from psycopg2.extensions import connection as Connection

from skeldir_huey.db import embedded
from skeldir_huey.db.embedded import Say, Server, say
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import DatabaseError

OWNER = "skeldir_owner"
DATABASE = "skeldir"
ROLES = (
    "app_user",
    "app_rw",
    "app_import",
    "app_ro",
    "console",
    "console_tenant",
    "console_all",
    "console_global",
    "skeldir_maint",
)
# Two set-ups on one cluster: the other one made the same row, or changed it under us.
_RACES = {"23505", "42710", "42P04", "XX000", "40001", "40P01"}


def first_line(error: Exception) -> str:
    """Return what a driver's error says, in one line."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return re.sub(r"^(connection to server .*? failed: )?(FATAL|ERROR): +", r"\1", lines[0]) if lines else repr(error)


def dsn(url: str) -> str:
    """Return a SQLAlchemy URL as libpq reads it."""
    return re.sub(r"^postgresql\+psycopg2://", "postgresql://", url)


def connect(url: str, variable: str) -> Connection:
    """Open an autocommitting connection.

    Raises:
        DatabaseError: one line with the variable's name; the server's own words, never the password.
    """
    try:
        made: Connection = psycopg2.connect(dsn(url), connect_timeout=5, application_name="skeldir-setup")
    except psycopg2.Error as error:
        raise DatabaseError(f"{variable}: cannot connect: {first_line(error)}") from None
    made.autocommit = True
    return made


def may_create_roles(connection: Connection) -> bool:
    """Return whether this login is superuser or has CREATEROLE."""
    with connection.cursor() as cursor:
        cursor.execute("select rolsuper or rolcreaterole from pg_roles where rolname = current_user")
        row = cursor.fetchone()
    return bool(row and row[0])


def missing_roles(connection: Connection) -> list[str]:
    """Return the roles that the migrations need and the cluster does not have."""
    with connection.cursor() as cursor:
        cursor.execute("select rolname from pg_roles where rolname = any(%(roles)s)", {"roles": list(ROLES)})
        present = {row[0] for row in cursor.fetchall()}
    return [role for role in ROLES if role not in present]


def ensure_roles(connection: Connection) -> None:
    """Create the roles and their memberships; those that are there stay as they are.

    Raises:
        DatabaseError: this login may not, and what an administrator has to do.
    """
    if not may_create_roles(connection):
        missing = missing_roles(connection)
        if missing:
            raise DatabaseError(
                f"DATABASE_OWNER_URL: roles are missing ({', '.join(missing)}) and this login may not create them: "
                "let an administrator run skeldir_huey/db/sql/roles.sql, or set a URL with CREATEROLE"
            )
        return
    _repeat(connection, str(sql("db", "roles")))


def ensure_embedded(data_dir: Path, tell: Say = say, version: int = 18) -> Server:
    """Return the embedded server of this folder, started if it was not, with owner, roles and database.

    Raises:
        DatabaseError: it cannot be made, started or reached.
    """
    with embedded.locked(data_dir, tell):
        server = embedded.ensure(data_dir, tell, version)
        cluster = connect(server.url(embedded.SUPERUSER, "postgres"), "embedded PostgreSQL")
        try:
            if not _exists(cluster, "select from pg_roles where rolname = %(name)s", OWNER):
                _repeat(cluster, f"create role {OWNER} login createrole noinherit")
            ensure_roles(cluster)
            _repeat(cluster, f"grant skeldir_maint to {OWNER}")
            if not _exists(cluster, "select from pg_database where datname = %(name)s", DATABASE):
                _repeat(cluster, f"create database {DATABASE} owner {OWNER}")
        finally:
            cluster.close()
    return server


def _exists(connection: Connection, statement: str, name: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(statement, {"name": name})
        return cursor.fetchone() is not None


def _repeat(connection: Connection, statement: str) -> None:
    """Run an idempotent statement, again when another set-up of the same cluster was in its way."""
    for tries_left in range(4, -1, -1):
        try:
            with connection.cursor() as cursor:
                cursor.execute(statement)
            return
        except psycopg2.Error as error:
            if error.pgcode in ("42710", "42P04"):  # it exists: somebody else made it between our look and our deed
                return
            if error.pgcode not in _RACES or not tries_left:
                raise DatabaseError(f"set-up of the roles failed: {first_line(error)}") from None
