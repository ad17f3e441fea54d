"""shapley_set: equal credit to each distinct channel of the journey, however often it appears.

Formula: m distinct channels; each has 1/m. This is the exact Shapley value of the game "the journey converts if and
only if all of its channels are kept": every channel is needed, so in every order of arrival it is the last one that
brings the whole value, and each channel is last in 1/m of the orders. No approximation is made. Source: Zhao,
Mahboobi, Bagheri 2018, arXiv 1804.05327. No touch: the fallback channel has 1.

Worked example: email, email, direct before a sale of 1.00. Two channels, so 1/2 each; `linear` gives email 2/3.

>>> touches = [Touch("email"), Touch("email"), Touch("direct")]
>>> largest_remainder(100, credits(touches, check({}, [])))
{'email': 50, 'direct': 50}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any

from skeldir_huey.attribution.journeys import journey_statements
from skeldir_huey.attribution.models.touches import Touch, by_channel, check_touches, values
from skeldir_huey.money import largest_remainder

__all__ = ["check", "credits", "largest_remainder", "statements", "values", "weights"]


def check(params: Mapping[str, Any], channels: Collection[str]) -> dict[str, Any]:
    """Return the parameters as they are stored, see `params.check_journey`.

    Raises:
        InputError: a parameter is unknown or out of its range.
    """
    return check_touches(params)


def weights(touches: Sequence[Touch], params: Mapping[str, Any]) -> list[Fraction]:
    """Return 1 for each first touch of a channel, 0 for those that repeat it."""
    channels = [touch.channel for touch in touches]
    return [Fraction(int(channel not in channels[:nth])) for nth, channel in enumerate(channels)]


def credits(touches: Sequence[Touch], params: Mapping[str, Any]) -> dict[str, Fraction]:
    """Return each channel's credit, for the touches of a journey in order; the split itself runs in SQL."""
    return by_channel(touches, weights(touches, params))


def statements(params: Mapping[str, Any]) -> list[str]:
    """Return the SQL files that make the credits, innermost first."""
    return [*journey_statements(params), "shapley_set"]
