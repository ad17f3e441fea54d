"""Writing payments and claims, each once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import InputError
from skeldir_huey.ledger.posting import Balance, Claim, Payment, post


def add_payments(
    connection: Connection, tenant_id: UUID, payments: Sequence[Payment], correlation_id: UUID
) -> tuple[int, list[tuple[Payment, InputError]]]:
    """Add payments that are not there yet, in this order; return how many, and those that were refused and why.

    Args:
        connection: a transaction of the tenant, as app_import. Writers of one tenant's ledger wait for one another.
    """
    if not payments:
        return 0, []
    rows(connection, sql("ledger", "lock_ledger"), {"tenant_id": tenant_id})
    keys = {"tenant_id": tenant_id, "keys": [payment.idempotency_key for payment in payments]}
    there = {bytes(row["idempotency_key"]) for row in rows(connection, sql("ledger", "known_payments"), keys)}
    asked = {"tenant_id": tenant_id, "transaction_ids": sorted({payment.transaction_id for payment in payments})}
    balances = {row.pop("transaction_id"): Balance(**row) for row in rows(connection, sql("ledger", "balances"), asked)}
    accepted: list[Payment] = []
    refused: list[tuple[Payment, InputError]] = []
    for payment in payments:
        if payment.idempotency_key in there:
            continue
        there.add(payment.idempotency_key)
        try:
            balances[payment.transaction_id] = post(balances.get(payment.transaction_id), payment)
            accepted.append(payment)
        except InputError as error:
            refused.append((payment, error))
    if accepted:
        values = _columns(Payment, accepted) | {"tenant_id": tenant_id, "correlation_id": correlation_id}
        rows(connection, sql("ledger", "add_payments"), values)
    return len(accepted), refused


def add_claims(connection: Connection, tenant_id: UUID, claims: Sequence[Claim], correlation_id: UUID) -> int:
    """Add claims that are not there yet; return how many.

    Args:
        connection: a transaction of the tenant, as app_import.
    """
    if not claims:
        return 0
    values = _columns(Claim, claims) | {"tenant_id": tenant_id, "correlation_id": correlation_id}
    count: int = rows(connection, sql("ledger", "add_claims"), values)[0]["added_count"]
    return count


def _columns(kind: type[Payment] | type[Claim], records: Sequence[Any]) -> dict[str, list[Any]]:
    return {column.name: [getattr(record, column.name) for record in records] for column in fields(kind)}
