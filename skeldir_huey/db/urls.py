"""Which URL each login uses: the one that was set, else that of the embedded PostgreSQL."""

from __future__ import annotations

from pathlib import Path

from psycopg2.extensions import connection as Connection

from skeldir_huey.config import Settings, settings
from skeldir_huey.db import bootstrap, embedded
from skeldir_huey.errors import ConfigError, DatabaseError
from skeldir_huey.parsers import ROOT

_VARIABLES = {
    "worker": "DATABASE_URL",
    "console": "DATABASE_CONSOLE_URL",
    "owner": "DATABASE_OWNER_URL",
    "direct": "DATABASE_DIRECT_URL",
}
_LOGINS = {"worker": "app_user", "console": "console", "owner": bootstrap.OWNER, "direct": "app_user"}
_MEMBER_OF = {
    "worker": ("app_rw", "app_import", "app_ro"),
    "console": ("console_tenant", "console_all", "console_global"),
}
_told: set[Path] = set()

_WHO_AM_I = """
select r.rolname, r.rolsuper, r.rolbypassrls, r.rolcreaterole,
       exists (select from pg_class c where c.relowner = r.oid and c.relkind in ('r', 'p', 'm')) as owns,
       to_regclass('public.alembic_version') is not null as migrated
  from pg_roles r where r.rolname = current_user
"""


def is_embedded(given: Settings | None = None) -> bool:
    """Return whether no URL is set at all, so that the embedded PostgreSQL is used."""
    given = given or settings()
    urls = (given.database_url, given.database_owner_url, given.database_console_url, given.database_direct_url)
    return not any(urls)


def url_of(who: str) -> str:
    """Return the SQLAlchemy URL of a login; starts the embedded PostgreSQL when nothing is set and it is not running.

    Args:
        who: "worker" (app_user), "console", "owner" (migrations) or "direct" (app_user, past a pooler).

    Raises:
        ConfigError: other URLs are set but not this one, or one cannot be read.
        DatabaseError: the embedded PostgreSQL does not start.
    """
    given = settings()
    url = {
        "worker": given.database_url,
        "console": given.database_console_url,
        "owner": given.database_owner_url,
        "direct": given.database_direct_url,
    }[who]
    if url:
        return url
    if is_embedded(given):
        return _embedded(given.data_dir).url(_LOGINS[who])
    if who == "owner" and given.database_url:
        return given.database_url  # the only one: `alembic upgrade head` says so when its rights do not suffice
    raise ConfigError(
        f"{_VARIABLES[who]}: not set, although another database URL is; run `make run` once, which makes the roles "
        f"and writes .env, or set it (login {_LOGINS[who]})"
    )


def direct_url() -> str | None:
    """Return a URL for LISTEN and session locks, or None when DATABASE_URL may lead through a pooler."""
    given = settings()
    return url_of("direct") if given.database_direct_url or is_embedded(given) else None


def dsn_of(who: str) -> str:
    """Return the URL of `url_of` for `psycopg2.connect`."""
    return bootstrap.dsn(url_of(who))


def variable_of(who: str) -> str:
    """Return the name to blame when a login's URL does not work."""
    if is_embedded():
        return "embedded PostgreSQL"
    return "DATABASE_URL" if who == "owner" and not settings().database_owner_url else _VARIABLES[who]


def connect(who: str) -> Connection:
    """Open an autocommitting psycopg2 connection of a login.

    Raises:
        ConfigError, DatabaseError: one line naming the variable.
    """
    return bootstrap.connect(url_of(who), variable_of(who))


def check_ready(who: str) -> None:
    """Check that a login's database can be used: it answers, is migrated, and the role is neither too strong nor weak.

    Args:
        who: "worker" or "console".

    Raises:
        ConfigError: its URL is missing or cannot be read.
        DatabaseError: one line that says what to do.
    """
    variable = variable_of(who)
    connection = connect(who)
    try:
        with connection.cursor() as cursor:
            cursor.execute(_WHO_AM_I)
            row = cursor.fetchone()
            assert row is not None
            name, superuser, bypass, creates, owns, migrated = row
            faults = {
                "is superuser": superuser,
                "has BYPASSRLS": bypass,
                "may create roles": creates,
                "owns tables": owns,
            }
            fault = next((text for text, is_so in faults.items() if is_so), None)
            if fault:
                raise DatabaseError(
                    f"{variable}: role {name} {fault}, so row security would not hold; run `make run` once, "
                    f"which makes the roles and writes .env, or use the login {_LOGINS[who]}"
                )
            if not migrated:
                raise DatabaseError(f"{variable}: the database is not migrated; run `alembic upgrade head`")
            for role in _MEMBER_OF[who]:
                cursor.execute(
                    "select coalesce((select pg_has_role(current_user, oid, 'member') from pg_roles"
                    " where rolname = %(role)s), false)",
                    {"role": role},
                )
                if cursor.fetchone() != (True,):
                    raise DatabaseError(f"{variable}: role {name} is no member of {role}; use the login {_LOGINS[who]}")
            cursor.execute("select version_num from alembic_version")
            behind = _behind({row[0] for row in cursor.fetchall()})
            if behind:
                raise DatabaseError(f"{variable}: the database is {behind}; run `alembic upgrade head`")
    finally:
        connection.close()


def _behind(present: set[str]) -> str | None:
    """Say how an older database differs from this code's migrations; a newer one is fine, as in a rolling deploy."""
    known = sorted(path.name.split("_", 1)[0] for path in (ROOT / "alembic" / "versions").glob("[0-9]*.py"))
    if not present:
        return "not migrated"
    if known and present <= set(known) and known[-1] not in present:
        return f"at revision {max(present)}, this code needs {known[-1]}"
    return None


def _embedded(data_dir: Path) -> embedded.Server:
    server = bootstrap.ensure_embedded(data_dir)
    if data_dir not in _told:
        _told.add(data_dir)
        how = "started" if server.started else "using"
        stop = "; stop it with `make stop`" if server.started else ""
        embedded.say(f"no database URL is set: {how} the embedded PostgreSQL in {data_dir}{stop}")
    return server
