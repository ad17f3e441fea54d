"""Two versions side by side: what each gives to each channel, and which conversions they see most differently."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.attribution import runs
from skeldir_huey.attribution.store import read_version
from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import InputError

LIMIT = 20


@dataclass(frozen=True)
class ChannelPair:
    """A channel of one currency under versions a and b: credit in conversions, money in the smallest unit."""

    channel_code: str
    currency: str
    credit_a: Decimal
    credit_b: Decimal
    cents_a: int
    cents_b: int

    @property
    def difference_cents(self) -> int:
        """Return what b gives more than a."""
        return self.cents_b - self.cents_a


@dataclass(frozen=True)
class ConversionPair:
    """A conversion that both versions allocated, and differently. `moved_cents` went to another channel."""

    event_id: UUID
    converted_at: datetime
    moved_cents: int
    channels: list[ChannelPair]


@dataclass(frozen=True)
class Comparison:
    """Two versions over one window of conversion times, refunds left out.

    Args:
        count_a, count_b, count_both: conversions that a, b, both have allocated.
        count_different: of those that both have, the ones that they split differently.
        channels: by currency and channel.
        conversions: those with most money moved, most first.
    """

    version_a: str
    version_b: str
    window_start: datetime
    window_end: datetime
    count_a: int
    count_b: int
    count_both: int
    count_different: int
    channels: list[ChannelPair]
    conversions: list[ConversionPair]


def compare(
    connection: Connection,
    tenant_id: UUID,
    version_a: str,
    version_b: str,
    window_start: object,
    window_end: object,
    limit: int = LIMIT,
) -> Comparison:
    """Return how two versions of the tenant allocated the conversions of a window, as far as both were computed.

    Args:
        window_start, window_end: half-open, as for a run.
        limit: how many conversions are listed, 0 or more.

    Raises:
        InputError: names the field that is wrong.
    """
    first = runs.identify(tenant_id, window_start, window_end, version_a)
    if limit < 0:
        raise InputError("limit", f"expected 0 or more, got {limit}")
    if version_a == version_b:
        raise InputError("version_b", f"is the same as version_a: {version_a}")
    for version in (version_a, version_b):
        read_version(connection, tenant_id, version)
    window = {"window_start": first.window_start, "window_end": first.window_end}
    values = window | {"tenant_id": tenant_id, "version_a": version_a, "version_b": version_b}
    conversions: dict[UUID, ConversionPair] = {}
    for row in rows(connection, sql("attribution", "compare_conversions"), values | {"limit": limit}):
        event_id, converted_at, moved = row.pop("event_id"), row.pop("converted_at"), row.pop("moved_cents")
        pair = conversions.setdefault(event_id, ConversionPair(event_id, converted_at, moved, []))
        pair.channels.append(ChannelPair(**row))
    return Comparison(
        version_a=version_a,
        version_b=version_b,
        window_start=first.window_start,
        window_end=first.window_end,
        **rows(connection, sql("attribution", "compare_totals"), values)[0],
        channels=[ChannelPair(**row) for row in rows(connection, sql("attribution", "compare_channels"), values)],
        conversions=list(conversions.values()),
    )
