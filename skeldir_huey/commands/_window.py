"""Ranges of time as people write them on the command line."""

from __future__ import annotations

import argparse
import re
from datetime import datetime

from skeldir_huey.clock import parse_instant
from skeldir_huey.errors import InputError


def add_range_arguments(parser: argparse.ArgumentParser) -> None:
    """Add --from and --to, which must be given; also as --start and --end."""
    text = "such as 2025-06-01 (UTC) or 2025-06-01T12:00+02:00"
    parser.add_argument("--from", "--start", required=True, dest="start", metavar="TIME", help=text)
    parser.add_argument(
        "--to", "--end", required=True, dest="end", metavar="TIME", help="end of the window, itself not in it"
    )


def parse_range(start: str, end: str) -> tuple[datetime, datetime]:
    """Return a half-open range in UTC of --from and --to; a day such as 2025-06-01 means its midnight in UTC.

    Raises:
        InputError: one of them is no time, or --to is not after --from.
    """
    low, high = _instant(start, "--from"), _instant(end, "--to")
    if low >= high:
        raise InputError("--to", f"must be after --from: {end} is not after {start}")
    return low, high


def _instant(text: str, option: str) -> datetime:
    is_day = re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", text.strip())
    return parse_instant(f"{text.strip()}T00:00Z" if is_day else text, option)
