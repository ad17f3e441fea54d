"""Checks of model parameters that several models share. Each refusal names the field as the user wrote it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from skeldir_huey.errors import InputError

LOOKBACK_S = 30 * 86_400
MIN_LOOKBACK_S = 60
MAX_LOOKBACK_S = 90 * 86_400

JOURNEY_PARAMS = ("lookback_s", "dedupe", "repeat", "fallback")
DEDUPE = ("none", "consecutive", "unique")
REPEAT = ("window", "reset")
FALLBACK = ("own", "direct", "unknown")


def check_names(params: Mapping[str, Any], known: Collection[str]) -> None:
    """Refuse parameters that the model does not have.

    Raises:
        InputError: names the first unknown one.
    """
    for name in sorted(params):
        if name not in known:
            raise InputError(f"params.{name}", f"unknown; this model has: {', '.join(sorted(known))}")


def check_journey(params: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters that say which touches count, defaults filled in.

    Args:
        params: lookback_s: seconds before the conversion, 60 to 7,776,000, default 2,592,000 (30 days). dedupe: none
            (default, each touch counts), consecutive (A A B -> A B) or unique (first of each channel). repeat: window
            (default, each conversion sees all touches of its lookback) or reset (only touches after the previous
            conversion of the journey). fallback: who has the credit of a conversion without touch: own (default, its
            own channel if real, else direct when the session is known, else unknown), direct (when the session is
            known, else unknown) or unknown.

    Raises:
        InputError: one of them is something else.
    """
    lookback_s = params.get("lookback_s", LOOKBACK_S)
    if not isinstance(lookback_s, int) or isinstance(lookback_s, bool):
        raise InputError("params.lookback_s", f"expected whole seconds, got {lookback_s!r}")
    if not MIN_LOOKBACK_S <= lookback_s <= MAX_LOOKBACK_S:
        raise InputError(
            "params.lookback_s",
            f"expected {MIN_LOOKBACK_S} (1 minute) to {MAX_LOOKBACK_S} (90 days) seconds, got {lookback_s}",
        )
    return {
        "lookback_s": lookback_s,
        "dedupe": _choice(params, "dedupe", DEDUPE),
        "repeat": _choice(params, "repeat", REPEAT),
        "fallback": _choice(params, "fallback", FALLBACK),
    }


def check_channels(params: Mapping[str, Any], known: Collection[str]) -> list[str]:
    """Return the channel list of a model, in C collation.

    Raises:
        InputError: it is missing, empty or no list, a channel is unknown, or one stands there twice.
    """
    channels = params.get("channels")
    if not isinstance(channels, list | tuple) or not channels:
        raise InputError("params.channels", f"expected a list of at least one channel code, got {channels!r}")
    for channel in channels:
        if not isinstance(channel, str) or channel not in known:
            raise InputError("params.channels", f"unknown channel {channel!r}; known are: {', '.join(sorted(known))}")
    if len(set(channels)) < len(channels):
        raise InputError("params.channels", "a channel stands there twice")
    return sorted(channels)


def check_whole(params: Mapping[str, Any], name: str, low: int, high: int, default: int | None = None) -> int:
    """Return a whole number from low to high.

    Raises:
        InputError: it is none, or is missing and has no default.
    """
    value = params.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(f"params.{name}", f"expected a whole number from {low} to {high}, got {value!r}")
    return value


def _choice(params: Mapping[str, Any], name: str, choices: tuple[str, ...]) -> str:
    value = params.get(name, choices[0])
    if value not in choices:
        raise InputError(f"params.{name}", f"expected one of {', '.join(choices)}, got {value!r}")
    return str(value)
