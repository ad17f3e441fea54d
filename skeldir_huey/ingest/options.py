"""What an import is told about its file: which column is what, which label is which channel, what the money is."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

from skeldir_huey.errors import InputError
from skeldir_huey.money import MAX_CENTS, parse_currency

REQUIRED = ("visitor", "occurred_at")
FIELDS = (
    *REQUIRED, "channel", "conversion", "event_type", "campaign_id", "order_id", "parent", "currency",
)  # fmt: skip
CONSTANTS = ("revenue_cents", "currency")


@dataclass(frozen=True)
class Options:
    """How to read a file.

    Args:
        columns: field of FIELDS -> column of the file.
        labels: what stands in the channel column -> channel code.
        timezone: of times that stand there without one; None means the tenant's.
        revenue_column: amounts of conversions, in units such as 12.50.
        revenue_cents: of each conversion, instead of a column.
        currency: of rows that have none of their own.
    """

    columns: Mapping[str, str]
    labels: Mapping[str, str] = field(default_factory=dict)
    timezone: ZoneInfo | None = None
    revenue_column: str | None = None
    revenue_cents: int | None = None
    currency: str | None = None

    @property
    def used_columns(self) -> dict[str, str]:
        """Return every column that is read, by the option that names it."""
        named = {f"--map {name}": column for name, column in self.columns.items()}
        return named | ({"--revenue": self.revenue_column} if self.revenue_column else {})

    def as_json(self) -> dict[str, Any]:
        """Return what a refused record keeps of it, to be read again."""
        kept = asdict(self) | {"timezone": self.timezone and self.timezone.key, "kind": "row"}
        return {name: value for name, value in kept.items() if value not in (None, {})}

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> Options:
        """Undo `as_json`."""
        zone = kept.get("timezone")
        return cls(
            columns=kept["columns"],
            labels=kept.get("labels", {}),
            timezone=ZoneInfo(zone) if zone else None,
            revenue_column=kept.get("revenue_column"),
            revenue_cents=kept.get("revenue_cents"),
            currency=kept.get("currency"),
        )


def parse_pairs(texts: Iterable[str], option: str) -> dict[str, str]:
    """Return name=value pairs, separated by commas; a pair that holds a comma is put in double quotes.

    The last = of a pair separates, so a name may hold one.

    Raises:
        InputError: a pair has no =, an empty side, or a name that stood there before.
    """
    pairs: dict[str, str] = {}
    for text in texts:
        for part in next(csv.reader(io.StringIO(text), skipinitialspace=True), []):
            name, sign, value = (piece.strip() for piece in part.rpartition("="))
            if not (sign and name and value):
                raise InputError(option, f"expected name=value pairs separated by commas, got {part!r}")
            if name in pairs:
                raise InputError(option, f"{name!r} stands there twice")
            pairs[name] = value
    return pairs


def make_options(
    columns: Mapping[str, str],
    labels: Mapping[str, str],
    constants: Mapping[str, str],
    revenue_column: str | None,
    timezone: ZoneInfo | None,
    channels: frozenset[str],
) -> Options:
    """Return checked options.

    Args:
        columns: of --map.
        labels: of --channels.
        constants: of --set.
        channels: codes of the channel taxonomy.

    Raises:
        InputError: names the option that is wrong.
    """
    _known(columns, FIELDS, "--map")
    _known(constants, CONSTANTS, "--set")
    if "conversion" in columns and "event_type" in columns:
        raise InputError("--map", "conversion and event_type both say what a row is: give one of the two")
    for name in REQUIRED:
        # Adjustments have the journey of their sale, so a file of them needs no visitor.
        if name not in columns and not (name == "visitor" and "event_type" in columns):
            raise InputError("--map", f"{name} is missing; say which column it is: --map {name}=COLUMN,…")
    for label, code in labels.items():
        if code not in channels:
            raise InputError("--channels", f"{label}={code}: no such channel; known are: {', '.join(sorted(channels))}")
    if labels and "channel" not in columns:
        raise InputError("--channels", "needs a column to look into: --map channel=COLUMN")
    currency = constants.get("currency")
    if currency is not None:
        parse_currency(currency, "--set currency")
    cents = _cents(constants.get("revenue_cents"))
    _check_money(columns, cents, revenue_column, currency)
    return Options(dict(columns), dict(labels), timezone, revenue_column, cents, currency)


def _check_money(
    columns: Mapping[str, str], cents: int | None, revenue_column: str | None, currency: str | None
) -> None:
    given = revenue_column is not None or cents is not None
    if revenue_column is not None and cents is not None:
        raise InputError("--revenue", "given together with --set revenue_cents: give one of the two")
    if "conversion" in columns and not given:
        raise InputError("--revenue", "conversions need a value: --revenue COLUMN or --set revenue_cents=…,currency=…")
    if given and "conversion" not in columns and "event_type" not in columns:
        raise InputError("--map", "conversion is missing (or event_type): without it no row has revenue")
    if given and currency is None and "currency" not in columns:
        raise InputError("--set", "currency is missing: --set currency=EUR, or --map currency=COLUMN")


def _known(given: Iterable[str], known: tuple[str, ...], option: str) -> None:
    for name in given:
        if name not in known:
            raise InputError(option, f"unknown field {name!r}; known are: {', '.join(known)}")


def _cents(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 20 and int(text) <= MAX_CENTS):
        raise InputError("--set revenue_cents", f"expected a whole number of the smallest unit, got {text!r}")
    return int(text)
