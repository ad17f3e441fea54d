"""Refused payments and claims once more: read as their import read them, and added, or refused again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.errors import InputError
from skeldir_huey.ledger.posting import Claim, Payment
from skeldir_huey.ledger.reading import read_claim, read_payment
from skeldir_huey.ledger.store import add_claims, add_payments

PAYMENT, CLAIM = "payment", "claim"


def as_reading(kind: str, columns: Mapping[str, str]) -> dict[str, Any]:
    """Return what a refused record keeps of how it was read: what it is, and the column of each field."""
    return {"kind": kind, "columns": dict(columns)}


def reread(record: Mapping[str, Any]) -> Payment | Claim:
    """Read a refused record again; nothing is written, and the ledger is not asked.

    Args:
        record: a row of dead_events whose reading is that of a payment or a claim.

    Raises:
        InputError: it is refused again; the field is the column that is wrong.
    """
    read = read_claim if record["reading"]["kind"] == CLAIM else read_payment
    return read(record["payload"], record["reading"]["columns"], record["source"], record["line"])


def add_again(connection: Connection, tenant_id: UUID, record: Mapping[str, Any]) -> None:
    """Add the payment or claim of a refused record, unless it is there by now.

    Args:
        connection: a transaction of the tenant, as app_import.

    Raises:
        InputError: it is refused again; the field is the column that is wrong.
    """
    found = reread(record)
    if isinstance(found, Claim):
        add_claims(connection, tenant_id, [found], record["id"])
        return
    _, refused = add_payments(connection, tenant_id, [found], record["id"])
    for _, error in refused:
        raise named(error, record["reading"]["columns"])


def named(error: InputError, columns: Mapping[str, str]) -> InputError:
    """Return the error with the column's name in place of the field's."""
    return InputError(columns.get(error.field, error.field), error.reason)
