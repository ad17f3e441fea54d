"""What the models of touches have in common: their journey's parameters, and how a journey's touches are described."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from skeldir_huey.attribution.journeys import journey_values
from skeldir_huey.attribution.params import JOURNEY_PARAMS, check_journey, check_names


@dataclass(frozen=True)
class Touch:
    """A touch that counts for a conversion.

    Args:
        channel: its code.
        at_us: when, in microseconds since any fixed moment.
    """

    channel: str
    at_us: int = 0


def check_touches(params: Mapping[str, Any], own: Sequence[str] = ()) -> dict[str, Any]:
    """Return the parameters that say which touches count; those called `own` are left to the model.

    Raises:
        InputError: a parameter is unknown or out of its range.
    """
    check_names(params, (*JOURNEY_PARAMS, *own))
    return check_journey(params)


def values(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of the statements that find the touches."""
    return journey_values(params)


def by_channel(touches: Sequence[Touch], weights: Sequence[Fraction]) -> dict[str, Fraction]:
    """Return each channel's credit, in the order of the journey; channels without credit are left out."""
    credit: dict[str, Fraction] = {}
    whole = sum(weights)
    for touch, weight in zip(touches, weights, strict=True):
        if weight > 0:
            credit[touch.channel] = credit.get(touch.channel, Fraction(0)) + weight / whole
    return credit
