"""Journeys: which statements find the touches of each conversion, by the parameters that models of touches share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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
