"""Rows for people as a table, for programs as JSON or CSV."""

from __future__ import annotations

import argparse
import csv
import dataclasses
import json
import sys
from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Any

from skeldir_huey.money import digits_of


def add_format_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --json and --csv, of which one may be given."""
    chosen = parser.add_mutually_exclusive_group()
    chosen.add_argument("--json", action="store_true", help="print one JSON document")
    chosen.add_argument("--csv", action="store_true", help="print CSV with a line of names")


def table(names: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Print lines in columns; numbers stand to the right."""
    texts = [[_text(value) for value in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(names, *texts, strict=True)]
    right = [all(isinstance(value, int | Decimal | Money) for value in column) for column in zip(*lines, strict=True)]
    right = right or [False] * len(names)
    for number, line in enumerate((names, *texts)):
        cells = [
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ]
        print("  ".join(cells).rstrip())
        if number == 0:
            print("  ".join("-" * width for width in widths))


def as_csv(names: Sequence[str], lines: Sequence[Sequence[object]]) -> None:
    """Print CSV: plain values, money in the smallest unit."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(names)
    writer.writerows([[_plain(value) for value in line] for line in lines])


def as_json(value: object) -> None:
    """Print a JSON document; exact numbers are texts, money is whole numbers of the smallest unit."""
    print(json.dumps(_plain(value), indent=2, ensure_ascii=False))


@dataclasses.dataclass(frozen=True)
class Money:
    """An amount that people read with the currency's digits, and programs as a whole number."""

    cents: int
    currency: str

    def __str__(self) -> str:
        digits = digits_of(self.currency)
        return f"{Decimal(self.cents).scaleb(-digits):,.{digits}f}"


def _text(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="seconds")
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Money):
        return value.cents
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {str(key): _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime):
        return value.isoformat()
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, Decimal):
        return f"{value:f}"  # never 0E-15
    return str(value)
