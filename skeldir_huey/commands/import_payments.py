"""Read payment records into the ledger, or with --claims what ad platforms claim; each record once."""

from __future__ import annotations

import argparse

from skeldir_huey.commands import _records
from skeldir_huey.ledger.kinds import KINDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    fields = ", ".join(KINDS["payment"].fields)
    _records.add_arguments(parser, f"{fields}; with --claims platform instead of transaction_id and state")
    parser.add_argument("--claims", action="store_true", help="these are claims of ad platforms, not payments")


def run(args: argparse.Namespace) -> int:
    """Import the file and print what was added, was there, and was refused (kept in dead_events).

    Raises:
        InputError: an option, the file or the tenant is wrong; nothing was written.
    """
    if args.claims:
        return _records.import_records(args, KINDS["claim"], "claims")
    return _records.import_records(args, KINDS["payment"], "payments")
