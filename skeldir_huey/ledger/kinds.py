"""The kinds of records that the ledger takes: how a row of each is read, and how records are added."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.errors import InputError
from skeldir_huey.ledger.rates import add_rates
from skeldir_huey.ledger.reading import (
    CLAIM_FIELDS,
    PAYMENT_FIELDS,
    RATE_FIELDS,
    read_claim,
    read_payment,
    read_rate,
)
from skeldir_huey.ledger.store import add_claims, add_payments

# Adds records that are not there yet; gives how many, and those that were refused and why.
Add = Callable[[Connection, UUID, Sequence[Any], UUID], tuple[int, list[tuple[Any, InputError]]]]


@dataclass(frozen=True)
class Kind:
    """A kind of records.

    Args:
        fields: that a row has; columns, as long as nobody says otherwise.
        read: values, columns, source, line -> the record; raises InputError with the column that is wrong.
    """

    name: str
    fields: tuple[str, ...]
    read: Callable[[Mapping[str, Any], Mapping[str, str], str, int | None], Any]
    add: Add


def _add_claims(
    connection: Connection, tenant_id: UUID, claims: Sequence[Any], correlation_id: UUID
) -> tuple[int, list[tuple[Any, InputError]]]:
    return add_claims(connection, tenant_id, claims, correlation_id), []


KINDS = {
    kind.name: kind
    for kind in (
        Kind("payment", PAYMENT_FIELDS, read_payment, add_payments),
        Kind("claim", CLAIM_FIELDS, read_claim, _add_claims),
        Kind("rate", RATE_FIELDS, read_rate, add_rates),
    )
}
