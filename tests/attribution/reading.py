"""The formula book read word by word, slowly, in plain Python: what the SQL must agree with."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction


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


def touches_of(sale: Seen, events: list[Seen], lookback_s: int, dedupe: str, repeat: str) -> list[str]:
    """Return the channels of the touches that count for a conversion, in order."""
    own = sorted((event for event in events if event.journey == sale.journey), key=lambda event: (event.at, event.seq))
    touches = [e for e in own if e.kind == "touch" and sale.at - lookback_s <= e.at <= sale.at]
    if repeat == "reset":
        earlier = [e for e in own if e.kind == "conversion" and (e.at, e.seq) < (sale.at, sale.seq)]
        if earlier:
            last = earlier[-1]
            touches = [e for e in touches if (e.at, e.seq) > (last.at, last.seq)]
    kept: list[str] = []
    for touch in touches:
        if dedupe == "consecutive" and kept and kept[-1] == touch.channel:
            continue
        if dedupe == "unique" and touch.channel in kept:
            continue
        kept.append(touch.channel)
    return kept


def linear(
    events: list[Seen], lookback_s: int, dedupe: str = "none", repeat: str = "window"
) -> dict[int, dict[str, tuple[int, int, bool]]]:
    """Return, by the conversion's seq, channel -> (cents, ratio in units of 10^-10, is fallback)."""
    result = {}
    for sale in events:
        if sale.kind != "conversion":
            continue
        channels = touches_of(sale, events, lookback_s, dedupe, repeat)
        is_fallback = not channels
        if is_fallback:
            channels = [sale.channel if sale.channel != "unknown" else "direct"]
        credit = {channel: Fraction(channels.count(channel), len(channels)) for channel in channels}
        cents, ratio = split(sale.cents, credit), split(10**10, credit)
        result[sale.seq] = {channel: (cents[channel], ratio[channel], is_fallback) for channel in credit}
    return result
