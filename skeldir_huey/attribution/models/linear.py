"""linear: equal credit to each touch of the journey.

Formula: n touches in [T - lookback, T]; each has 1/n; credit(channel) = touches of that channel / n. Source: the common
"linear" rule of multi-touch attribution, as in the formula book of this project. No touch: the fallback channel has 1.

Worked example: email, email, direct before a sale of 1.00. Email has 2/3 and direct 1/3: 66.67 and 33.33 cents, so the
odd cent goes to email, which has the larger remainder.

>>> largest_remainder(100, credits(["email", "email", "direct"]))
{'email': 67, 'direct': 33}
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping
from fractions import Fraction
from typing import Any

from skeldir_huey.attribution.journeys import journey_statements, journey_values
from skeldir_huey.attribution.params import JOURNEY_PARAMS, check_journey, check_names
from skeldir_huey.money import largest_remainder

__all__ = ["check", "credits", "largest_remainder", "statements", "values"]


def credits(touches: list[str]) -> dict[str, Fraction]:
    """Return each channel's credit for the channels of a journey's touches; a reading aid, the split runs in SQL."""
    return {channel: Fraction(count, len(touches)) for channel, count in Counter(touches).items()}


def check(params: Mapping[str, Any], channels: Collection[str]) -> dict[str, Any]:
    """Return the parameters as they are stored: `lookback_s`, `dedupe` and `repeat`, see `check_journey`.

    Raises:
        InputError: a parameter is unknown or out of its range.
    """
    check_names(params, JOURNEY_PARAMS)
    return check_journey(params)


def statements(params: Mapping[str, Any]) -> list[str]:
    """Return the SQL files that make the credits, innermost first."""
    return [*journey_statements(params), "linear"]


def values(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of those files."""
    return journey_values(params)
