"""Time: the one place that reads the clock, and the one place that reads instants written by people."""

from __future__ import annotations

from datetime import UTC, datetime

from skeldir_huey.errors import InputError


def utc_now() -> datetime:
    """Return the present instant, aware, in UTC."""
    return datetime.now(UTC)


def parse_instant(value: object, field: str) -> datetime:
    """Return an instant in UTC.

    Args:
        value: an aware datetime, or ISO-8601 text with a zone, as in 2025-06-01T00:00:00Z.
        field: the name used in the error.

    Raises:
        InputError: it is no date with a time, or has no zone: then it could mean 24 different instants.
    """
    instant = value
    if isinstance(value, str):
        try:
            instant = datetime.fromisoformat(value.strip())
        except ValueError:
            instant = None
    if not isinstance(instant, datetime):
        raise InputError(field, f"expected an ISO-8601 instant such as 2025-06-01T00:00:00Z, got {value!r}")
    if instant.tzinfo is None or instant.utcoffset() is None:
        raise InputError(field, f"has no time zone: {value!r}; add Z for UTC or an offset such as +02:00")
    try:
        return instant.astimezone(UTC)
    except OverflowError:
        raise InputError(field, f"is outside the years 1 to 9999 in UTC: {value!r}") from None
