"""The formula book read word by word, slowly, in plain Python: what the SQL must agree with."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, getcontext, localcontext
from fractions import Fraction
from typing import Any


@dataclass(frozen=True)
class Seen:
    """An event: seconds since some start, order of ingest, whose journey, and what."""

    at: int
    seq: int
    journey: str
    kind: str
    channel: str
    cents: int = 0


def split(total: int, credit: dict[str, Fraction]) -> dict[str, int]:
    """Largest remainder, one unit at a time."""
    shares = {channel: (total * part).__floor__() for channel, part in credit.items()}
    waiting = sorted(credit, key=lambda channel: (-(total * credit[channel] - shares[channel]), channel))
    while sum(shares.values()) < total:
        shares[waiting.pop(0)] += 1
    return shares


def touches_of(sale: Seen, events: list[Seen], lookback_s: int, dedupe: str, repeat: str) -> list[Seen]:
    """Return the touches that count for a conversion, in order."""
    own = sorted((event for event in events if event.journey == sale.journey), key=lambda event: (event.at, event.seq))
    touches = [e for e in own if e.kind == "touch" and sale.at - lookback_s <= e.at <= sale.at]
    if repeat == "reset":
        earlier = [e for e in own if e.kind == "conversion" and (e.at, e.seq) < (sale.at, sale.seq)]
        if earlier:
            last = earlier[-1]
            touches = [e for e in touches if (e.at, e.seq) > (last.at, last.seq)]
    kept: list[Seen] = []
    for touch in touches:
        if dedupe == "consecutive" and kept and kept[-1].channel == touch.channel:
            continue
        if dedupe == "unique" and touch.channel in [other.channel for other in kept]:
            continue
        kept.append(touch)
    return kept


def touch_credits(model: str, touches: list[Seen], params: dict[str, Any]) -> list[Fraction]:
    """Return the credit of each touch of a journey that has one at least."""
    n = len(touches)
    credit = [Fraction(0)] * n
    if model == "first_touch":
        credit[0] = Fraction(1)
    elif model == "last_touch":
        credit[-1] = Fraction(1)
    elif model == "last_non_direct":
        real = [i for i in range(n) if touches[i].channel != "direct"]
        credit[real[-1] if real else n - 1] = Fraction(1)
    elif model == "linear":
        credit = [Fraction(1, n)] * n
    elif model == "position_based":
        a, b, c = (Fraction(params[part]) for part in ("first", "middle", "last"))
        if n == 1:
            credit = [Fraction(1)]
        elif n == 2:
            credit = [a / (a + c), c / (a + c)] if a + c else [Fraction(1, 2)] * 2
        else:
            credit = [part / (a + b + c) for part in (a, *[b / (n - 2)] * (n - 2), c)]
    elif model == "time_decay":
        weight = [half_to(Fraction(touches[-1].at - touch.at, params["half_life_s"])) for touch in touches]
        whole = sum(weight)
        credit = [part / whole for part in weight]
    elif model == "shapley_set":
        channels = [touch.channel for touch in touches]
        m = len(set(channels))
        credit = [Fraction(1, m) if channels.index(channel) == i else Fraction(0) for i, channel in enumerate(channels)]
    elif model == "markov_path":
        share = [Fraction(params["shares"].get(touch.channel, 0)) for touch in touches]
        total = sum(share)
        credit = [part / total for part in share] if total else [Fraction(1, n)] * n
    else:
        raise ValueError(model)
    return credit


def half_to(age: Fraction) -> Fraction:
    """Return 2^-age to 15 decimals."""
    with localcontext(prec=80):
        getcontext().rounding = ROUND_HALF_UP
        power = (-(Decimal(age.numerator) / age.denominator) * Decimal(2).ln()).exp()
        return Fraction(power.quantize(Decimal("1e-15")))


def allocate(
    model: str,
    events: list[Seen],
    params: dict[str, Any],
    lookback_s: int,
    dedupe: str = "none",
    repeat: str = "window",
    fallback: str = "own",
) -> dict[int, dict[str, tuple[int, int, bool]]]:
    """Return, by the conversion's seq, channel -> (cents, ratio in units of 10^-10, is fallback)."""
    result = {}
    for sale in events:
        if sale.kind != "conversion":
            continue
        credit: dict[str, Fraction] = {}
        touches = touches_of(sale, events, lookback_s, dedupe, repeat)
        if model == "even_split":
            credit = {channel: Fraction(1, len(params["channels"])) for channel in params["channels"]}
        elif touches:
            for touch, part in zip(touches, touch_credits(model, touches, params), strict=True):
                if part:
                    credit[touch.channel] = credit.get(touch.channel, Fraction(0)) + part
        else:
            own = sale.channel if sale.channel != "unknown" else "direct"
            credit = {{"own": own, "direct": "direct", "unknown": "unknown"}[fallback]: Fraction(1)}
        assert sum(credit.values()) == 1
        cents, ratio = split(sale.cents, credit), split(10**10, credit)
        is_fallback = not touches and model != "even_split"
        result[sale.seq] = {channel: (cents[channel], ratio[channel], is_fallback) for channel in credit}
    return result
