"""The states of a payment: which may follow which, and how much may go back. A trigger of the table checks the same."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from skeldir_huey.errors import InputError

STATES = ("authorized", "captured", "refunded", "chargeback")
FOLLOWS: dict[str | None, tuple[str, ...]] = {
    None: ("authorized", "captured"),
    "authorized": ("captured",),
    "captured": ("refunded", "chargeback"),
    "refunded": ("refunded", "chargeback"),
    "chargeback": (),
}


@dataclass(frozen=True)
class Payment:
    """A record of the payment provider. `amount_cents` is above zero; the state says which way the money went."""

    source: str
    line: int | None
    transaction_id: str
    order_id: str
    state: str
    amount_cents: int
    currency: str
    occurred_at: datetime
    idempotency_key: bytes


@dataclass(frozen=True)
class Claim:
    """What an ad platform claims for an order."""

    source: str
    line: int | None
    platform: str
    order_id: str
    claimed_cents: int
    currency: str
    occurred_at: datetime
    idempotency_key: bytes


@dataclass(frozen=True)
class Balance:
    """Where a transaction stands; `authorized_cents` is None when nothing was authorized beforehand."""

    state: str | None
    order_id: str
    currency: str
    authorized_cents: int | None = None
    captured_cents: int = 0
    returned_cents: int = 0


def post(balance: Balance | None, payment: Payment) -> Balance:
    """Return the balance after a payment.

    Raises:
        InputError: that state cannot follow, the order or currency differs, or the amount is above what there is.
    """
    now = balance or Balance(None, payment.order_id, payment.currency)
    for field in ("order_id", "currency"):
        if getattr(now, field) != getattr(payment, field):
            raise InputError(field, f"transaction {payment.transaction_id!r} has {getattr(now, field)!r}")
    if payment.state not in FOLLOWS[now.state]:
        raise InputError(
            "state", f"transaction {payment.transaction_id!r} is {now.state or 'new'} and cannot become {payment.state}"
        )
    amount = payment.amount_cents
    if payment.state == "authorized":
        return replace(now, state="authorized", authorized_cents=amount)
    if payment.state == "captured":
        if now.authorized_cents is not None and amount > now.authorized_cents:
            raise InputError("amount", f"{amount} is above the authorized {now.authorized_cents} (smallest unit)")
        return replace(now, state="captured", captured_cents=amount)
    left = now.captured_cents - now.returned_cents
    if amount > left:
        raise InputError("amount", f"{amount} is above what is left of the captured money, {left} (smallest unit)")
    return replace(now, state=payment.state, returned_cents=now.returned_cents + amount)
