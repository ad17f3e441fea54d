"""Slows down guessing of passwords and codes: a few attempts per account and address, then a pause.

Attempts are counted in the database, so that it holds however many web processes there are. An account is not locked by
failures from one address: nobody can lock an operator out from afar until 50 attempts came in.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from datetime import timedelta

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import transaction
from skeldir_huey.db.tables import ConsoleAttempt

WINDOW_S = 300.0
PER_ACCOUNT_AND_ADDRESS = 5
PER_ADDRESS = 20
PER_ACCOUNT = 50
PURGED_AT_ONCE = 1000


def attempt(address: str, account: str) -> float:
    """Count an attempt, before the password or code is looked at.

    Returns:
        0 when it may go on, else the seconds to wait; then it was not counted.
    """
    limits = {
        _key(address, account): PER_ACCOUNT_AND_ADDRESS,
        _key(address, ""): PER_ADDRESS,
        _key("", account): PER_ACCOUNT,
    }
    with transaction(None, role="console_global", who="console") as connection:
        _one_at_a_time(connection, limits)
        waits = [wait for key, limit in limits.items() if (wait := _wait(connection, key, limit))]
        if waits:
            return max(waits)
        connection.execute(sa.insert(ConsoleAttempt), [{"key": key} for key in limits])
        _purge(connection)
    return 0


def forget(address: str, account: str) -> None:
    """Forget the failures of an account from an address, after a sign-in."""
    keys = (_key(address, account), _key("", account))
    with transaction(None, role="console_global", who="console") as connection:
        _one_at_a_time(connection, keys)
        connection.execute(sa.delete(ConsoleAttempt).where(ConsoleAttempt.key.in_(keys)))


def _key(address: str, account: str) -> bytes:
    return hashlib.sha256(f"{address}\0{account}".encode("utf-8", "replace")).digest()


def _one_at_a_time(connection: Connection, keys: Iterable[bytes]) -> None:
    # Always in the same order: two attempts that share two keys must not wait for each other.
    for number in sorted(int.from_bytes(key[:8], "big", signed=True) for key in keys):
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(number)))


def _wait(connection: Connection, key: bytes, limit: int) -> float:
    age = sa.func.extract("epoch", sa.func.clock_timestamp() - ConsoleAttempt.at)
    count, oldest_s = connection.execute(
        sa.select(sa.func.count(), sa.func.max(age)).where(
            ConsoleAttempt.key == key, ConsoleAttempt.at > sa.func.clock_timestamp() - timedelta(seconds=WINDOW_S)
        )
    ).one()
    return max(WINDOW_S - float(oldest_s), 1.0) if count >= limit else 0.0


def _purge(connection: Connection) -> None:
    old = (
        sa.select(ConsoleAttempt.id)
        .where(ConsoleAttempt.at < sa.func.clock_timestamp() - timedelta(seconds=WINDOW_S))
        .order_by(ConsoleAttempt.at)
        .limit(PURGED_AT_ONCE)
        .with_for_update(skip_locked=True)
    )
    connection.execute(sa.delete(ConsoleAttempt).where(ConsoleAttempt.id.in_(old)))
