"""even_split: equal credit to each channel of a fixed list, whatever the journey was.

Formula: credit(channel) = 1 / m for each of the m channels of `params.channels`; the journey is not looked at, so there
is no fallback. Source: the deterministic baseline of the original Skeldir, version 1.0.0.

Worked example: a sale of 100.00 over direct, email and google_search_paid. Each has 1/3; the odd cent goes to the first
of the equal remainders in C collation, direct.

>>> params = check({"channels": ["google_search_paid", "direct", "email"]}, ["direct", "email", "google_search_paid"])
>>> largest_remainder(10_000, credits([], params))
{'direct': 3334, 'email': 3333, 'google_search_paid': 3333}
>>> largest_remainder(15_000, credits([], params))
{'direct': 5000, 'email': 5000, 'google_search_paid': 5000}
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from fractions import Fraction
from typing import Any

from skeldir_huey.attribution.models.touches import Touch
from skeldir_huey.attribution.params import check_channels, check_names
from skeldir_huey.money import largest_remainder

__all__ = ["check", "credits", "largest_remainder", "statements", "values", "weights"]


def check(params: Mapping[str, Any], channels: Collection[str]) -> dict[str, Any]:
    """Return the parameters as they are stored: `channels`, sorted.

    Raises:
        InputError: a parameter is unknown, or the list is empty or holds an unknown channel.
    """
    check_names(params, ("channels",))
    return {"channels": check_channels(params, channels)}


def weights(touches: Sequence[Touch], params: Mapping[str, Any]) -> list[Fraction]:
    """Return 0 for each touch: it does not matter here."""
    return [Fraction(0) for _ in touches]


def credits(touches: Sequence[Touch], params: Mapping[str, Any]) -> dict[str, Fraction]:
    """Return each channel's credit; the split itself runs in SQL."""
    return {channel: Fraction(1, len(params["channels"])) for channel in params["channels"]}


def statements(params: Mapping[str, Any]) -> list[str]:
    """Return the SQL files that make the credits, innermost first."""
    return ["even_split"]


def values(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of those files."""
    return {"channels": list(params["channels"])}
