"""first_touch: all credit to the touch that began the journey.

Formula: credit(channel of touch 1) = 1; touches are in the order of their time, then of their arrival. Source: the
common "first touch" or "first click" rule, as in the formula book of this project. No touch: the fallback has 1.

Worked example: organic, email, direct before a sale of 100.00. Organic has all of it.

>>> touches = [Touch("organic"), Touch("email"), Touch("direct")]
>>> largest_remainder(10_000, credits(touches, check({}, [])))
{'organic': 10000}
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
    """Return 1 for the first touch, 0 for the others."""
    return [Fraction(int(nth == 0)) for nth in range(len(touches))]


def credits(touches: Sequence[Touch], params: Mapping[str, Any]) -> dict[str, Fraction]:
    """Return each channel's credit, for the touches of a journey in order; the split itself runs in SQL."""
    return by_channel(touches, weights(touches, params))


def statements(params: Mapping[str, Any]) -> list[str]:
    """Return the SQL files that make the credits, innermost first."""
    return [*journey_statements(params), "first_touch"]
