"""markov_path: credit by what each channel is worth in a Markov chain trained on the tenant's own journeys.

Formula: each touch weighs share_j of its channel j, from a trained `markov_global` of order 1 to 3 (Anderl, Becker,
Wangenheim, Schumann 2016, "Mapping the customer journey"), divided by the sum over the journey's touches. When no
channel of the journey has a share, because it was never seen in training or is worth nothing, all touches weigh the
same. The shares are trained once, and stored with the version: it gives the same credits for ever. Source: the paper,
as in the formula book of this project. No touch: the fallback channel has 1.

Worked example: shares email 0.5, organic 0.3, direct 0.2; a journey email, direct, direct with a sale of 100.00. The
touches weigh 0.5, 0.2 and 0.2, so email has 5/9 and direct 4/9.

>>> shares = {"email": "0.5", "organic": "0.3", "direct": "0.2"}
>>> params = check({"order": 1, "shares": shares}, ["direct", "email", "organic"])
>>> largest_remainder(10_000, credits([Touch("email"), Touch("direct"), Touch("direct")], params))
{'email': 5556, 'direct': 4444}
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from typing import Any

from skeldir_huey.attribution.journeys import journey_statements, journey_values
from skeldir_huey.attribution.models.touches import Touch, by_channel, check_touches
from skeldir_huey.attribution.params import check_whole
from skeldir_huey.errors import InputError
from skeldir_huey.money import largest_remainder

__all__ = ["check", "credits", "largest_remainder", "statements", "values", "weights"]

_SHARE = re.compile(r"[01](\.[0-9]{1,15})?")
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")


def check(params: Mapping[str, Any], channels: Collection[str]) -> dict[str, Any]:
    """Return the parameters as they are stored: those of `params.check_journey`, order, shares, first_day, last_day.

    Args:
        params: order: 1 to 3, of the chain that the shares come from. shares: channel -> decimal text of at most 15
            digits after the point, zero or more, summing to exactly 1. first_day, last_day: the days trained on, or
            None when the shares come from elsewhere.

    Raises:
        InputError: a parameter is unknown, missing or out of its range.
    """
    checked = check_touches(params, ("order", "shares", "first_day", "last_day"))
    order = check_whole(params, "order", 1, 3)
    shares = params.get("shares")
    if not isinstance(shares, Mapping) or not shares:
        raise InputError("params.shares", "expected trained shares: channel -> decimal text; train a version first")
    for channel, share in shares.items():
        if channel not in channels:
            raise InputError("params.shares", f"unknown channel {channel!r}; known are: {', '.join(sorted(channels))}")
        if not isinstance(share, str) or not _SHARE.fullmatch(share):
            raise InputError("params.shares", f"expected decimal text such as 0.25 for {channel}, got {share!r}")
    if sum(map(Decimal, shares.values())) != 1:
        raise InputError("params.shares", f"sum to {sum(map(Decimal, shares.values()))}, not to 1")
    for name in ("first_day", "last_day"):
        day = params.get(name)
        if day is not None and not (isinstance(day, str) and _DAY.fullmatch(day)):
            raise InputError(f"params.{name}", f"expected a day such as 2025-06-01, got {day!r}")
    return checked | {
        "order": order,
        "shares": {channel: f"{Decimal(shares[channel]):.15f}" for channel in sorted(shares)},
        "first_day": params.get("first_day"),
        "last_day": params.get("last_day"),
    }


def weights(touches: Sequence[Touch], params: Mapping[str, Any]) -> list[Fraction]:
    """Return each touch's weight."""
    found = [Fraction(params["shares"].get(touch.channel, "0")) for touch in touches]
    return found if any(found) else [Fraction(1) for _ in touches]


def credits(touches: Sequence[Touch], params: Mapping[str, Any]) -> dict[str, Fraction]:
    """Return each channel's credit, for the touches of a journey in order; the split itself runs in SQL."""
    return by_channel(touches, weights(touches, params))


def statements(params: Mapping[str, Any]) -> list[str]:
    """Return the SQL files that make the credits, innermost first."""
    return [*journey_statements(params), "markov_path"]


def values(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of those files."""
    shares = params["shares"]
    return journey_values(params) | {"share_channels": list(shares), "shares": [Decimal(x) for x in shares.values()]}
