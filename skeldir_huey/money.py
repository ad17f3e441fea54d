"""Money as integers of a currency's smallest unit: reading amounts, and splitting them without losing a cent."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction

from skeldir_huey.errors import InputError

# ISO 4217 minor units that are not 2.
_DIGITS = {
    0: "BIF BYR CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
DIGITS = {currency: digits for digits, currencies in _DIGITS.items() for currency in currencies.split()}

# ISO 4217: every code with a minor unit that is money today, then those of the last years: old data has them.
_CURRENT = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CLF
CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF
IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT
MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD
SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS
VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
_PAST = "ANG BGN BYR CUC EEK HRK LTL LVL MRO SLL STD VEF ZMK ZWL"
CURRENCIES = frozenset(_CURRENT.split()) | frozenset(_PAST.split())

# What a bigint column holds.
MAX_CENTS = 2**63 - 1

_CURRENCY = re.compile(r"[A-Z]{3}")
_AMOUNT = re.compile(r"([+-]?)([0-9]+)(?:\.([0-9]+))?")


def parse_currency(text: str, field: str = "currency") -> str:
    """Return a currency code.

    Raises:
        InputError: it is not three capital letters, or no currency of ISO 4217.
    """
    if not _CURRENCY.fullmatch(text):
        raise InputError(field, f"expected three capital letters such as EUR, got {text[:80]!r}")
    if text not in CURRENCIES:
        raise InputError(field, f"unknown currency {text!r}; expected a code of ISO 4217 such as EUR")
    return text


def digits_of(currency: str) -> int:
    """Return how many decimal digits a currency has by ISO 4217: yen 0, dinar 3, most 2."""
    return DIGITS.get(currency, 2)


def parse_amount(text: str, currency: str, field: str = "amount") -> int:
    """Return an amount in the currency's smallest unit.

    Args:
        text: digits with a point, such as 12 or -12.50; no thousands separators, no exponent.
        currency: a code of ISO 4217.
        field: the name used in the error.

    Raises:
        InputError: it is no such number, has more digits than the currency has, or is too large for a bigint.

    >>> parse_amount("12.5", "EUR"), parse_amount("1200", "JPY"), parse_amount("0.125", "KWD")
    (1250, 1200, 125)
    """
    digits = digits_of(parse_currency(currency))
    match = _AMOUNT.fullmatch(text.strip())
    if match is None:
        raise InputError(field, f"expected an amount such as 12.50, got {text!r}")
    sign, whole, decimals = match[1], match[2], match[3] or ""
    if len(decimals) > digits:
        raise InputError(field, f"{text!r} has {len(decimals)} decimal digits, {currency} has {digits}")
    if len(whole) > 19:  # before int(): Python refuses texts of many thousand digits with another error
        raise InputError(field, f"an amount of {len(whole)} digits is too large")
    cents = int(whole + decimals.ljust(digits, "0"))
    if cents > MAX_CENTS:
        raise InputError(field, f"{text!r} is too large")
    return -cents if sign == "-" else cents


def largest_remainder(total: int, weights: Mapping[str, int | Fraction]) -> dict[str, int]:
    """Split a total in proportion to weights, exactly.

    Each share is floored; then the units left over go one each to the largest remainders, ties in the order of the
    key's bytes (C collation). The shares always sum to the total (Hamilton's method).

    Args:
        total: zero or more, in the smallest unit.
        weights: key -> weight, zero or more; at least one above zero. Floats are refused.

    Raises:
        ValueError: the total or a weight is negative, or no weight is above zero.
        TypeError: a weight is a float.

    >>> largest_remainder(10_000, {"google_search_paid": 1, "email": 1, "direct": 1})
    {'google_search_paid': 3333, 'email': 3333, 'direct': 3334}
    """
    if any(not isinstance(weight, int | Fraction) for weight in weights.values()):
        raise TypeError("weights are integers or fractions")
    whole = sum(weights.values())
    if total < 0 or whole <= 0 or any(weight < 0 for weight in weights.values()):
        raise ValueError("a total and weights of zero or more are needed, and one weight above zero")
    exact = {key: Fraction(total) * weight / whole for key, weight in weights.items()}
    shares = {key: int(share) for key, share in exact.items()}
    order = sorted(weights, key=lambda key: (shares[key] - exact[key], key.encode()))
    for key in order[: total - sum(shares.values())]:
        shares[key] += 1
    return shares
