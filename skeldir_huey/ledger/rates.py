"""Exchange rates: what one unit of a base currency was worth on a day. Added once, never changed, so reports repeat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import InputError


@dataclass(frozen=True)
class Rate:
    """A day's rate: one unit of `base` was worth `rate` units of `currency`."""

    source: str
    line: int | None
    day: date
    base: str
    currency: str
    rate: Decimal
    idempotency_key: bytes


def add_rates(
    connection: Connection, tenant_id: UUID, rates: Sequence[Rate], correlation_id: UUID, *, correct: bool = False
) -> tuple[int, list[tuple[Rate, InputError]]]:
    """Add rates that are not there yet; return how many, and those that were refused and why.

    Args:
        connection: a transaction of the tenant, as app_import. Writers of one tenant's ledger wait for one another.
        correct: let a rate that differs from the stored one stand beside it, and count from now on.
    """
    if not rates:
        return 0, []
    rows(connection, sql("ledger", "lock_ledger"), {"tenant_id": tenant_id})
    base = read_base(connection, tenant_id) or rates[0].base
    asked = {"currencies": [each.currency for each in rates], "days": [each.day for each in rates]}
    found = rows(connection, sql("ledger", "rates_known"), asked | {"tenant_id": tenant_id})
    known: dict[tuple[str, date], Decimal] = {(row["currency"], row["day"]): row["rate"] for row in found}
    added: list[Rate] = []
    refused: list[tuple[Rate, InputError]] = []
    for each in rates:
        before = known.get((each.currency, each.day))
        if each.base != base:
            refused.append((each, InputError("base", f"the rates of this tenant are per {base}, not {each.base}")))
        elif before is not None and before != each.rate and not correct:
            reason = f"{each.currency} is {before} on {each.day} already; --correct puts another rate beside it"
            refused.append((each, InputError("rate", reason)))
        elif before != each.rate:
            known[each.currency, each.day] = each.rate
            added.append(each)
    if added:
        names = ("currency", "day", "base", "rate", "source")
        columns = {name: [getattr(each, name) for each in added] for name in names}
        values = columns | {"tenant_id": tenant_id, "correlation_id": correlation_id}
        rows(connection, sql("ledger", "add_rates"), values)
    return len(added), refused


def read_base(connection: Connection, tenant_id: UUID) -> str | None:
    """Return the currency that all of the tenant's rates are of; None while there are none."""
    found = rows(connection, sql("ledger", "rates_base"), {"tenant_id": tenant_id})
    return found[0]["base"] if found else None
