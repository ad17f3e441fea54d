"""One shape for all events: a row becomes a touch, or a touch and a conversion, or what its type says, or a refusal."""

from __future__ import annotations

import hashlib
import uuid
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from skeldir_huey.errors import InputError
from skeldir_huey.ingest.adjustments import Adjustment
from skeldir_huey.ingest.options import Options
from skeldir_huey.ingest.tenants import Tenant
from skeldir_huey.money import MAX_CENTS, parse_amount, parse_currency

TOUCH, CONVERSION = "landing", "purchase"
UNKNOWN = "unknown"
MAX_LABELS = 200  # distinct unmapped labels that are listed; a column full of garbage must not fill the memory
OTHERS = "(other labels)"

_FLAGS = {"1": True, "true": True, "t": True, "yes": True, "y": True}
_FLAGS |= {"": False, "0": False, "false": False, "f": False, "no": False, "n": False}


@dataclass(frozen=True)
class Event:
    """A row of attribution_events, as far as its source says."""

    occurred_at: datetime
    event_type: str
    kind: str
    journey_key: UUID
    session_id: UUID
    visitor_id: UUID | None
    channel: str
    campaign_id: str | None
    revenue_cents: int | None
    currency: str | None
    order_id: str | None
    idempotency_key: bytes


@dataclass(frozen=True)
class Kinds:
    """What each event type of a tenant is: its kind, and whether a touch of it counts only with a real channel."""

    table: Mapping[str, tuple[str, bool]]

    def kind_of(self, event_type: str, channel: str) -> str:
        """Return the kind of an event, by its type alone; revenue says nothing about it."""
        kind, needs_channel = self.table[event_type]
        return "other" if kind == "touch" and needs_channel and channel in (UNKNOWN, "direct") else kind

    def check(self) -> None:
        """Make sure that the tenant knows the types that an import makes.

        Raises:
            InputError: one is missing or is something else.
        """
        for event_type, kind in ((TOUCH, "touch"), (CONVERSION, "conversion")):
            if self.table.get(event_type, ("missing", False))[0] != kind:
                raise InputError("--tenant", f"event type {event_type!r} is no {kind} of this tenant (event_kinds)")


class Normaliser:
    """Makes events of rows for one tenant, and counts the channel labels that no option names.

    Args:
        kept_from: events before this are refused: those of their time were removed, their months are frozen.
    """

    def __init__(
        self,
        tenant: Tenant,
        kinds: Kinds,
        options: Options,
        channels: frozenset[str],
        kept_from: datetime | None = None,
    ) -> None:
        self._tenant = tenant
        self.kept_from = kept_from
        self._kinds = kinds
        self._options = options
        self._channels = channels
        self._zone = options.timezone or ZoneInfo(tenant.timezone)
        self.unmapped: Counter[str] = Counter()

    @property
    def options(self) -> Options:
        """Return how rows are read."""
        return self._options

    def events(self, values: Mapping[str, Any], digest: bytes) -> list[Event]:
        """Return the events of a row: one of its type when types are mapped, else a touch, and a conversion if flagged.

        Args:
            values: column -> value.
            digest: of the row and its occurrence number; the events' keys come from it.

        Raises:
            InputError: the field is the column that is wrong.
        """
        key = self._person(values)
        consented = self._tenant.identity_policy == "consented"
        occurred_at = self._instant(values)
        own_type = self._type(values)
        is_conversion = self._is_conversion(values) if own_type is None else self._kind(own_type) == "conversion"
        cents, currency = self._money(values) if is_conversion else (None, None)
        campaign_id, order_id = self._text(values, "campaign_id"), self._text(values, "order_id")
        channel, label = self._channel(values)

        def event(event_type: str, role: bytes, cents: int | None, currency: str | None, order: str | None) -> Event:
            return Event(
                occurred_at=occurred_at,
                event_type=event_type,
                kind=self._kinds.kind_of(event_type, channel),
                journey_key=key,
                session_id=key,
                visitor_id=key if consented else None,
                channel=channel,
                campaign_id=campaign_id,
                revenue_cents=cents,
                currency=currency,
                order_id=order,
                idempotency_key=hashlib.sha256(digest + role).digest(),
            )

        if label is not None:
            self.unmapped[label if label in self.unmapped or len(self.unmapped) < MAX_LABELS else OTHERS] += 1
        if own_type is not None:
            return [event(own_type, b"event", cents, currency, order_id if is_conversion else None)]
        # The touch first: ingest_seq keeps that order where the times are equal.
        made = [event(TOUCH, b"touch", None, None, None)]
        return [*made, event(CONVERSION, b"conversion", cents, currency, order_id)] if is_conversion else made

    def is_adjustment(self, values: Mapping[str, Any]) -> bool:
        """Return whether the row is a refund, chargeback or cancel.

        Raises:
            InputError: its type is not one of the tenant's.
        """
        own_type = self._type(values)
        return own_type is not None and self._kind(own_type) == "adjustment"

    def adjustment(self, values: Mapping[str, Any], digest: bytes, source: str, line: int | None) -> Adjustment:
        """Return the adjustment of a row; the sign of its amount does not matter, it always takes money back.

        Raises:
            InputError: the field is the column that is wrong.
        """
        occurred_at = self._instant(values)
        cents, currency = self._money(values, is_adjustment=True)
        order_id, parent = self._text(values, "order_id"), self._text(values, "parent")
        if order_id is None and parent is None:
            columns = [self._options.columns.get(name) for name in ("order_id", "parent")]
            named = next((column for column in columns if column), "order_id")
            raise InputError(named, "is empty: an adjustment names its sale by order_id or parent")
        try:
            parent_id = UUID(parent) if parent is not None else None
        except ValueError:
            raise InputError(self._options.columns["parent"], f"expected the uuid of a sale, got {parent!r}") from None
        own_type = self._type(values)
        assert own_type is not None
        key = hashlib.sha256(digest + b"adjustment").digest()
        return Adjustment(source, line, order_id, parent_id, occurred_at, own_type, -cents, currency, key)

    def _type(self, values: Mapping[str, Any]) -> str | None:
        if "event_type" not in self._options.columns:
            return None
        own_type = self._text(values, "event_type") or ""
        if own_type not in self._kinds.table:
            known = ", ".join(sorted(self._kinds.table))
            raise InputError(self._options.columns["event_type"], f"unknown type {own_type[:80]!r}; known are: {known}")
        return own_type

    def _kind(self, event_type: str) -> str:
        return self._kinds.table[event_type][0]

    def _person(self, values: Mapping[str, Any]) -> UUID:
        text = self._text(values, "visitor")
        if text is None:
            raise InputError(self._options.columns.get("visitor", "visitor"), "is empty")
        try:
            return UUID(text)
        except ValueError:
            return uuid.uuid5(self._tenant.id, text)

    def _instant(self, values: Mapping[str, Any]) -> datetime:
        column = self._options.columns["occurred_at"]
        text = self._text(values, "occurred_at") or ""
        try:
            instant = datetime.fromisoformat(text)
            if instant.tzinfo is None:
                instant = instant.replace(tzinfo=self._zone)
            instant = instant.astimezone(UTC)
        except (ValueError, OverflowError):
            raise InputError(column, f"expected a time such as 2025-06-01 12:00:00, got {text[:80]!r}") from None
        if self.kept_from is not None and instant < self.kept_from:
            raise InputError(column, f"is before {self.kept_from.isoformat()}: older events are no longer kept")
        return instant

    def _is_conversion(self, values: Mapping[str, Any]) -> bool:
        text = self._text(values, "conversion") or ""
        if text.lower() not in _FLAGS:
            raise InputError(self._options.columns["conversion"], f"expected 1 or 0, got {text[:80]!r}")
        return _FLAGS[text.lower()]

    def _money(self, values: Mapping[str, Any], is_adjustment: bool = False) -> tuple[int, str]:
        currency = self._text(values, "currency") or self._options.currency
        currency_column = self._options.columns.get("currency", "currency")
        if currency is None:
            raise InputError(currency_column, "is empty, and no --set currency=… stands in for it")
        parse_currency(currency, currency_column)
        column = self._options.revenue_column
        if column is None:
            if self._options.revenue_cents is None:
                raise InputError("--revenue", "is missing: rows with money need it")
            return self._options.revenue_cents, currency
        cents = parse_amount(_as_text(values.get(column), column) or "", currency, column)
        if is_adjustment:
            if cents == 0:
                raise InputError(column, "an adjustment of nothing")
            return abs(cents), currency
        if not 0 <= cents <= MAX_CENTS:
            raise InputError(column, f"a conversion's revenue is zero or more, got {cents} cents")
        return cents, currency

    def _channel(self, values: Mapping[str, Any]) -> tuple[str, str | None]:
        if "channel" not in self._options.columns:
            return UNKNOWN, None
        label = self._text(values, "channel") or ""
        code = self._options.labels.get(label, label)
        return (code, None) if code in self._channels else (UNKNOWN, label[:100])

    def _text(self, values: Mapping[str, Any], name: str) -> str | None:
        column = self._options.columns.get(name)
        return None if column is None else _as_text(values.get(column), column)


def _as_text(value: Any, column: str) -> str | None:
    """Return the value as text without spaces around it; None for nothing."""
    if value is None:
        return None
    if isinstance(value, bool):
        return "1" if value else "0"
    if not isinstance(value, str | int):
        raise InputError(column, f"expected a text or a number, got a {type(value).__name__}")
    text = str(value).strip()
    if "\x00" in text or not _is_unicode(text):
        raise InputError(column, "holds a character that no text of the database can hold")
    return text or None


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
