"""How values look in pages: plain text only, so that Jinja escapes all of it. What was not measured is a dash."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import Flask, request
from flask_security import current_user
from jinja2.ext import Extension

from admin import scope
from admin.settings import zone_of_user
from skeldir_huey.config import settings
from skeldir_huey.money import digits_of

DASH = "\u2013"
THIN = "\u202f"


def number(value: int | float | None) -> str:
    """Return a count with thin spaces between thousands; a dash for None."""
    return DASH if value is None else f"{value:,}".replace(",", THIN)


def capped(value: int | None, cap: int = 10_000) -> str:
    """Return a count that was cut off at `cap` + 1 rows, as in 10 000+."""
    if value is None or value <= cap:
        return number(value)
    return number(cap) + "+"


def seconds(value: float | None) -> str:
    """Return a duration in words that fit a table cell: 85 ms, 3.2 s, 4 min 05 s, 15 min, 3 h 12 min, 2 d 4 h."""
    if value is None:
        return DASH
    value = max(value, 0.0)
    if value < 0.9995:
        return f"{value * 1000:.0f}{THIN}ms"
    if value < 59.95:
        return f"{value:.1f}{THIN}s"
    whole = round(value)
    if whole < 3600:
        return f"{whole // 60}{THIN}min" + (f" {whole % 60:02d}{THIN}s" if whole % 60 else "")
    minutes = whole // 60
    if minutes < 24 * 60:
        return f"{minutes // 60}{THIN}h" + (f" {minutes % 60:02d}{THIN}min" if minutes % 60 else "")
    hours = minutes // 60
    return f"{hours // 24}{THIN}d {hours % 24}{THIN}h"


def size(value: int | None) -> str:
    """Return a number of bytes as 12.5 MiB; a dash for None."""
    if value is None:
        return DASH
    amount, unit = float(value), "B"
    for larger in ("KiB", "MiB", "GiB", "TiB"):
        if amount < 1000:
            break
        amount, unit = amount / 1024, larger
    return f"{amount:.3g}{THIN}{unit}"


def milliseconds(value: float | None) -> str:
    """Return a duration given in milliseconds."""
    return seconds(None if value is None else value / 1000)


def age(since: datetime | None, now: datetime) -> str:
    """Return how long ago an instant was, coarsely, as in 3 min; "now" below a second."""
    if since is None:
        return DASH
    value = (now - since).total_seconds()
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if value >= size:
            return f"{int(value // size)}{THIN}{unit}"
    return "now"


def instant(value: datetime | None) -> str:
    """Return an instant as 2025-06-01 00:00:00 UTC, in the zone of the person; a dash for None."""
    return DASH if value is None else value.astimezone(zone_of_user()).strftime("%Y-%m-%d %H:%M:%S %Z")


def ago(since: datetime | None, now: datetime) -> str:
    """Return how long ago an instant was, as in 3 min ago; "just now" below a second."""
    words = age(since, now)
    return "just now" if words == "now" else f"{words} ago"


def day_before(value: datetime) -> datetime:
    """Return the same time of the day before: the last day of a window whose end is not included."""
    return value - timedelta(days=1)


def iso(value: datetime) -> str:
    """Return an instant for the `datetime` attribute of `<time>`."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def money(cents: int | None, currency: str | None) -> str:
    """Return an amount of smallest units as 1 234.50, with the digits that the currency has; the currency stands apart.

    >>> money(123450, "EUR"), money(-5, "USD"), money(500, "JPY")
    ('1\u202f234.50', '-0.05', '500')
    """
    if cents is None or currency is None:
        return DASH
    digits = digits_of(currency)
    sign, rest = ("-" if cents < 0 else ""), str(abs(cents)).rjust(digits + 1, "0")
    whole, decimals = (rest[:-digits], rest[-digits:]) if digits else (rest, "")
    return sign + number(int(whole)) + ("." + decimals if decimals else "")


def percent(share: Any) -> str:
    """Return a share of 0 to 1 as 12.5 %; a dash for None."""
    return DASH if share is None else f"{float(share) * 100:.1f}{THIN}%"


def pretty(value: Any) -> str:
    """Return JSON as indented text."""
    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str)


def short(value: Any) -> str:
    """Return the first 8 characters of an id."""
    return str(value)[:8] if value else DASH


def last_word(dotted: str) -> str:
    """Return the last part of a task name."""
    return dotted.rsplit(".", 1)[-1]


def colours() -> str | None:
    """Return the colours that the person chose, light or dark, None for that of the system."""
    chosen = request.cookies.get("theme")
    return chosen if chosen in ("light", "dark") else None


class Unindent(Extension):
    """Leaves the indentation of templates out of pages: a twentieth of each. Values are not looked at."""

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        return re.sub(r"(?m)^[ \t]+", "", source)


def install(app: Flask) -> None:
    """Give templates the functions of this file as filters, and what every page shows."""
    for function in (
        number, capped, seconds, milliseconds, size, age, day_before, instant, iso, money, percent, pretty, short,
        last_word,
    ):  # fmt: skip
        app.jinja_env.filters[function.__name__] = function
    app.jinja_env.filters["hex"] = bytes.hex
    app.jinja_env.policies["json.dumps_kwargs"] = {"separators": (",", ":")}  # charts: a blank per value is 2 kB
    app.jinja_env.globals["get_scope"] = scope.current
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    app.jinja_env.add_extension(Unindent)

    @app.context_processor
    def frame() -> dict[str, Any]:
        return {"env": settings().environment_name, "colours": colours(), "user": current_user}
