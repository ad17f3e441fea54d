"""Every cent of one conversion, followed from its touches through credits and rounding to the stored rows.

The credits are computed here by the model's plain Python, not by the SQL of the run: so the explanation is a second
opinion about the stored rows, and says whether it agrees with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.attribution import runs
from skeldir_huey.attribution.allocate import fill, nested
from skeldir_huey.attribution.models import model_of
from skeldir_huey.attribution.models.touches import Touch
from skeldir_huey.attribution.store import read_version
from skeldir_huey.attribution.types import ModelSpec, Run
from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import InputError, NotFound
from skeldir_huey.money import largest_remainder

RATIO_UNITS = 10**10
_START = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class ExplainedTouch:
    """A touch that counts. `weight` is the model's, `credit` its part of the sum of all weights."""

    channel: str
    touched_at: datetime
    ingest_seq: int
    weight: Fraction
    credit: Fraction


@dataclass(frozen=True)
class ExplainedChannel:
    """A channel's part: its exact credit and money, the floor, what the floor left, and whether it got a unit of that.

    Args:
        stored_cents, stored_ratio: of the allocation row; None when there is none.
    """

    channel: str
    credit: Fraction
    exact_cents: Fraction
    floor_cents: int
    remainder: Fraction
    gets_unit: bool
    cents: int
    ratio: Decimal
    stored_cents: int | None
    stored_ratio: Decimal | None


@dataclass(frozen=True)
class Explanation:
    """Why a conversion's money went where it went under one version.

    Args:
        touches: those that count, in order; none when the fallback has all, or the model looks at no journey.
        units_left: how many units of money the floors left over; they go to the largest remainders, ties by channel.
        run: the one that wrote the stored rows last; None when it was never computed.
        agrees: whether the stored rows are just this. If not, recompute: events came after the run.
    """

    event_id: UUID
    occurred_at: datetime
    revenue_cents: int
    currency: str
    order_id: str | None
    spec: ModelSpec
    is_fallback: bool
    touches: list[ExplainedTouch]
    channels: list[ExplainedChannel]
    units_left: int
    run: Run | None
    agrees: bool


def explain(
    connection: Connection, tenant_id: UUID, event_id: UUID, model_version: str, spec: ModelSpec | None = None
) -> Explanation:
    """Return why a conversion's money went where it went.

    Args:
        spec: that version, when the caller has read it already.

    Raises:
        InputError: the version is unknown, or the event is no conversion.
        NotFound: the tenant has no such event.
    """
    spec = spec or read_version(connection, tenant_id, model_version)
    values = {"tenant_id": tenant_id, "event_id": event_id, "model_version": model_version}
    found = rows(connection, sql("attribution", "explain_event"), values)
    if not found:
        raise NotFound(f"no event {event_id} of this tenant")
    event = found[0]
    if event["kind"] != "conversion":
        sale = f"; explain its sale, {event['parent_event_id']}" if event["parent_event_id"] else ""
        raise InputError("event_id", f"expected a conversion, this is of kind {event['kind']}{sale}")
    is_fallback, seen = _journey(connection, spec, values, event["occurred_at"])
    plain = [Touch(row["channel_code"], _microseconds(row["touched_at"])) for row in seen if not is_fallback]
    model = model_of(spec.model_type)
    weights = model.weights(plain, spec.params) if plain else []
    credits = {seen[0]["channel_code"]: Fraction(1)} if is_fallback else model.credits(plain, spec.params)
    stored = {row["channel_code"]: row for row in rows(connection, sql("attribution", "explain_allocations"), values)}
    channels = _channels(event["revenue_cents"], credits, stored)
    whole = sum(weights) or Fraction(1)
    return Explanation(
        **{name: event[name] for name in ("event_id", "occurred_at", "revenue_cents", "currency", "order_id")},
        spec=spec,
        is_fallback=is_fallback,
        touches=[
            ExplainedTouch(row["channel_code"], row["touched_at"], row["touch_seq"], weight, weight / whole)
            for row, weight in zip(seen, weights, strict=False)
        ],
        channels=channels,
        units_left=sum(row.gets_unit for row in channels),
        run=last_run(connection, tenant_id, list(stored.values())),
        agrees=stored.keys() == credits.keys()
        and all((row.stored_cents, row.stored_ratio) == (row.cents, row.ratio) for row in channels)
        and all((row["is_fallback"], row["currency"]) == (is_fallback, event["currency"]) for row in stored.values()),
    )


def _journey(
    connection: Connection, spec: ModelSpec, values: dict[str, Any], occurred_at: datetime
) -> tuple[bool, list[dict[str, Any]]]:
    model = model_of(spec.model_type)
    *journeys, _ = model.statements(spec.params)
    if not journeys:
        return False, []
    window = {"window_start": occurred_at, "window_end": occurred_at + timedelta(microseconds=1)}
    text = fill(sql("attribution", "explain_touches"), "journeys", nested(journeys))
    seen = rows(connection, text, values | window | model.values(spec.params))
    return seen[0]["is_fallback"], seen


def _channels(total: int, credits: dict[str, Fraction], stored: dict[str, dict[str, Any]]) -> list[ExplainedChannel]:
    cents, units = largest_remainder(total, credits), largest_remainder(RATIO_UNITS, credits)
    made = []
    for channel in sorted(credits.keys() | stored.keys()):
        credit = credits.get(channel, Fraction(0))
        exact = total * credit
        floor = exact.numerator // exact.denominator
        row = stored.get(channel)
        made.append(
            ExplainedChannel(
                channel=channel,
                credit=credit,
                exact_cents=exact,
                floor_cents=floor,
                remainder=exact - floor,
                gets_unit=cents.get(channel, 0) > floor,
                cents=cents.get(channel, 0),
                ratio=Decimal(units.get(channel, 0)).scaleb(-10),
                stored_cents=row["allocated_revenue_cents"] if row else None,
                stored_ratio=row["allocation_ratio"] if row else None,
            )
        )
    return made


def last_run(connection: Connection, tenant_id: UUID, stored: list[dict[str, Any]]) -> Run | None:
    """Return the run that wrote these allocation rows last; None when there are none."""
    found = [runs.read(connection, tenant_id, run_id) for run_id in {row["run_id"] for row in stored}]
    return max(found, key=lambda run: (run.finished_at is not None, run.finished_at), default=None)


def _microseconds(instant: datetime) -> int:
    return (instant - _START) // timedelta(microseconds=1)
