"""Channel reports against slow, independent ways to the same numbers: all subsets, plain sums, and a simulation."""

from __future__ import annotations

import random
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from itertools import combinations, pairwise
from math import factorial

import numpy as np
import pytest

from skeldir_huey.attribution.chain import Chain
from skeldir_huey.attribution.channel_reports import draw_paths, markov_global, shapley_set
from skeldir_huey.attribution.paths import PathCount, deduped
from skeldir_huey.errors import InputError, NoResult

CHANNELS = ["direct", "email", "facebook_paid", "organic", "referral", "tiktok_paid"]


def some_paths(seed: int, journeys: int = 400) -> list[PathCount]:
    chance = random.Random(seed)
    seen: dict[tuple[str, ...], list[int]] = {}
    for _ in range(journeys):
        path = tuple(chance.choices(CHANNELS, (6, 5, 4, 3, 2, 1), k=chance.choice((1, 1, 2, 3, 4, 7))))
        seen.setdefault(path, [0, 0])[chance.random() < 0.7 - 0.2 * ("email" in path)] += 1
    return [PathCount(path, *counts) for path, counts in sorted(seen.items())]


def counts(paths: list[PathCount]) -> tuple[np.ndarray, np.ndarray]:
    return np.array([p.conversion_count for p in paths], float), np.array([p.null_count for p in paths], float)


# --- the paper's sentences in plain Python -------------------------------------------------------------------------


def transitions(paths: list[PathCount], order: int) -> dict[object, Counter[object]]:
    table: dict[object, Counter[object]] = {}
    for path in paths:
        grams = [path.channels[i : i + order] for i in range(max(1, len(path.channels) - order + 1))]
        for end, count in (("CONV", path.conversion_count), ("NULL", path.null_count)):
            if count:
                walk = ["START", *grams, end]
                for here, there in pairwise(walk):
                    table.setdefault(here, Counter())[there] += count
    return table


def probability(table: dict[object, Counter[object]], removed: str | None = None) -> float:
    """P(CONV | START) by repeating p = Q p + r until nothing moves."""
    p = dict.fromkeys(table, 0.0) | {"CONV": 1.0, "NULL": 0.0}
    while True:
        moved = 0.0
        for state, following in table.items():
            value = sum(
                n * p[to] for to, n in following.items() if not (isinstance(to, tuple) and removed in to)
            ) / sum(following.values())
            moved, p[state] = max(moved, abs(value - p[state])), value
        if moved < 1e-15:
            return p["START"]


def simulated(table: dict[object, Counter[object]], removed: str | None, walks: int) -> float:
    chance, converted = random.Random(7), 0
    choices = {state: (list(following), list(following.values())) for state, following in table.items()}
    for _ in range(walks):
        state: object = "START"
        while state not in ("CONV", "NULL"):
            state = chance.choices(*choices[state])[0]
            if removed is not None and isinstance(state, tuple) and removed in state:
                state = "NULL"
        converted += state == "CONV"
    return converted / walks


# --------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("seed", [1, 2])
def test_chain_is_the_papers(seed: int, order: int) -> None:
    paths = some_paths(seed)
    table, chain = transitions(paths, order), Chain(paths, order)
    assert chain.channels == CHANNELS
    raw = sum(p.conversion_count for p in paths) / sum(p.conversion_count + p.null_count for p in paths)
    assert chain.conversion_probability(*counts(paths)) == pytest.approx(raw, abs=1e-12)
    effects = {}
    for channel in CHANNELS:
        expected = probability(table, channel)
        assert chain.conversion_probability(*counts(paths), channel) == pytest.approx(expected, abs=1e-12)
        effects[channel] = 1 - expected / raw
    report = markov_global(paths, order, draws=0)
    for row in report.shares:
        assert float(row.removal_effect or 0) == pytest.approx(effects[row.channel], abs=1e-11)
        assert float(row.share) == pytest.approx(effects[row.channel] / sum(effects.values()), abs=1e-11)
    assert sum(row.share for row in report.shares) == 1


@pytest.mark.parametrize("order", [1, 3])
def test_chain_agrees_with_a_simulation(order: int) -> None:
    paths = some_paths(3)
    chain, table = Chain(paths, order), transitions(paths, order)
    for removed in (None, "email"):
        exact = chain.conversion_probability(*counts(paths), removed)
        # Five standard deviations of 20,000 walks.
        assert simulated(table, removed, 20_000) == pytest.approx(exact, abs=5 * (0.25 / 20_000) ** 0.5)


def test_many_states_are_solved_by_the_sparse_solver() -> None:
    paths = some_paths(4, 3_000)
    chain, table = Chain(paths, 3), transitions(paths, 3)
    assert len(table) > 200
    for removed in ("direct", "tiktok_paid"):
        found = chain.conversion_probability(*counts(paths), removed)
        assert found == pytest.approx(probability(table, removed), abs=1e-12)


def test_shapley_set_is_the_shapley_value_over_all_subsets() -> None:
    paths = some_paths(5)
    value = {
        kept: sum(p.conversion_count for p in paths if set(p.channels) <= set(kept))
        for size in range(7)
        for kept in combinations(CHANNELS, size)
    }
    n = len(CHANNELS)
    for row in shapley_set(paths, draws=0).shares:
        exact = Fraction(0)
        for kept in value:
            if row.channel not in kept:
                more = tuple(sorted((*kept, row.channel)))
                weight = Fraction(factorial(len(kept)) * factorial(n - len(kept) - 1), factorial(n))
                exact += weight * (value[more] - value[kept])
        assert float(row.share) == pytest.approx(float(exact / value[tuple(CHANNELS)]), abs=1e-12)
        assert row.removal_effect is None


def test_bootstrap_repeats_and_covers() -> None:
    paths = some_paths(6)
    first = markov_global(paths, 1, seed=11)
    assert markov_global(paths, 1, seed=11) == first
    assert markov_global(paths, 1, seed=12) != first
    assert (first.draw_count, first.kept_draw_count, first.seed) == (300, 300, 11)
    for row in (*first.shares, *shapley_set(paths).shares):
        assert Decimal(0) <= row.low < row.share < row.high <= 1
    wide = first.shares[0].high - first.shares[0].low
    many = [PathCount(p.channels, 25 * p.conversion_count, 25 * p.null_count) for p in paths]
    narrow = markov_global(many, 1).shares[0]
    assert float((narrow.high - narrow.low) / wide) == pytest.approx(1 / 5, rel=0.25)


@pytest.mark.parametrize("times", [1, 100])
def test_draws_are_multinomial(times: int) -> None:
    conversions, nulls = np.array([3.0, 0, 1]) * times, np.array([0.0, 2, 4]) * times
    drawn = [np.r_[draw] for draw in draw_paths(conversions, nulls, 2_000, 1)]
    assert {draw.sum() for draw in drawn} == {10 * times}
    expected = np.r_[conversions, nulls]
    deviation = np.sqrt(expected * (1 - expected / expected.sum()))
    assert np.all(np.abs(np.mean(drawn, axis=0) - expected) <= 5 * deviation / 2_000**0.5)
    assert np.allclose(np.std(drawn, axis=0), deviation, rtol=0.1)


def test_a_channel_without_which_nothing_converts() -> None:
    paths = [PathCount(("email",), 2, 1), PathCount(("direct",), 0, 7)]
    assert [(row.channel, row.share, row.removal_effect) for row in markov_global(paths, 2).shares] == [
        ("direct", 0, 0),
        ("email", 1, 1),
    ]


@pytest.mark.parametrize(
    ("paths", "said"),
    [([], "no journey in these days"), ([PathCount(("email", "direct"), 0, 5)], r"P = 0")],
)
def test_no_result_is_said(paths: list[PathCount], said: str) -> None:
    for make in (markov_global, shapley_set):
        with pytest.raises(NoResult, match=said):
            make(paths)


@pytest.mark.parametrize("order", [0, 4, 1.5, True])
def test_order_outside_1_to_3_is_refused(order: int) -> None:
    with pytest.raises(InputError) as refused:
        markov_global(some_paths(1), order)
    assert refused.value.field == "order"


def test_dedupe_of_paths() -> None:
    path = ["a", "a", "b", "a"]
    assert [deduped(path, how) for how in ("none", "consecutive", "unique")] == [
        tuple("aaba"),
        tuple("aba"),
        tuple("ab"),
    ]
