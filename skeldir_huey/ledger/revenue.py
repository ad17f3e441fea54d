"""What each channel earned in a window, in the currencies of the sales, or converted into one.

Money is allocated in the currency of its sale. A report converts each day's sum of a channel and currency at that day's
rate, rounded once to the smallest unit (half away from zero), and adds up what came out: so the lines of a report add
up to its totals, and any longer window is the sum of its days. A day without a rate, such as a Sunday, has the newest
one before it, at most 7 days old; when there is none, there is no report: a total that leaves money out would look like
one that does not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.retained import check_window
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import NoResult
from skeldir_huey.ledger.rates import read_base
from skeldir_huey.money import digits_of

OLDEST_DAYS = 7
_DIGITS = Decimal("1e-12")


@dataclass(frozen=True)
class RevenueDay:
    """A UTC day's allocated money of one channel and currency, refunds taken off.

    Args:
        credit: conversions, in parts.
        rate: units of the report's currency for one unit of `currency`, 12 decimals; None where nothing was converted.
        rate_day: the day that the rate is of; of two rates, the older one's.
        converted_cents: in the report's currency; None where nothing was converted.
    """

    day: date
    channel_code: str
    currency: str
    conversion_count: int
    credit: Decimal
    cents: int
    rate: Decimal | None
    rate_day: date | None
    converted_cents: int | None


@dataclass(frozen=True)
class ChannelRevenue:
    """A channel's money over the window, in `currency`: the report's, or that of the sales."""

    channel_code: str
    currency: str
    credit: Decimal
    cents: int


def read_revenue(
    connection: Connection,
    tenant_id: UUID,
    model_version: str,
    window_start: datetime,
    window_end: datetime,
    into: str | None = None,
) -> list[RevenueDay]:
    """Return what a version allocated, by day, channel and currency, on demand converted into one currency.

    Args:
        window_start, window_end: half-open, aware, of conversion times; a refund counts at its own time.
        into: a code of ISO 4217; None leaves all amounts as they are.

    Raises:
        InputError: allocations of the window were removed when their time was over.
        NoResult: the rate of a currency and day is missing; names them.
    """
    check_window(connection, tenant_id, window_start)
    values = {
        "tenant_id": tenant_id,
        "model_version": model_version,
        "window_start": window_start,
        "window_end": window_end,
        "into": into,
        "oldest_days": OLDEST_DAYS + 1,
    }
    found = rows(connection, sql("ledger", "revenue_days"), values)
    base = read_base(connection, tenant_id)
    missing = {
        (row["day"], currency)
        for row in found
        for currency, rate in ((row["currency"], row["own_rate"]), (into, row["into_rate"]))
        if into not in (None, row["currency"]) and rate is None and currency != base
    }
    if missing:
        raise NoResult(_missing(missing))
    return [_day(row, into) for row in found]


def by_channel(days: Sequence[RevenueDay], into: str | None) -> list[ChannelRevenue]:
    """Return the sums of these days per channel, and per currency unless they were converted into one."""
    sums: dict[tuple[str, str], tuple[Decimal, int]] = {}
    for day in days:
        key = (into or day.currency, day.channel_code)
        credit, cents = sums.get(key, (Decimal(0), 0))
        more = day.cents if day.converted_cents is None else day.converted_cents
        sums[key] = credit + day.credit, cents + more
    return [ChannelRevenue(channel, currency, *sums[currency, channel]) for currency, channel in sorted(sums)]


def convert(cents: int, currency: str, into: str, rate: Fraction) -> int:
    """Return an amount in another currency's smallest unit, half away from zero.

    >>> convert(1050, "EUR", "JPY", Fraction("160.95"))  # 10.50 euro are 1,689.975 yen
    1690
    >>> convert(-5, "EUR", "EUR", Fraction(1, 2))
    -3
    """
    exact = cents * rate * Fraction(10) ** (digits_of(into) - digits_of(currency))
    whole = int(abs(exact) + Fraction(1, 2))
    return whole if exact >= 0 else -whole


def _day(row: dict[str, Any], into: str | None) -> RevenueDay:
    own, own_day = row.pop("own_rate"), row.pop("own_rate_day")
    wanted, wanted_day = row.pop("into_rate"), row.pop("into_rate_day")
    if into is None:
        return RevenueDay(**row, rate=None, rate_day=None, converted_cents=None)
    if into == row["currency"]:
        return RevenueDay(**row, rate=Decimal(1), rate_day=row["day"], converted_cents=row["cents"])
    rate = Fraction(wanted if wanted is not None else 1) / Fraction(own if own is not None else 1)
    shown = (Decimal(rate.numerator) / Decimal(rate.denominator)).quantize(_DIGITS)
    rate_day = min(day for day in (own_day, wanted_day) if day is not None)
    return RevenueDay(
        **row, rate=shown, rate_day=rate_day, converted_cents=convert(row["cents"], row["currency"], into, rate)
    )


def _missing(missing: set[tuple[date, Any]]) -> str:
    listed = [f"{currency} on {day}" for day, currency in sorted(missing)]
    more = f" and {len(listed) - 3:,} more" if len(listed) > 3 else ""
    return (
        f"no rate of {', '.join(listed[:3])}{more}, nor of the {OLDEST_DAYS} days before: "
        "add it with `python -m skeldir_huey import-rates`"
    )
