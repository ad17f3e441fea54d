"""Read exchange rates, by which reports convert; each rate once, and none is ever changed."""

from __future__ import annotations

import argparse
from functools import partial

from skeldir_huey.commands import _records
from skeldir_huey.ledger.kinds import KINDS
from skeldir_huey.ledger.rates import add_rates
from skeldir_huey.money import parse_currency


def add_arguments(parser: argparse.ArgumentParser) -> None:
    _records.add_arguments(parser, f"{', '.join(KINDS['rate'].fields)}; rate: units of currency for one of the base")
    parser.add_argument("--base", metavar="CODE", help="the base of all rows, such as EUR, instead of a column")
    parser.add_argument("--correct", action="store_true", help="let rates that differ from stored ones count from now")


def run(args: argparse.Namespace) -> int:
    """Import the file and print what was added, was there, and was refused (kept in dead_events).

    Raises:
        InputError: an option, the file or the tenant is wrong; nothing was written.
    """
    same = {} if args.base is None else {"base": parse_currency(args.base, "--base")}
    return _records.import_records(args, KINDS["rate"], "rates", partial(add_rates, correct=args.correct), same)
