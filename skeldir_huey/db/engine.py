"""Engines per role, and `transaction`, the only place outside the queue's settlement that commits."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from skeldir_huey.db import urls

# For this transaction only: a session SET would stay on the pooled connection, and leak through a pooler.
SET_TENANT = "select set_config('app.current_tenant_id', %(tenant)s, true)"

_engines: dict[str, Engine] = {}
_lock = threading.Lock()


def engine(who: str) -> Engine:
    """Return the engine of a login, made once per process.

    Args:
        who: "worker" (app_user), "console" (console) or "owner" (migrations).
    """
    with _lock:
        if who not in _engines:
            _engines[who] = sa.create_engine(
                urls.url_of(who),
                pool_size=8,
                max_overflow=8,
                pool_pre_ping=who != "worker",
                connect_args={"application_name": f"skeldir-{who}", "connect_timeout": 5},
            )
        return _engines[who]


def use_engine(who: str, made: Engine) -> None:
    """Use this engine for a login from now on; for consumers, which name their sessions, and for tests."""
    with _lock:
        old = _engines.pop(who, None)
        _engines[who] = made
    if old is not None:
        old.dispose()


def dispose() -> None:
    """Close every pooled connection; the next use opens new ones."""
    with _lock:
        for made in _engines.values():
            made.dispose()
        _engines.clear()


def _after_fork() -> None:
    # The parent goes on with its sockets: the child only forgets them. The lock may have been held at the fork.
    globals()["_lock"] = threading.Lock()
    for made in _engines.values():
        made.dispose(close=False)
    _engines.clear()


os.register_at_fork(after_in_child=_after_fork)


def enter(connection: Connection, tenant_id: UUID | None, role: str | None = None) -> None:
    """Act for one tenant, as one role, until the end of this transaction.

    Args:
        connection: one with an open transaction.
        tenant_id: whose rows are visible; None means nobody's.
        role: a role of this login to SET LOCAL; None means the login itself.
    """
    connection.exec_driver_sql(f'set local role "{role}"' if role else "set local role none")
    connection.exec_driver_sql(SET_TENANT, {"tenant": str(tenant_id) if tenant_id else ""})


@contextmanager
def transaction(
    tenant_id: UUID | None, *, role: str | None = None, who: str = "worker", read_only: bool = False
) -> Iterator[Connection]:
    """Open a transaction for one tenant; commit at the end of the block, roll back on any exception.

    Args:
        tenant_id: whose rows row security shows; None shows no tenant's rows.
        role: a role of the login to act as, for this transaction only; None means the login itself.
        who: which login's engine, see `engine`.
        read_only: let Postgres refuse every write.
    """
    with engine(who).connect() as connection, connection.begin():
        if read_only:
            connection.exec_driver_sql("set transaction read only")
        enter(connection, tenant_id, role)
        yield connection


def rows(connection: Connection, statement: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """Run a statement of a `.sql` file with `%(name)s` parameters and return its rows as dictionaries."""
    result = connection.exec_driver_sql(statement, parameters or {})
    return [dict(row) for row in result.mappings()] if result.returns_rows else []
