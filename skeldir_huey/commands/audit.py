"""The console's audit log from the command line: is it as it was written?"""

from __future__ import annotations

import argparse

from skeldir_huey.db import audit, urls
from skeldir_huey.db.engine import transaction


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="what", dest="verb", metavar="WHAT", required=True)
    verbs.add_parser("verify", help="check the hash of every row: none changed, missing or moved")


def run(args: argparse.Namespace) -> int:
    """Check every chain and say what was found, one line each.

    Returns:
        0 when all are whole, 1 when a row was tampered with.
    """
    urls.check_ready("console")
    code = 0
    with transaction(None, role="console_all", who="console", read_only=True) as connection:
        for chain in audit.verify(connection):
            found = chain.words if chain.fault else f"{chain.length} rows, whole, the last is {chain.hash}"
            print(f"{chain.tenant_name or 'without tenant'}: {found}")
            code = 1 if chain.fault else code
    return code
