"""The demo's data: added once, left as it is when it is there; or the embedded database emptied."""

from __future__ import annotations

import argparse
import shutil

from skeldir_huey.commands import _demo, _lock
from skeldir_huey.config import settings
from skeldir_huey.db import embedded, urls
from skeldir_huey.errors import InputError, SkeldirError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reset", action="store_true", help="delete the embedded database and everything in it")


def run(args: argparse.Namespace) -> int:
    """Add the demo's data, or with --reset delete the embedded database.

    Raises:
        InputError: --reset with a database that is not the embedded one.
        SkeldirError: `make run` is up.
    """
    if args.reset:
        return _reset()
    urls.check_ready("worker")
    _demo.seed(embedded.say)
    return 0


def _reset() -> int:
    given = settings()
    if not urls.is_embedded(given):
        raise InputError("--reset", "a database URL is set; only the embedded database is ever deleted")
    if _lock.holder(given.data_dir):
        raise SkeldirError("`make run` is up; stop it first with `make stop`")
    if given.data_dir.exists():
        with embedded.locked(given.data_dir):
            embedded.stop(given.data_dir)
            for name in ("pgdata", "pgdata.new", "demo"):
                shutil.rmtree(given.data_dir / name, ignore_errors=True)
    print(f"the embedded database in {given.data_dir} is gone; `make run` makes a new one")
    return 0
