"""Logins of a database that is not ours: roles, passwords and grants made once, their URLs written to `.env`."""

from __future__ import annotations

import secrets
import select

import psycopg2
from psycopg2.extensions import connection as Connection
from psycopg2.extensions import encrypt_password
from psycopg2.sql import SQL, Identifier, Literal
from sqlalchemy.engine import make_url

from skeldir_huey import config
from skeldir_huey.commands import _envfile
from skeldir_huey.config import Settings
from skeldir_huey.db import bootstrap
from skeldir_huey.db.embedded import Say
from skeldir_huey.errors import ConfigError, DatabaseError

WORKER, CONSOLE = "app_user", "console"
ECHO_S = 1.0


def prepare(given: Settings, tell: Say) -> None:
    """Make the logins whose URLs are not set, with the owner's rights, and record them in `.env`.

    With only DATABASE_URL set, it is taken as the owner's. When all URLs are set, nothing is done.

    Raises:
        ConfigError: no URL of somebody who may create roles is set; what to set instead.
        DatabaseError: the server cannot be reached or refuses.
    """
    alone = given.database_owner_url is None and given.database_console_url is None
    owner_url = given.database_owner_url or (given.database_url if alone else None)
    missing = {}
    if given.database_url is None or alone:
        missing["DATABASE_URL"] = WORKER
    if given.database_console_url is None:
        missing["DATABASE_CONSOLE_URL"] = CONSOLE
    if not missing and given.database_owner_url:
        return
    if owner_url is None:
        raise ConfigError("DATABASE_OWNER_URL: not set, although another database URL is; set the owner's login")
    variable = "DATABASE_URL" if alone else "DATABASE_OWNER_URL"
    connection = bootstrap.connect(owner_url, variable)
    try:
        if not bootstrap.may_create_roles(connection):
            raise ConfigError(
                f"{variable}: this login may not create roles; use one that may, or set all of DATABASE_OWNER_URL, "
                "DATABASE_URL (login app_user) and DATABASE_CONSOLE_URL (login console)"
            )
        present = set(bootstrap.ROLES) - set(bootstrap.missing_roles(connection))
        bootstrap.ensure_roles(connection)
        recorded = {"DATABASE_OWNER_URL": owner_url}
        for name, role in missing.items():
            recorded[name] = _login(connection, role, owner_url)
            tell(f"role {role}: " + ("its password was set anew" if role in present else "created"))
        _grants(connection)
    finally:
        connection.close()
    if "DATABASE_URL" in missing and given.database_direct_url is None and _is_direct(recorded["DATABASE_URL"]):
        recorded["DATABASE_DIRECT_URL"] = recorded["DATABASE_URL"]
    _envfile.record(given.env_file, recorded)
    tell(f"wrote {', '.join(recorded)} to {given.env_file}")
    config.reload()


def _login(connection: Connection, role: str, owner_url: str) -> str:
    """Give a role a new random password and return its URL."""
    password = secrets.token_urlsafe(32)
    try:
        # Hashed here: the password itself never reaches the server's log.
        verifier = encrypt_password(password, role, connection, "scram-sha-256")
        with connection.cursor() as cursor:
            cursor.execute(SQL("alter role {} login password {}").format(Identifier(role), Literal(verifier)))
    except psycopg2.Error as error:
        raise DatabaseError(
            f"role {role} exists and this login may not set its password ({bootstrap.first_line(error)}); "
            "set the URL of that role"
        ) from None
    return make_url(owner_url).set(username=role, password=password).render_as_string(hide_password=False)


def _grants(connection: Connection) -> None:
    roles = [WORKER, CONSOLE, "skeldir_maint"]  # temporary: a concurrent refresh works in a temporary table
    try:
        with connection.cursor() as cursor:
            cursor.execute("select current_database()")
            row = cursor.fetchone()
            assert row is not None
            cursor.execute(
                SQL("grant connect, temporary on database {} to {}").format(
                    Identifier(row[0]), SQL(", ").join(Identifier(role) for role in roles)
                )
            )
    except psycopg2.Error as error:
        raise DatabaseError(f"the database's grants failed: {bootstrap.first_line(error)}") from None


def _is_direct(url: str) -> bool:
    """Return whether a notification comes through: a pooler in transaction mode accepts LISTEN and delivers none."""
    listener = bootstrap.connect(url, "DATABASE_URL")
    speaker = bootstrap.connect(url, "DATABASE_URL")
    try:
        with listener.cursor() as ears, speaker.cursor() as mouth:
            ears.execute("listen skeldir_setup")
            mouth.execute("notify skeldir_setup")
        select.select([listener], [], [], ECHO_S)
        listener.poll()
        return bool(listener.notifies)
    finally:
        listener.close()
        speaker.close()
