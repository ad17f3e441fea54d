"""Rows of a file as payments, claims and rates; a row that is none is refused with the column that is wrong."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any

from skeldir_huey.clock import parse_instant
from skeldir_huey.errors import InputError
from skeldir_huey.ledger.posting import STATES, Claim, Payment
from skeldir_huey.ledger.rates import Rate
from skeldir_huey.money import parse_amount, parse_currency

# Fields and, as long as --map does not say otherwise, columns. record_id: the provider's own id, for records that are
# equal in everything else.
PAYMENT_FIELDS = ("transaction_id", "order_id", "state", "amount", "currency", "occurred_at", "record_id")
CLAIM_FIELDS = ("platform", "order_id", "amount", "currency", "occurred_at", "record_id")
RATE_FIELDS = ("day", "currency", "rate", "base")

_RATE = re.compile(r"[0-9]{1,12}(\.[0-9]{1,12})?")


def make_columns(fields: tuple[str, ...], given: Mapping[str, str], there: list[str]) -> dict[str, str]:
    """Return the column of each field.

    Raises:
        InputError: --map names a field that there is not, or a column is missing in the file.
    """
    for name in given:
        if name not in fields:
            raise InputError("--map", f"unknown field {name!r}; known are: {', '.join(fields)}")
    columns = {name: given.get(name, name) for name in fields}
    for name, column in columns.items():
        if column not in there and (name != "record_id" or name in given):
            raise InputError(
                f"--map {name}", f"the file has no column {column!r}; it has: {', '.join(there)} (--map {name}=COLUMN)"
            )
    return columns


def read_payment(values: Mapping[str, Any], columns: Mapping[str, str], source: str, line: int | None) -> Payment:
    """Return the payment of a row.

    Raises:
        InputError: the field is the column that is wrong.
    """
    state = _text(values, columns["state"]).lower()
    if state not in STATES:
        raise InputError(columns["state"], f"expected one of {', '.join(STATES)}, got {state[:80]!r}")
    cents, currency = _money(values, columns)
    if cents <= 0:
        raise InputError(columns["amount"], "expected an amount above zero; the state says which way the money went")
    return Payment(
        source,
        line,
        _text(values, columns["transaction_id"]),
        _text(values, columns["order_id"]),
        state,
        cents,
        currency,
        parse_instant(_text(values, columns["occurred_at"]), columns["occurred_at"]),
        _key("payment", values, columns, PAYMENT_FIELDS),
    )


def read_claim(values: Mapping[str, Any], columns: Mapping[str, str], source: str, line: int | None) -> Claim:
    """Return the claim of a row.

    Raises:
        InputError: the field is the column that is wrong.
    """
    cents, currency = _money(values, columns)
    if cents < 0:
        raise InputError(columns["amount"], "expected an amount of zero or more")
    return Claim(
        source,
        line,
        _text(values, columns["platform"]),
        _text(values, columns["order_id"]),
        cents,
        currency,
        parse_instant(_text(values, columns["occurred_at"]), columns["occurred_at"]),
        _key("claim", values, columns, CLAIM_FIELDS),
    )


def read_rate(values: Mapping[str, Any], columns: Mapping[str, str], source: str, line: int | None) -> Rate:
    """Return the exchange rate of a row.

    Raises:
        InputError: the field is the column that is wrong.
    """
    day, text = _text(values, columns["day"]), _text(values, columns["rate"])
    try:
        parsed = date.fromisoformat(day)
    except ValueError:
        raise InputError(columns["day"], f"expected a day such as 2025-06-01, got {day[:80]!r}") from None
    base = parse_currency(_text(values, columns["base"]), columns["base"])
    currency = parse_currency(_text(values, columns["currency"]), columns["currency"])
    if currency == base:
        raise InputError(columns["currency"], f"is the base, {base}, itself")
    if not _RATE.fullmatch(text) or Decimal(text) == 0:
        raise InputError(
            columns["rate"], f"expected a number above zero with at most 12 decimals, such as 1.0825, got {text[:80]!r}"
        )
    key = hashlib.sha256(json.dumps(["rate", day, base, currency, text]).encode()).digest()
    return Rate(source, line, parsed, base, currency, Decimal(text), key)


def _money(values: Mapping[str, Any], columns: Mapping[str, str]) -> tuple[int, str]:
    currency = parse_currency(_text(values, columns["currency"]), columns["currency"])
    return parse_amount(_text(values, columns["amount"]), currency, columns["amount"]), currency


def _key(kind: str, values: Mapping[str, Any], columns: Mapping[str, str], fields: tuple[str, ...]) -> bytes:
    own = values.get(columns["record_id"])
    # In the order of the fields, which the columns lose when they are stored with a refused record.
    names = (fields[0], "record_id") if own not in (None, "") else [name for name in fields if name != "record_id"]
    said = [kind, *(f"{name}={str(values.get(columns[name])).strip()}" for name in names)]
    return hashlib.sha256(json.dumps(said).encode()).digest()


def _text(values: Mapping[str, Any], column: str) -> str:
    value = values.get(column)
    if value is not None and (isinstance(value, bool) or not isinstance(value, str | int)):
        raise InputError(column, f"expected a text or a number, got a {type(value).__name__}")
    text = "" if value is None else str(value).strip()
    if not text:
        raise InputError(column, "is empty")
    if "\x00" in text or any("\ud800" <= sign <= "\udfff" for sign in text):
        raise InputError(column, "holds a character that no text of the database can hold")
    return text
