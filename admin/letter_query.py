"""The filters of the list of dead letters, read from an address or from a form: both mean the same letters."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from flask import request
from werkzeug.datastructures import MultiDict

from admin.search import LETTER_STATUSES, Query, SearchError, parse
from skeldir_huey.config import LANES
from skeldir_huey.errors import InputError
from skeldir_huey.queue.letter_filter import LetterFilter
from skeldir_huey.tenancy import parse_uuid

RANGES = {"24h": timedelta(hours=24), "7d": timedelta(days=7), "30d": timedelta(days=30)}
NAMES = ("status", "queue", "range", "task", "error", "fp", "q")
FINGERPRINT = re.compile(r"[0-9a-f]{8,16}")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
MAX_PICKED = 500


@dataclass(frozen=True)
class LetterQuery:
    """What was asked for: the filter, and the texts that the page shows again.

    Attributes:
        given: name of NAMES -> text, for links and forms.
        wrong: what is wrong with the search text, or None.
    """

    filter: LetterFilter
    given: dict[str, str]
    query: Query
    wrong: SearchError | None

    @property
    def is_plain(self) -> bool:
        """Say whether nothing but the status was asked for."""
        return not any(self.given[name] for name in NAMES if name != "status")


def from_address(now: datetime) -> LetterQuery:
    """Return the filter of the address of this request; a bad search text is told, everything else raises.

    Raises:
        InputError: a value is none that the page gives.
    """
    return _read(request.args, now)


def from_form(now: datetime) -> LetterFilter:
    """Return the filter that a form of the list repeats, narrowed to the ticked letters unless it says all.

    Raises:
        InputError: a value is none that the page gives, or nothing is ticked.
    """
    read = _read(request.form, now)
    if read.wrong is not None:
        raise InputError("q", read.wrong.reason)
    if request.form.get("all") == "1":
        return read.filter
    picked = request.form.getlist("letter")
    if not picked:
        raise InputError("letter", "tick at least one dead letter, or choose all that match")
    if len(picked) > MAX_PICKED:
        raise InputError("letter", f"at most {MAX_PICKED} are ticked one by one")
    return LetterFilter(status=read.filter.status, ids=tuple(str(parse_uuid(one, "letter")) for one in picked))


def _read(values: MultiDict[str, str], now: datetime) -> LetterQuery:
    given = {name: _text(values, name) for name in NAMES}
    status = _choice("status", given["status"], (*LETTER_STATUSES, "any"), "pending")
    queue = _choice("queue", given["queue"], LANES, "")
    span = _choice("range", given["range"], tuple(RANGES), "")
    if given["fp"] and not FINGERPRINT.fullmatch(given["fp"]):
        raise InputError("fp", "not a fingerprint; eight hex digits are expected")
    given["status"] = status
    asked: dict[str, Any] = {
        "status": status,
        "queue": queue,
        "task": given["task"],
        "error": given["error"],
        "fingerprint": given["fp"],
        "since": (now - RANGES[span]).isoformat() if span else "",
    }
    try:
        query, wrong = parse(given["q"]), None
        asked |= _searched(query, asked)
    except SearchError as error:
        query, wrong = Query(given["q"]), error
    return LetterQuery(LetterFilter(**asked), given, query, wrong)


def _searched(query: Query, asked: dict[str, Any]) -> dict[str, Any]:
    """Return what the terms of a search text add to the filters beside it."""
    found: dict[str, Any] = {}
    if query.uuid is not None:
        return {"task_id": str(query.uuid)}
    for key, name in (("task", "task"), ("queue", "queue"), ("error", "error"), ("id", "task_id")):
        for term in query.of(key):
            if found.get(name, asked.get(name)):
                raise SearchError(f"{key} is asked for twice", query.text, query.text.find(key), len(key))
            found[name] = term.value
    for term in query.of("correlation"):
        found["correlation"] = str(UUID(term.value))
    for term in query.of("status"):
        if term.value not in LETTER_STATUSES:
            place = query.text.find("status:") + len("status:")
            allowed = ", ".join(LETTER_STATUSES)
            raise SearchError(f"a dead letter is one of {allowed}", query.text, place, len(term.value))
        found["status"] = term.value
    if query.of("tenant"):
        raise SearchError(
            "choose the tenant at the top of the page", query.text, query.text.find("tenant:"), len("tenant")
        )
    found["args"] = tuple(tuple(term.contained()) for term in query.of("args"))
    found["tries"] = tuple((term.operator, term.number) for term in query.of("tries"))
    return found


def _text(values: MultiDict[str, str], name: str) -> str:
    found = values.getlist(name)
    if len(found) > 1:
        raise InputError(name, "given more than once")
    value = found[0].strip() if found else ""
    if len(value) > 200 or _CONTROL.search(value):
        raise InputError(name, "too long, or has characters that cannot be typed")
    return value


def _choice(name: str, value: str, allowed: Collection[str], default: str) -> str:
    value = value or default
    if value != default and value not in allowed:
        raise InputError(name, f"expected one of {', '.join(sorted(allowed))}")
    return value
