"""Cents per channel under `linear`, from the CSV file alone: plain, slow Python that shares nothing with the product.

    python tests/attribution/reference_linear.py FILE LABEL=CODE,LABEL=CODE,... CENTS

Columns as in the public sample: User_ID_Anon, Timestamp, Channel, Conversion_Flag. A flagged row is a touch at which
a conversion happened too. Each conversion is worth CENTS; its touches are those of the user in the 30 days up to it,
itself included; each touch has 1/n; cents by largest remainder per conversion, ties by the channel's code.
"""

from __future__ import annotations

import csv
import sys
from datetime import datetime, timedelta
from fractions import Fraction


def cents_per_channel(path: str, channels: dict[str, str], cents: int) -> dict[str, int]:
    """Return channel code -> cents, over all conversions of the file."""
    journeys: dict[str, list[tuple[datetime, str, bool]]] = {}
    with open(path, newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            at = datetime.fromisoformat(row["Timestamp"])
            touch = (at, channels.get(row["Channel"], "unknown"), row["Conversion_Flag"] == "1")
            journeys.setdefault(row["User_ID_Anon"], []).append(touch)
    totals: dict[str, int] = {}
    for touches in journeys.values():
        for sold_at, _, is_sale in touches:
            if not is_sale:
                continue
            seen = [channel for at, channel, _ in touches if sold_at - timedelta(days=30) <= at <= sold_at]
            exact = {channel: Fraction(cents * seen.count(channel), len(seen)) for channel in seen}
            share = {channel: value.numerator // value.denominator for channel, value in exact.items()}
            by_rest = sorted(exact, key=lambda channel: (share[channel] - exact[channel], channel))
            for channel in by_rest[: cents - sum(share.values())]:
                share[channel] += 1
            for channel, part in share.items():
                totals[channel] = totals.get(channel, 0) + part
    return dict(sorted(totals.items()))


if __name__ == "__main__":
    given = dict(pair.split("=") for pair in sys.argv[2].split(","))
    for code, part in cents_per_channel(sys.argv[1], given, int(sys.argv[3])).items():
        print(f"{code} {part}")  # noqa: T201
