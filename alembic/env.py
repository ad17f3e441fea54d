"""Run migrations as the owner: one at a time, with timeouts, and with one line for what went wrong."""

from __future__ import annotations

import logging
import sys
from typing import Any

import sqlalchemy as sa
from alembic import context
from alembic.command import upgrade
from sqlalchemy.exc import DBAPIError

from skeldir_huey.db import bootstrap, urls
from skeldir_huey.errors import ConfigError, DatabaseError, SkeldirError
from skeldir_huey.log import get_log

log = get_log("alembic")
logging.getLogger("alembic.runtime.migration").setLevel(logging.WARNING)  # what it says stands in `report`
LOCK = 5_310_275_401  # any number, the same in every process that migrates
LOCK_WAIT_S = 60


def say(line: str) -> None:
    sys.stderr.write(f"alembic: {line}\n")


def report(step: Any, **_: Any) -> None:
    """Say which revision was applied, as it happens: to a person who called alembic, else to the log."""
    up = "applied" if step.is_upgrade else "reverted"
    about = step.up_revision.doc if step.up_revision else ""
    if context.config.cmd_opts is not None:
        say(f"{up} {step.up_revision_id}: {about}")
    elif step.is_upgrade:
        log.info("migration_applied", revision=step.up_revision_id, about=about)
    else:
        log.info("migration_reverted", revision=step.up_revision_id, about=about)


def migrate() -> None:
    url = urls.url_of("owner")
    variable = urls.variable_of("owner")
    setup = bootstrap.connect(url, variable)
    try:
        bootstrap.ensure_roles(setup)
    finally:
        setup.close()
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"application_name": "skeldir-migrate"})
    try:
        with engine.connect() as connection, connection.begin():
            connection.exec_driver_sql(f"set local lock_timeout = '{LOCK_WAIT_S}s'")
            connection.exec_driver_sql(f"select pg_advisory_xact_lock({LOCK})")
            # A migration that waits for a lock blocks everybody behind it: it gives up early, and is run again.
            connection.exec_driver_sql("set local lock_timeout = '10s'")
            connection.exec_driver_sql("set local statement_timeout = '30min'")
            context.configure(connection=connection, on_version_apply=report, transactional_ddl=True)
            before = context.get_context().get_current_heads()
            with context.begin_transaction():
                context.run_migrations()
            command = getattr(context.config.cmd_opts, "cmd", (None,))[0]
            if command is upgrade and before == context.get_context().get_current_heads():
                say(f"at {', '.join(before)}, nothing to do")
            connection.exec_driver_sql(
                "do $$ begin if to_regclass('public.alembic_version') is not null then"
                " grant select on public.alembic_version to app_user, app_rw, console; end if; end $$"
            )
    except DBAPIError as error:
        text = bootstrap.first_line(error.orig or error)
        if "lock timeout" in text:
            text += "; another migration or a long transaction is in the way, run it again"
        raise DatabaseError(f"{variable}: migration failed, nothing was changed: {text}") from error
    finally:
        engine.dispose()


if context.is_offline_mode():
    context.configure(dialect_name="postgresql", literal_binds=True)
    with context.begin_transaction():
        context.run_migrations()
else:
    try:
        migrate()
    except SkeldirError as problem:
        if context.config.cmd_opts is None:  # called from Python, which shows it in its own way
            raise
        for line in str(problem).splitlines():
            say(line)
        raise SystemExit(2 if isinstance(problem, ConfigError) else 1) from None
