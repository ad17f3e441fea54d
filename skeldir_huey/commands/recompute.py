"""Ask for runs: tenant, window, model versions; wait for their end on demand."""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from dataclasses import fields
from typing import Any

from tqdm import tqdm

from skeldir_huey import main as registered
from skeldir_huey.attribution import runs, store
from skeldir_huey.attribution.types import Run
from skeldir_huey.commands._tables import add_format_arguments, as_csv, as_json
from skeldir_huey.commands._window import add_range_arguments, parse_range
from skeldir_huey.db import urls
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError, SkeldirError
from skeldir_huey.ingest.tenants import Tenant, find_tenant
from skeldir_huey.parsers import seconds
from skeldir_huey.tasks.versions import schedule_recompute_versions

__all__ = ["add_arguments", "registered", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tenant", required=True, metavar="NAME")
    add_range_arguments(parser)
    parser.add_argument(
        "--model",
        action="append",
        metavar="NAME@VERSION",
        help="default: the version that the tenant has published; repeated, one job does all of them",
    )
    parser.add_argument("--wait", action="store_true", help="wait for the end of the run")
    parser.add_argument("--timeout", default="300", metavar="SECONDS", help="how long --wait waits, default 300")
    add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Schedule the runs and print them; with --wait, print how they ended: exit code 1 when one failed.

    Raises:
        InputError: an option is wrong; nothing was written.
        SkeldirError: a run failed, or did not end in time.
    """
    try:
        timeout_s = seconds(0.1, 86_400)(args.timeout)
    except ValueError as error:
        raise InputError("--timeout", str(error)) from None
    start, end = parse_range(args.start, args.end)
    urls.check_ready("worker")
    tenant = find_tenant(args.tenant, "--tenant")
    found = schedule_recompute_versions(tenant.id, start, end, args.model or [_published(tenant)])
    for_people = not (args.json or args.csv)
    if for_people:
        for asked in found:
            window = f"{asked.window_start:%Y-%m-%d %H:%M} to {asked.window_end:%Y-%m-%d %H:%M} UTC"
            print(f"run {asked.id} of {tenant.name}, {window}, {asked.model_version}: {asked.status}")
    if args.wait:
        found = [_wait(asked, timeout_s) for asked in found]
    if args.json:
        as_json(found)
    elif args.csv:
        names = [field.name for field in fields(Run)]
        as_csv(names, [[getattr(one, name) for name in names] for one in found])
    if args.wait:
        for ended in found:
            _print_end(ended, for_people, len(found) > 1)
    return 0


def _published(tenant: Tenant) -> str:
    with transaction(tenant.id, read_only=True) as connection:
        model = store.published_version(connection, tenant.id)
    if model is None:
        raise InputError("--model", f"{tenant.name} has published no version; name one")
    return model


def _wait(asked: Run, timeout_s: float) -> Run:
    deadline = time.monotonic() + timeout_s
    size = shutil.get_terminal_size()  # 80 x 24 where the terminal says 0 x 0, which tqdm would believe
    look: dict[str, Any] = {"bar_format": "{desc} {elapsed}", "ncols": size.columns, "nrows": size.lines}
    with tqdm(desc="waiting", disable=None, file=sys.stderr, leave=False, **look) as bar:
        while True:
            with transaction(asked.tenant_id, read_only=True) as connection:
                now = runs.read(connection, asked.tenant_id, asked.id)
            if now.status in ("succeeded", "failed"):
                return now
            if time.monotonic() > deadline:
                raise SkeldirError(
                    f"run {asked.id} is still {now.status} after {timeout_s:g} s; is a worker up? Start one with "
                    "`make run` or `huey_consumer skeldir_huey.main.huey`; the job stays and will be done"
                )
            time.sleep(0.1)
            bar.update()


def _print_end(ended: Run, for_people: bool, is_named: bool) -> None:
    if ended.status == "failed":
        raise SkeldirError(f"run {ended.id} failed: {ended.error_message}; its dead letter can be replayed")
    assert ended.checksum is not None
    if for_people:
        print(
            f"{ended.model_version + ' ' if is_named else ''}succeeded, execution {ended.run_count}: "
            f"{ended.conversion_count:,} conversions, {ended.allocation_count:,} allocations, "
            f"{ended.changed_count:,} rows changed, sha256 {ended.checksum.hex()}"
        )
