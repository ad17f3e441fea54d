"""List tenants: their names, and the ids by which tasks and the log know them."""

from __future__ import annotations

import argparse

from skeldir_huey.commands._tables import add_format_arguments, as_csv, as_json, table
from skeldir_huey.db import urls
from skeldir_huey.ingest.tenants import list_tenants

NAMES = ("tenant", "tenant_id", "identity_policy", "timezone")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_format_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print one line per tenant, by name."""
    urls.check_ready("worker")
    found = [(tenant.name, str(tenant.id), tenant.identity_policy, tenant.timezone) for tenant in list_tenants()]
    if args.json:
        as_json([dict(zip(NAMES, line, strict=True)) for line in found])
    elif args.csv:
        as_csv(NAMES, found)
    else:
        table(NAMES, found)
        if not found:
            print("none yet: python -m skeldir_huey import FILE --tenant NAME --create-tenant makes one")
    return 0
