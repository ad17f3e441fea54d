"""Values from the URL and from forms: parsed and bounded here, refused with the field named, never trusted."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import UUID

from flask import request

from skeldir_huey.errors import InputError, NotFound
from skeldir_huey.tenancy import parse_uuid

REASON_MIN, REASON_MAX = 5, 300
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_AFTER = re.compile(r"([0-9T:.\-]{19,26})~([0-9a-f-]{1,36})")


@dataclass(frozen=True)
class After:
    """The last row of the page before: lists go on after it. `id` is the text of a uuid or of a number."""

    at: datetime
    id: str

    def __str__(self) -> str:
        return f"{self.at.astimezone(UTC).replace(tzinfo=None).isoformat()}~{self.id}"


def text(name: str) -> str:
    """Return a value of the query string, "" when absent.

    Raises:
        InputError: it is given twice, longer than 200 characters or has control characters.
    """
    values = request.args.getlist(name)
    if len(values) > 1:
        raise InputError(name, "given more than once")
    value = values[0] if values else ""
    if len(value) > 200 or _CONTROL.search(value):
        raise InputError(name, "too long, or has characters that cannot be typed")
    return value


def choice(name: str, allowed: Collection[str], default: str) -> str:
    """Return one of the allowed values.

    Raises:
        InputError: it is none of them.
    """
    value = text(name) or default
    if value != default and value not in allowed:
        raise InputError(name, f"expected one of {', '.join(sorted(filter(None, allowed)))}")
    return value


def after(kind: type[UUID] | type[int] = UUID) -> After | None:
    """Return where the list goes on, None at its start.

    Raises:
        InputError: it was not made by this console.
    """
    value = text("after")
    if not value:
        return None
    match = _AFTER.fullmatch(value)
    try:
        if match is None:
            raise ValueError
        at = datetime.fromisoformat(match[1]).replace(tzinfo=UTC)
        row_id = str(parse_uuid(match[2], "after")) if kind is UUID else str(int(match[2]))
        if kind is int and int(row_id) >= 2**63:
            raise ValueError
    except (ValueError, InputError):
        raise InputError("after", "not a place in this list; start again at its top") from None
    return After(at, row_id)


def day(name: str) -> datetime | None:
    """Return the midnight, UTC, of a day such as 2025-06-01; None when it is absent.

    Raises:
        InputError: it is no day, or not of the years 1970 to 2199.
    """
    return _day(name, text(name))


def form_day(name: str) -> datetime | None:
    """Return the midnight, UTC, of a day of a form; as `day`."""
    return _day(name, request.form.get(name, ""))


def _day(name: str, value: str) -> datetime | None:
    if not value:
        return None
    try:
        found = datetime.strptime(value, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise InputError(name, f"expected a day such as 2025-06-01, got {value[:20]!r}") from None
    if not 1970 <= found.year < 2200:
        raise InputError(name, f"expected a day of the years 1970 to 2199, got {value[:20]!r}")
    return found


def minute(name: str) -> datetime | None:
    """Return a minute, UTC, such as 2025-06-01T12:30, as a browser's field gives it; None when it is absent.

    Raises:
        InputError: it is no minute, or not of the years 1970 to 2199.
    """
    value = text(name)
    if not value:
        return None
    try:
        found = datetime.strptime(value[:16], "%Y-%m-%dT%H:%M").replace(tzinfo=UTC)
    except ValueError:
        raise InputError(name, f"expected a minute such as 2025-06-01T12:30, got {value!r}") from None
    if not 1970 <= found.year < 2200:
        raise InputError(name, f"expected a minute of the years 1970 to 2199, got {value!r}")
    return found


def path_uuid(value: str) -> UUID:
    """Return an id from the path.

    Raises:
        NotFound: it is no uuid: same page as an id that is not there.
    """
    try:
        return parse_uuid(value, "id")
    except InputError:
        raise NotFound("no such id") from None


def form_tenant() -> UUID | None:
    """Return the tenant that a form repeats; None for "none", the rows without tenant.

    Raises:
        InputError: it is missing or no uuid.
    """
    value = request.form.get("tenant", "")
    return None if value == "none" else parse_uuid(value, "tenant")


def form_choice(name: str, allowed: Collection[str], default: str) -> str:
    """Return one of the allowed values of a form.

    Raises:
        InputError: it is none of them.
    """
    value = request.form.get(name, default)
    if value not in allowed:
        raise InputError(name, f"expected one of {', '.join(sorted(filter(None, allowed)))}")
    return value


def form_number(name: str) -> int:
    """Return a whole number of a form, from 0 to the largest that the database takes as an id.

    Raises:
        InputError: it is missing, or none.
    """
    value = request.form.get(name, "")
    if not (value.isascii() and value.isdigit() and int(value[:20]) < 2**63):
        raise InputError(name, "expected a whole number")
    return int(value)


def form_reason() -> str:
    """Return the reason of a form.

    Raises:
        InputError: shorter than 5 or longer than 300 characters, or with control characters.
    """
    value = request.form.get("reason", "").strip()
    if not REASON_MIN <= len(value) <= REASON_MAX:
        raise InputError("reason", f"say why, in {REASON_MIN} to {REASON_MAX} characters")
    if _CONTROL.search(value):
        raise InputError("reason", "has characters that cannot be typed")
    return value
