"""What the imports of payments, claims and rates share: batches of rows, each a transaction, with a bar of progress."""

from __future__ import annotations

import argparse
import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from skeldir_huey.commands._progress import file_bar
from skeldir_huey.commands._tables import as_json
from skeldir_huey.db import urls
from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.options import parse_pairs
from skeldir_huey.ingest.readers import Row, Source
from skeldir_huey.ingest.refusals import Refused, add_refused
from skeldir_huey.ingest.tenants import find_tenant
from skeldir_huey.ledger.kinds import Add, Kind
from skeldir_huey.ledger.reading import make_columns
from skeldir_huey.ledger.reread import named
from skeldir_huey.log import bound_correlation

BATCH_ROWS = 2000


@dataclass
class Counts:
    """What an import did; `kept_count` of the refused ones are new in dead_events."""

    row_count: int = 0
    added_count: int = 0
    there_count: int = 0
    refused_count: int = 0
    kept_count: int = 0
    first_refused: str | None = None


def add_arguments(parser: argparse.ArgumentParser, fields: str) -> None:
    """Add the arguments that all of these imports have."""
    parser.add_argument("file", metavar="FILE", help="CSV with a header, or one JSON object per line")
    parser.add_argument("--tenant", required=True, metavar="NAME")
    parser.add_argument(
        "--map",
        action="append",
        default=[],
        metavar="FIELD=COLUMN,…",
        help=f"which column is what, default the same name: {fields}",
    )
    parser.add_argument("--format", choices=("csv", "jsonl"), help="default: by the file's name, else its first byte")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")


def import_records(
    args: argparse.Namespace, kind: Kind, what: str, add: Add | None = None, same: Mapping[str, str] | None = None
) -> int:
    """Import the file and print what was added, was there, and was refused (kept in dead_events); the exit code is 0.

    Args:
        what: the records' name in the plural.
        add: in place of that of the kind.
        same: field -> the value that all rows have.

    Raises:
        InputError: an option, the file or the tenant is wrong; nothing was written.
    """
    urls.check_ready("worker")
    tenant = find_tenant(args.tenant, "--tenant")
    name, add, same = Path(args.file).name, add or kind.add, same or {}
    counts, correlation_id = Counts(), bound_correlation() or uuid.uuid4()
    with Source(Path(args.file), args.format) as source:
        columns = make_columns(kind.fields, parse_pairs(args.map, "--map"), [*source.columns, *same])
        reading = {"kind": kind.name, "columns": columns}
        with file_bar(source.size) as bar:
            for batch in _batches(source.rows, same):
                records, refused = _read(batch, kind, reading, name)
                with transaction(tenant.id, role="app_import") as connection:
                    added, wrong = add(connection, tenant.id, records, correlation_id)
                    refused += _refused(wrong, batch, reading)
                    kept = add_refused(connection, tenant.id, refused, correlation_id)
                _count(counts, len(batch), added, refused, kept)
                bar.update(sum(row.size for row in batch))
    if args.json:
        as_json(asdict(counts))
    else:
        _print(f"{name} -> {tenant.name}", counts, what)
    return 0


def _count(counts: Counts, rows: int, added: int, refused: list[Refused], kept: int) -> None:
    counts.row_count += rows
    counts.added_count += added
    counts.refused_count += len(refused)
    counts.there_count += rows - added - len(refused)
    counts.kept_count += kept
    if refused and counts.first_refused is None:
        counts.first_refused = f"line {refused[0].line}: {refused[0].field}: {refused[0].message}"


def _print(heading: str, counts: Counts, what: str) -> None:
    print(
        f"{heading}: {counts.row_count:,} rows; added {counts.added_count:,} {what}; {counts.there_count:,} were there "
        f"already; {counts.refused_count:,} refused"
    )
    if counts.refused_count:
        kept = f"{counts.kept_count:,} of them new"
        print(f"refused rows are kept in dead_events, {kept}; the first: {counts.first_refused}")


def _read(batch: list[Row], kind: Kind, reading: dict[str, Any], source: str) -> tuple[list[Any], list[Refused]]:
    records: list[Any] = []
    refused: list[Refused] = []
    for row in batch:
        key = hashlib.sha256(f"{kind.name} {row.text}".encode()).digest()
        if row.values is None:
            message = row.problem or "cannot be read"
            refused.append(Refused(row.line, None, message, {"text": row.text}, key, source, reading))
            continue
        try:
            records.append(kind.read(row.values, reading["columns"], source, row.line))
        except InputError as error:
            refused.append(Refused(row.line, error.field, error.reason, dict(row.values), key, source, reading))
    return records, refused


def _refused(wrong: list[tuple[Any, InputError]], batch: list[Row], reading: dict[str, Any]) -> Iterator[Refused]:
    # Kept as the row that it was, so that its retry reads it in the same way.
    values = {row.line: row.values or {} for row in batch}
    for record, error in wrong:
        said = named(error, reading["columns"])
        kept = dict(values[record.line])
        yield Refused(record.line, said.field, said.reason, kept, record.idempotency_key, record.source, reading)


def _batches(rows: Iterable[Row], same: Mapping[str, str]) -> Iterator[list[Row]]:
    rows = iter(rows)
    while batch := list(islice(rows, BATCH_ROWS)):
        for row in batch:
            if row.values is not None:
                row.values |= same
        yield batch
