"""position_based: most credit to the touches that began and ended the journey.

Formula: a (first), b (middle) and c (last) are whole numbers; one touch has 1; of two, the first has a/(a+c) and the
last c/(a+c), or 1/2 each when a + c = 0; of three and more, the first has a, the last c, and those between share b
equally, all divided by a + b + c. Presets: u 40/20/40, j 20/20/60, inverse_j 60/20/20. Source: the "U-shaped" and
"J-shaped" rules of web analytics, as in the formula book of this project. No touch: the fallback channel has 1.

Worked example: organic, email, referral, direct before a sale of 100.00, preset u. Organic and direct have 40 % each,
email and referral half of 20 % each.

>>> touches = [Touch("organic"), Touch("email"), Touch("referral"), Touch("direct")]
>>> largest_remainder(10_000, credits(touches, check({"preset": "u"}, [])))
{'organic': 4000, 'email': 1000, 'referral': 1000, 'direct': 4000}
>>> credits(touches[:2], check({"preset": "j"}, []))
{'organic': Fraction(1, 4), 'email': Fraction(3, 4)}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any

from skeldir_huey.attribution.journeys import journey_statements, journey_values
from skeldir_huey.attribution.models.touches import Touch, by_channel, check_touches
from skeldir_huey.attribution.params import check_whole
from skeldir_huey.errors import InputError
from skeldir_huey.money import largest_remainder

__all__ = ["PRESETS", "check", "credits", "largest_remainder", "statements", "values", "weights"]

PARTS = ("first", "middle", "last")
PRESETS = {"u": (40, 20, 40), "j": (20, 20, 60), "inverse_j": (60, 20, 20)}
_MOST = 1_000_000


def check(params: Mapping[str, Any], channels: Collection[str]) -> dict[str, Any]:
    """Return the parameters as they are stored: those of `params.check_journey`, and first, middle, last.

    Args:
        params: either a `preset` (u, which is the default, j or inverse_j) or all of `first`, `middle` and `last`:
            whole numbers from 0 to 1,000,000, not all 0. Only their proportions matter.

    Raises:
        InputError: a parameter is unknown or out of its range.
    """
    checked = check_touches(params, ("preset", *PARTS))
    if any(part in params for part in PARTS):
        if "preset" in params:
            raise InputError("params.preset", "give either a preset or first, middle and last, not both")
        parts = tuple(check_whole(params, part, 0, _MOST) for part in PARTS)
        # Middle alone may be 0, but a journey of three touches must have somewhere to put its credit.
        if sum(parts) == 0:
            raise InputError("params.first", "first, middle and last are all 0")
    else:
        preset = params.get("preset", "u")
        if not isinstance(preset, str) or preset not in PRESETS:
            raise InputError("params.preset", f"expected one of {', '.join(PRESETS)}, got {preset!r}")
        parts = PRESETS[preset]
    return checked | dict(zip(PARTS, parts, strict=True))


def weights(touches: Sequence[Touch], params: Mapping[str, Any]) -> list[Fraction]:
    """Return each touch's weight."""
    first, middle, last = (Fraction(params[part]) for part in PARTS)
    if len(touches) == 1 or (len(touches) == 2 and first + last == 0):
        return [Fraction(1) for _ in touches]
    if len(touches) == 2:
        return [first, last]
    between = len(touches) - 2
    return [first, *[middle / between] * between, last]


def credits(touches: Sequence[Touch], params: Mapping[str, Any]) -> dict[str, Fraction]:
    """Return each channel's credit, for the touches of a journey in order; the split itself runs in SQL."""
    return by_channel(touches, weights(touches, params))


def statements(params: Mapping[str, Any]) -> list[str]:
    """Return the SQL files that make the credits, innermost first."""
    return [*journey_statements(params), "position_based"]


def values(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of those files."""
    return journey_values(params) | {part: params[part] for part in PARTS}
