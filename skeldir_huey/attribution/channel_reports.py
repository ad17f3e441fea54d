"""Channel reports: what each channel is worth over all journeys of a window. Never rows of events, never money.

markov_global: share_j = RE_j / sum RE, RE_j the removal effect of a Markov chain, see `attribution.chain`.
shapley_set: each converting journey gives 1/m to each of its m distinct channels; share_j = its part of the sum. That
is the exact Shapley value of the game "a journey converts if and only if all of its channels are kept".
Intervals: 95 % by bootstrap: journeys are drawn anew with replacement, which is one multinomial draw over the distinct
paths and their outcomes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import numpy as np
from numpy.typing import NDArray
from sqlalchemy.engine import Connection

from skeldir_huey.attribution.chain import Chain, Floats
from skeldir_huey.attribution.params import DEDUPE
from skeldir_huey.attribution.paths import PathCount, read_paths
from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.errors import InputError, NoResult

DRAWS = 300
SEED = 20250601
DIGITS = 15

# Effects (None where there are none) and their shares, by weights of converting and lost journeys per path.
Measure = Callable[[Floats, Floats], "tuple[Floats | None, Floats] | None"]


@dataclass(frozen=True)
class ChannelShare:
    """A channel's part of all conversions: 0 to 1, with 15 decimals; all shares of a report sum to exactly 1.

    Args:
        removal_effect: which part of conversions is lost without it; None where the report knows none.
        low, high: 95 % interval of the share.
    """

    channel: str
    removal_effect: Decimal | None
    share: Decimal
    low: Decimal
    high: Decimal


@dataclass(frozen=True)
class ChannelReport:
    """A channel report.

    Args:
        report_type: markov_global or shapley_set.
        order: of the chain; None for shapley_set.
        seed, draw_count: of the bootstrap. kept_draw_count: how many draws had a result.
        shares: by channel in C collation.
    """

    report_type: str
    order: int | None
    conversion_count: int
    null_count: int
    seed: int
    draw_count: int
    kept_draw_count: int
    shares: list[ChannelShare]


def markov_global(paths: Sequence[PathCount], order: int = 1, *, draws: int = DRAWS, seed: int = SEED) -> ChannelReport:
    """Return what each channel is worth by its removal effect.

    Raises:
        InputError: the order is not 1, 2 or 3, or `draws` is below 0.
        NoResult: no path, none converted, or no removal matters.
    """
    if order not in (1, 2, 3) or isinstance(order, bool):
        raise InputError("order", f"expected 1, 2 or 3, got {order!r}")
    _check_paths(paths)
    chain = Chain(paths, order)

    def measure(conversions: Floats, nulls: Floats) -> tuple[Floats, Floats] | None:
        effects = chain.removal_effects(conversions, nulls)
        if effects is None or effects.sum() <= 0:
            return None
        return effects, effects / effects.sum()

    return _report("markov_global", order, paths, chain.channels, measure, draws, seed)


def shapley_set(paths: Sequence[PathCount], *, draws: int = DRAWS, seed: int = SEED) -> ChannelReport:
    """Return what each channel is worth when each converting journey is shared equally by its distinct channels.

    Raises:
        InputError: `draws` is below 0.
        NoResult: no path, or none converted.
    """
    _check_paths(paths)
    channels = sorted({channel for path in paths for channel in path.channels})
    credit = np.array([[(c in path.channels) / len(set(path.channels)) for c in channels] for path in paths])

    def measure(conversions: Floats, nulls: Floats) -> tuple[None, Floats] | None:
        return (None, conversions @ credit / conversions.sum()) if conversions.any() else None

    return _report("shapley_set", None, paths, channels, measure, draws, seed)


def make_report(
    connection: Connection,
    tenant_id: UUID,
    report_type: str,
    first_day: date,
    last_day: date,
    *,
    order: int = 1,
    dedupe: str = "none",
    draws: int = DRAWS,
    seed: int = SEED,
) -> tuple[UUID, ChannelReport]:
    """Make a report of the stored path counts and keep it, one row per channel.

    Args:
        connection: a transaction of the tenant, as app_user.
        report_type: markov_global or shapley_set, which has no order.
        first_day, last_day: both included.

    Returns:
        the report's id and the report.

    Raises:
        InputError: names the field that is wrong.
        NoResult: these days have no paths, or none that converted.
    """
    if report_type not in ("markov_global", "shapley_set"):
        raise InputError("report_type", f"expected markov_global or shapley_set, got {report_type!r}")
    if dedupe not in DEDUPE:
        raise InputError("dedupe", f"expected one of {', '.join(DEDUPE)}, got {dedupe!r}")
    paths = read_paths(connection, tenant_id, first_day, last_day, dedupe)
    if report_type == "markov_global":
        report = markov_global(paths, order, draws=draws, seed=seed)
    else:
        report = shapley_set(paths, draws=draws, seed=seed)
    report_id = uuid4()
    values: dict[str, Any] = {
        "tenant_id": tenant_id,
        "report_id": report_id,
        "report_type": report_type,
        "chain_order": report.order,
        "dedupe": dedupe,
        "first_day": first_day,
        "last_day": last_day,
        "conversion_count": report.conversion_count,
        "null_count": report.null_count,
        "seed": seed,
        "draw_count": draws,
        "kept_draw_count": report.kept_draw_count,
        "channels": [row.channel for row in report.shares],
        "removal_effects": [row.removal_effect for row in report.shares],
        "shares": [row.share for row in report.shares],
        "lows": [row.low for row in report.shares],
        "highs": [row.high for row in report.shares],
    }
    rows(connection, sql("attribution", "add_channel_report"), values)
    return report_id, report


def _check_paths(paths: Sequence[PathCount]) -> None:
    if not paths:
        raise NoResult("no journey in these days: choose others, in which there were touches")
    if not any(path.conversion_count for path in paths):
        raise NoResult("no journey of these days converted (P = 0), so no channel has a share")


def _report(
    report_type: str,
    order: int | None,
    paths: Sequence[PathCount],
    channels: Sequence[str],
    measure: Measure,
    draws: int,
    seed: int,
) -> ChannelReport:
    if draws < 0:
        raise InputError("draws", f"expected 0 or more, got {draws}")
    conversions = np.array([path.conversion_count for path in paths], dtype=np.float64)
    nulls = np.array([path.null_count for path in paths], dtype=np.float64)
    found = measure(conversions, nulls)
    if found is None:
        raise NoResult("removing any channel changes nothing (all removal effects are 0), so no channel has a share")
    effects, shares = found
    measured = [measure(*draw) for draw in draw_paths(conversions, nulls, draws, seed)]
    drawn = [both[1] for both in measured if both is not None]
    low, high = np.percentile(drawn, (2.5, 97.5), axis=0) if drawn else (shares, shares)
    exact = _exact(shares)
    return ChannelReport(
        report_type=report_type,
        order=order,
        conversion_count=int(conversions.sum()),
        null_count=int(nulls.sum()),
        seed=seed,
        draw_count=draws,
        kept_draw_count=len(drawn),
        shares=[
            ChannelShare(
                channel,
                None if effects is None else _decimal(effects[nth]),
                exact[nth],
                _decimal(low[nth]),
                _decimal(high[nth]),
            )
            for nth, channel in enumerate(channels)
        ],
    )


def draw_paths(conversions: Floats, nulls: Floats, draws: int, seed: int) -> Iterator[tuple[Floats, Floats]]:
    """Give draws of as many journeys as there are, by multinomial over distinct paths and outcomes, from a seed."""
    random = np.random.Generator(np.random.PCG64(seed))
    counts = np.r_[conversions, nulls].astype(np.int64)
    journeys = np.repeat(np.arange(len(counts)), counts) if counts.sum() <= 8 * len(counts) else None
    for _ in range(draws):
        drawn = _draw(random, counts, journeys).astype(np.float64)
        yield drawn[: len(conversions)], drawn[len(conversions) :]


def _draw(
    random: np.random.Generator, counts: NDArray[np.int64], journeys: NDArray[np.int64] | None
) -> NDArray[np.int64]:
    total = int(counts.sum())
    if journeys is None:
        return random.multinomial(total, counts / total)
    # The same distribution, and faster for many rare paths: draw journeys, and count their paths.
    return np.bincount(journeys[random.integers(0, total, total)], minlength=len(counts))


def _decimal(value: float) -> Decimal:
    return Decimal(f"{value:.{DIGITS}f}")


def _exact(shares: Floats) -> list[Decimal]:
    """Return the shares with 15 decimals, summing to exactly 1: what rounding leaves goes to the largest."""
    rounded = [_decimal(share) for share in shares]
    largest = int(np.argmax(shares))
    rounded[largest] += 1 - sum(rounded)
    return rounded
