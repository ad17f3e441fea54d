"""Journeys: which statements find the touches of each conversion, by the parameters that models of touches share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql

# What takes the place of a file of journeys in a long window.
AT_ONCE = {"journeys": "journeys_once"}

# Looking up a journey costs about as much as reading forty touches in a row, and a fifth of events are sales.
_LONG = 1 / 8


def journey_statements(params: Mapping[str, Any]) -> list[str]:
    """Return the SQL files that find the touches that count, innermost first; see `params.check_journey`."""
    touches = {"window": "journeys", "reset": "journeys_reset"}[params["repeat"]]
    return [touches] if params["dedupe"] == "none" else [touches, "journeys_deduped"]


def journey_values(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of those files. Versions older than the parameter `fallback` have its default."""
    return {
        "lookback_s": params["lookback_s"],
        "dedupe": params["dedupe"],
        "fallback": params.get("fallback", "own"),
    }


def is_long(connection: Connection, window: Mapping[str, Any]) -> bool:
    """Return whether to read all touches once is cheaper than to look up each journey: from an eighth of all time on.

    Args:
        connection: a transaction of the tenant, as app_user.
        window: tenant_id, window_start, window_end.
    """
    times = rows(connection, sql("attribution", "sale_times"), dict(window))[0]
    first, last = times["first_at"], times["last_at"]
    if first is None:
        return False
    start: datetime = max(window["window_start"], first)
    end: datetime = min(window["window_end"], last)
    return (end - start) > (last - first) * _LONG
