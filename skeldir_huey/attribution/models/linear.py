"""linear: equal credit to each touch of the journey.

Formula: n touches in [T - lookback, T]; each has 1/n; credit(channel) = touches of that channel / n. Source: the common
"linear" rule of multi-touch attribution, as in the formula book of this project. No touch: the fallback channel has 1.

Worked example: email, email, direct before a sale of 1.00. Email has 2/3 and direct 1/3: 66.67 and 33.33 cents, so the
odd cent goes to email, which has the larger remainder.

>>> touches = [Touch("email"), Touch("email"), Touch("direct")]
>>> largest_remainder(100, credits(touches, check({}, [])))
{'email': 67, 'direct': 33}
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
    """Return 1 for each touch."""
    return [Fraction(1) for _ in touches]


def credits(touches: Sequence[Touch], params: Mapping[str, Any]) -> dict[str, Fraction]:
    """Return each channel's credit, for the touches of a journey in order; the split itself runs in SQL."""
    return by_channel(touches, weights(touches, params))


def statements(params: Mapping[str, Any]) -> list[str]:
    """Return the SQL files that make the credits, innermost first."""
    return [*journey_statements(params), "linear"]
