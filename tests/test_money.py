"""The split of money is exact, and amounts are read as their currency has them."""

from __future__ import annotations

import doctest
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skeldir_huey import money
from skeldir_huey.errors import InputError
from skeldir_huey.money import largest_remainder, parse_amount

CHANNELS = ("direct", "email", "facebook_paid", "google_search_paid", "organic", "referral", "tiktok_paid")
weights = st.dictionaries(
    st.sampled_from(CHANNELS),
    st.integers(0, 50) | st.fractions(min_value=0, max_value=3, max_denominator=97),
    min_size=1,
).filter(lambda made: any(made.values()))


def test_worked_examples() -> None:
    assert doctest.testmod(money).failed == 0


@given(total=st.integers(0, 10**15), given_weights=weights)
def test_split_sums_to_the_total_and_is_never_a_whole_unit_off(
    total: int, given_weights: dict[str, int | Fraction]
) -> None:
    shares = largest_remainder(total, given_weights)
    assert sum(shares.values()) == total and shares.keys() == given_weights.keys()
    whole = sum(given_weights.values())
    for channel, share in shares.items():
        assert abs(share - Fraction(total) * given_weights[channel] / whole) < 1
    assert shares == largest_remainder(total, dict(reversed(given_weights.items()))), "the order given does not matter"


@given(total=st.integers(0, 10**6), channels=st.sets(st.sampled_from(CHANNELS), min_size=1))
def test_ties_go_to_the_first_channels_in_c_collation(total: int, channels: set[str]) -> None:
    shares = largest_remainder(total, dict.fromkeys(channels, 1))
    floor, extra = divmod(total, len(channels))
    assert [shares[channel] for channel in sorted(channels)] == [floor + 1] * extra + [floor] * (len(channels) - extra)


def test_one_cent_over_seven_channels_and_nothing_over_any() -> None:
    assert largest_remainder(1, dict.fromkeys(CHANNELS, 1)) == dict.fromkeys(CHANNELS, 0) | {"direct": 1}
    assert largest_remainder(0, dict.fromkeys(CHANNELS, 1)) == dict.fromkeys(CHANNELS, 0)


@pytest.mark.parametrize(("total", "given_weights"), [(-1, {"a": 1}), (1, {"a": 0}), (1, {}), (1, {"a": 2, "b": -1})])
def test_split_without_meaning_is_refused(total: int, given_weights: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="zero or more"):
        largest_remainder(total, given_weights)


def test_floats_are_refused() -> None:
    with pytest.raises(TypeError):
        largest_remainder(1, {"a": 0.5})  # type: ignore[dict-item]


@pytest.mark.parametrize(
    ("text", "currency", "cents"),
    [
        ("12", "USD", 1200), ("12.5", "USD", 1250), (" 12.50 ", "EUR", 1250), ("-0.01", "USD", -1), ("+3", "GBP", 300),
        ("1200", "JPY", 1200), ("1200", "KRW", 1200), ("0.125", "KWD", 125), ("7", "BHD", 7000), ("0", "CLP", 0),
        ("1.5", "HRK", 150), ("92233720368547758.07", "USD", 2**63 - 1),
    ],
)  # fmt: skip
def test_amounts_are_read_in_the_smallest_unit(text: str, currency: str, cents: int) -> None:
    assert parse_amount(text, currency) == cents


@pytest.mark.parametrize(
    ("text", "currency", "field"),
    [
        ("12.505", "USD", "price"), ("1.0", "JPY", "price"), ("0.1255", "KWD", "price"), ("", "USD", "price"),
        ("1,200", "USD", "price"), ("1e3", "USD", "price"), ("NaN", "USD", "price"), ("12.", "USD", "price"),
        ("٣", "USD", "price"), ("92233720368547758.08", "USD", "price"), ("9" * 10_000, "USD", "price"),
        ("1", "usd", "currency"), ("1", "US$", "currency"), ("1", "", "currency"),
        ("1", "ABC", "currency"), ("1", "XXX", "currency"),  # none of ISO 4217, and "no currency"
    ],
)  # fmt: skip
def test_amounts_that_are_none_are_refused_by_name(text: str, currency: str, field: str) -> None:
    with pytest.raises(InputError) as refused:
        parse_amount(text, currency, "price")
    assert refused.value.field == field
