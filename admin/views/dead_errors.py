"""What the page of errors shows, and what its form says."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from flask import request

from admin import error_actions, params, scope
from admin.error_actions import Decision
from admin.panels import Panels
from admin.reads import errors
from admin.reads.overview import now as database_now
from skeldir_huey.errors import InputError

SHOWN = 20
SHORT_MAX = 80


def error_page() -> dict[str, Any]:
    """Return what the page of errors shows, for the filters of this request.

    Raises:
        InputError: a filter is none that the page gives.
    """
    state = params.choice("state", ("open", "any", *errors.STATES), "open")
    start = _start()
    with scope.reading() as connection:
        panels = Panels(connection)
        now = database_now(connection)
        found = panels.read(errors.groups, now)
        wanted = [group for group in found or () if _shown(group, state)]
        names = [group.fingerprint for group in wanted[start : start + SHOWN]]
        canaries = panels.read(errors.canaries, names) or {}
        waiting = panels.read(errors.next_letters, names) or {}
        version = panels.read(errors.newest_version)
    shown = [
        replace(group, canary=canaries.get(group.fingerprint), next_letter=waiting.get(group.fingerprint))
        for group in wanted[start : start + SHOWN]
    ]
    return {
        "now": now,
        "groups": shown if found is not None else None,
        "group_count": len(wanted),
        "most": errors.MOST if found is not None and len(found) == errors.MOST else None,
        "open_count": sum(group.open for group in wanted),
        "state": state,
        "states": errors.STATES,
        "start": start,
        "following": start + SHOWN if len(wanted) > start + SHOWN else None,
        "version": version,
    }


def _shown(group: errors.Group, state: str) -> bool:
    if state == "any":
        return True
    if state == "open":  # what waits for a person; an error that was fixed stays as long as letters of it wait
        return group.open > 0 and group.state != "ignored"
    return group.state == state


def _start() -> int:
    text = params.text("start") or "0"
    if not (text.isascii() and text.isdecimal() and int(text[:6]) < errors.MOST):
        raise InputError("start", "not a place in this list; start again at its top")
    return int(text)


def decision_of_form(now: datetime, email: str) -> Decision:
    """Return what the form says about an error.

    Raises:
        InputError: names the field that is wrong.
    """
    kind = params.form_choice("kind", error_actions.KINDS, "")
    note = params.form_reason()
    owner = _short("owner") or email
    version = _short("version")
    if kind == "fixed" and not version:
        raise InputError("version", "say in which version it is fixed, such as 1.4.2")
    days = params.form_choice("days", error_actions.IGNORE_DAYS, "7")
    return Decision(
        kind=kind,
        note=note,
        owner=owner,
        version=version if kind == "fixed" else None,
        until=now + timedelta(days=int(days)) if kind == "ignored" else None,
    )


def _short(name: str) -> str:
    value = request.form.get(name, "").strip()
    if len(value) > SHORT_MAX or not value.isprintable():
        raise InputError(name, f"at most {SHORT_MAX} characters that can be typed")
    return value
