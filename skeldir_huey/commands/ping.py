"""Ask a real consumer for a sign of life."""

from __future__ import annotations

import argparse
import time

from huey.exceptions import ResultTimeout, TaskException

from skeldir_huey import main as registered
from skeldir_huey.db import urls
from skeldir_huey.errors import InputError, SkeldirError
from skeldir_huey.parsers import seconds
from skeldir_huey.tasks.housekeeping import ping


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--timeout", default="10", metavar="SECONDS", help="how long to wait, default 10")
    parser.add_argument("--fail", action="store_true", help="ask the job to fail (where SKELDIR_TEST_TASKS=1)")


def run(args: argparse.Namespace) -> int:
    """Enqueue a ping and print its answer.

    Raises:
        InputError: the timeout is none.
        SkeldirError: no answer in time, or the job failed.
    """
    try:
        timeout = seconds(0.1, 3600)(args.timeout)
    except ValueError as error:
        raise InputError("--timeout", str(error)) from None
    urls.check_ready("worker")
    began = time.monotonic()
    result = ping(fail=True) if args.fail else ping()
    try:
        answer = registered.huey.result(result.id, blocking=True, timeout=timeout)
    except ResultTimeout:
        raise SkeldirError(
            f"ping {result.id}: no answer within {timeout:g} s; is a worker up? Start one with `make run` or "
            "`huey_consumer skeldir_huey.main.huey`; the job stays and will be done"
        ) from None
    except TaskException as error:
        raise SkeldirError(f"ping {result.id} failed: {error.metadata.get('error', error)}") from None
    print(f"{answer} from a worker in {time.monotonic() - began:.2f} s (job {result.id})")
    return 0
