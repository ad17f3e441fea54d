"""Read payment records into the ledger, or with --claims what ad platforms claim; each record once."""

from __future__ import annotations

import argparse
import hashlib
import shutil
import sys
import uuid
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from tqdm import tqdm

from skeldir_huey.db import urls
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.options import parse_pairs
from skeldir_huey.ingest.readers import Row, Source
from skeldir_huey.ingest.refusals import Refused, add_refused
from skeldir_huey.ingest.tenants import find_tenant
from skeldir_huey.ledger.posting import Claim, Payment
from skeldir_huey.ledger.reading import CLAIM_FIELDS, PAYMENT_FIELDS, make_columns, read_claim, read_payment
from skeldir_huey.ledger.reread import CLAIM, PAYMENT, as_reading, named
from skeldir_huey.ledger.store import add_claims, add_payments
from skeldir_huey.log import bound_correlation

BATCH_ROWS = 2000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("file", metavar="FILE", help="CSV with a header, or one JSON object per line")
    parser.add_argument("--tenant", required=True, metavar="NAME")
    parser.add_argument("--claims", action="store_true", help="these are claims of ad platforms, not payments")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="FIELD=COLUMN,…",
        help=f"which column is what, default the same name: {', '.join(PAYMENT_FIELDS)}; with --claims platform "
        "instead of transaction_id and state",
    )
    parser.add_argument("--format", choices=("csv", "jsonl"), help="default: by the file's name, else its first byte")


def run(args: argparse.Namespace) -> int:
    """Import the file and print what was added, was there, and was refused (kept in dead_events).

    Raises:
        InputError: an option, the file or the tenant is wrong; nothing was written.
    """
    urls.check_ready("worker")
    tenant = find_tenant(args.tenant, "--tenant")
    name = Path(args.file).name
    counts = {"rows": 0, "added": 0, "refused": 0, "kept": 0}
    first = ""
    correlation_id = bound_correlation() or uuid.uuid4()
    with Source(Path(args.file), args.format) as source:
        fields = CLAIM_FIELDS if args.claims else PAYMENT_FIELDS
        columns = make_columns(fields, parse_pairs(args.map, "--map"), source.columns)
        reading = as_reading(CLAIM if args.claims else PAYMENT, columns)
        size = shutil.get_terminal_size()  # 80 x 24 where the terminal says 0 x 0, which tqdm would believe
        look: dict[str, Any] = {"unit_scale": True, "ncols": size.columns, "nrows": size.lines, "leave": False}
        with tqdm(total=source.size, unit="B", disable=None, file=sys.stderr, **look) as bar:
            for batch in _batches(source.rows):
                records, refused = _read(batch, reading, name)
                with transaction(tenant.id, role="app_import") as connection:
                    if args.claims:
                        added = add_claims(connection, tenant.id, records, correlation_id)
                    else:
                        added, wrong = add_payments(connection, tenant.id, records, correlation_id)
                        refused += _refused(wrong, batch, reading)
                    kept = add_refused(connection, tenant.id, refused, correlation_id)
                for key, count in (("rows", len(batch)), ("added", added), ("refused", len(refused)), ("kept", kept)):
                    counts[key] += count
                if refused and not first:
                    first = f"line {refused[0].line}: {refused[0].field}: {refused[0].message}"
                bar.update(sum(row.size for row in batch))
    what = "claims" if args.claims else "payments"
    there = counts["rows"] - counts["added"] - counts["refused"]
    print(
        f"{name} -> {tenant.name}: {counts['rows']:,} rows; added {counts['added']:,} {what}; {there:,} were there "
        f"already; {counts['refused']:,} refused"
    )
    if counts["refused"]:
        print(f"refused rows are kept in dead_events, {counts['kept']:,} of them new; the first: {first}")
    return 0


def _read(batch: list[Row], reading: dict[str, Any], source: str) -> tuple[list[Any], list[Refused]]:
    kind, columns = reading["kind"], reading["columns"]
    read = read_claim if kind == CLAIM else read_payment
    records: list[Payment | Claim] = []
    refused: list[Refused] = []
    for row in batch:
        key = hashlib.sha256(f"{kind} {row.text}".encode()).digest()
        if row.values is None:
            message = row.problem or "cannot be read"
            refused.append(Refused(row.line, None, message, {"text": row.text}, key, source, reading))
            continue
        try:
            records.append(read(row.values, columns, source, row.line))
        except InputError as error:
            refused.append(Refused(row.line, error.field, error.reason, dict(row.values), key, source, reading))
    return records, refused


def _refused(wrong: list[tuple[Payment, InputError]], batch: list[Row], reading: dict[str, Any]) -> Iterator[Refused]:
    # Kept as the row that it was, so that its retry reads it in the same way.
    values = {row.line: row.values or {} for row in batch}
    for payment, error in wrong:
        said = named(error, reading["columns"])
        kept = dict(values[payment.line or 0])
        yield Refused(payment.line, said.field, said.reason, kept, payment.idempotency_key, payment.source, reading)


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    rows = iter(rows)
    while batch := list(islice(rows, BATCH_ROWS)):
        yield batch
