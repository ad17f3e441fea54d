"""Refused payments, claims and rates once more: read as their import read them, and added, or refused again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.errors import InputError
from skeldir_huey.ledger.kinds import KINDS


def reread(record: Mapping[str, Any]) -> Any:
    """Read a refused record again; nothing is written, and the ledger is not asked.

    Args:
        record: a row of dead_events whose reading is that of one of `KINDS`.

    Raises:
        InputError: it is refused again; the field is the column that is wrong.
    """
    reading = record["reading"]
    return KINDS[reading["kind"]].read(record["payload"], reading["columns"], record["source"], record["line"])


def add_again(connection: Connection, tenant_id: UUID, record: Mapping[str, Any]) -> None:
    """Add what a refused record is, unless it is there by now.

    Args:
        connection: a transaction of the tenant, as app_import.

    Raises:
        InputError: it is refused again; the field is the column that is wrong.
    """
    kind = KINDS[record["reading"]["kind"]]
    _, refused = kind.add(connection, tenant_id, [reread(record)], record["id"])
    for _, error in refused:
        raise named(error, record["reading"]["columns"])


def named(error: InputError, columns: Mapping[str, str]) -> InputError:
    """Return the error with the column's name in place of the field's."""
    return InputError(columns.get(error.field, error.field), error.reason)
