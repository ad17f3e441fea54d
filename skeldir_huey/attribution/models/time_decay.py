"""time_decay: the closer to the newest touch, the more credit.

Formula: touch i at time t_i weighs 2^(-(t_n - t_i) / h), where t_n is the newest touch of the journey and h the
half-life; divided by the sum of all weights. Relative to the newest touch, because the same formula relative to the
sale gives the same credits but runs out of digits for short half-lives. Weights have 15 decimals before cents are
made; what is smaller than half of the last has no credit. Source: the exponential "time decay" rule of web analytics,
as in the formula book of this project. No touch: the fallback channel has 1.

Worked example: email, then organic 7 days later, then direct another 7 days later, with a half-life of 7 days: weights
1/4, 1/2 and 1, so of 100.00 direct has 4/7.

>>> day = 86_400 * 1_000_000
>>> touches = [Touch("email", 0), Touch("organic", 7 * day), Touch("direct", 14 * day)]
>>> largest_remainder(10_000, credits(touches, check({}, [])))
{'email': 1429, 'organic': 2857, 'direct': 5714}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from decimal import ROUND_HALF_UP, Decimal, localcontext
from fractions import Fraction
from typing import Any

from skeldir_huey.attribution.journeys import journey_statements, journey_values
from skeldir_huey.attribution.models.touches import Touch, by_channel, check_touches
from skeldir_huey.attribution.params import check_whole
from skeldir_huey.money import largest_remainder

__all__ = ["check", "credits", "largest_remainder", "statements", "values", "weights"]

HALF_LIFE_S = 7 * 86_400
MAX_HALF_LIFE_S = 3650 * 86_400


def check(params: Mapping[str, Any], channels: Collection[str]) -> dict[str, Any]:
    """Return the parameters as they are stored: those of `params.check_journey`, and half_life_s.

    Args:
        params: half_life_s: whole seconds, 1 to 315,360,000 (10 years), default 604,800 (7 days).

    Raises:
        InputError: a parameter is unknown or out of its range.
    """
    checked = check_touches(params, ("half_life_s",))
    return checked | {"half_life_s": check_whole(params, "half_life_s", 1, MAX_HALF_LIFE_S, HALF_LIFE_S)}


def weights(touches: Sequence[Touch], params: Mapping[str, Any]) -> list[Fraction]:
    """Return each touch's weight, rounded to 15 decimals as the SQL does."""
    newest = max(touch.at_us for touch in touches)
    with localcontext(prec=60, rounding=ROUND_HALF_UP):
        half_lives = [
            (Decimal(newest - touch.at_us) / (params["half_life_s"] * 1_000_000)).quantize(Decimal("1e-20"))
            for touch in touches
        ]
        exact = [Decimal(2) ** -age if age <= 60 else Decimal(0) for age in half_lives]
        return [Fraction(weight.quantize(Decimal("1e-15"))) for weight in exact]


def credits(touches: Sequence[Touch], params: Mapping[str, Any]) -> dict[str, Fraction]:
    """Return each channel's credit, for the touches of a journey in order; the split itself runs in SQL."""
    return by_channel(touches, weights(touches, params))


def statements(params: Mapping[str, Any]) -> list[str]:
    """Return the SQL files that make the credits, innermost first."""
    return [*journey_statements(params), "time_decay"]


def values(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of those files."""
    return journey_values(params) | {"half_life_s": params["half_life_s"]}
