"""Model versions: list them, create or train one, publish one."""

from __future__ import annotations

import argparse
import json
from typing import Any
from uuid import UUID

from skeldir_huey.attribution import store
from skeldir_huey.attribution.models import MODELS
from skeldir_huey.attribution.paths import parse_day
from skeldir_huey.attribution.train import train_markov
from skeldir_huey.attribution.types import ModelSpec, canonical_json
from skeldir_huey.commands._tables import add_format_arguments, as_csv, as_json, table
from skeldir_huey.db import urls
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.tenants import find_tenant

NAMES = ("model_version", "model_type", "published", "params", "params_hash")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(title="actions", dest="action", metavar="ACTION", required=True)
    listed = actions.add_parser("list", help="all versions of a tenant")
    created = actions.add_parser("create", help="add a version; a version never changes")
    published = actions.add_parser("publish", help="let reports use a version from now on")
    for action in (listed, created, published):
        action.add_argument("--tenant", required=True, metavar="NAME")
        add_format_arguments(action)
    published.add_argument("model", metavar="NAME@VERSION")
    created.add_argument("model", metavar="NAME@VERSION", help="such as linear@1.0.0")
    created.add_argument(
        "--type", metavar="MODEL", help=f"the rule, default the one called NAME; one of {', '.join(MODELS)}"
    )
    created.add_argument(
        "--param",
        action="append",
        default=[],
        metavar="NAME=VALUE",
        help="such as lookback_s=604800, preset=j or channels=direct,email; may be repeated",
    )
    created.add_argument("--train-from", metavar="DAY", help="markov_path: first day of the paths to train on, UTC")
    created.add_argument("--train-to", metavar="DAY", help="markov_path: last day of the paths to train on")


def run(args: argparse.Namespace) -> int:
    """Do it and print the versions concerned.

    Raises:
        InputError: an option is wrong; nothing was written.
        Conflict: that version exists with other parameters.
        NoResult: there is nothing to train on.
    """
    urls.check_ready("worker")
    tenant = find_tenant(args.tenant, "--tenant")
    with transaction(tenant.id, read_only=args.action == "list") as connection:
        if args.action == "list":
            specs = [
                store.read_version(connection, tenant.id, name) for name in store.list_versions(connection, tenant.id)
            ]
        elif args.action == "create":
            specs = [_create(connection, tenant.id, args)]
        else:
            store.publish(connection, tenant.id, args.model)
            specs = [store.read_version(connection, tenant.id, args.model)]
        _print(specs, store.published_version(connection, tenant.id), args)
    return 0


def _create(connection: Any, tenant_id: UUID, args: argparse.Namespace) -> ModelSpec:
    name, _, version = args.model.partition("@")
    params = dict(_read_param(text) for text in args.param)
    if args.train_from is None and args.train_to is None:
        return store.create_model_version(connection, tenant_id, name, version, params, args.type)
    if (args.type or name) != "markov_path":
        raise InputError("--train-from", "only markov_path is trained")
    days = parse_day(args.train_from, "--train-from"), parse_day(args.train_to, "--train-to")
    return train_markov(connection, tenant_id, name, version, *days, params)[0]


def _read_param(text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise InputError("--param", f"expected NAME=VALUE, got {text!r}")
    if name == "channels":
        return name, [part.strip() for part in value.split(",") if part.strip()]
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _print(specs: list[ModelSpec], published: str | None, args: argparse.Namespace) -> None:
    found = [
        (s.model_version, s.model_type, s.model_version == published, canonical_json(s.params), s.params_hash.hex())
        for s in specs
    ]
    if args.json:
        as_json(
            [dict(zip(NAMES, line, strict=True)) | {"params": s.params} for line, s in zip(found, specs, strict=True)]
        )
    elif args.csv:
        as_csv(NAMES, found)
    else:
        lines = [(line[0], line[1], "published" if line[2] else "", line[3], line[4][:12]) for line in found]
        table(("version", "model", "", "parameters", "hash"), lines)
