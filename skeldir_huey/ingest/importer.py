"""The import of a file: in batches, in flat memory, and again without harm."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from skeldir_huey.db.engine import transaction
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.normalise import Event, Normaliser
from skeldir_huey.ingest.occurrences import Occurrences
from skeldir_huey.ingest.options import Options
from skeldir_huey.ingest.readers import Row, open_rows
from skeldir_huey.ingest.store import Refused, add_events, add_refused, read_channels, read_kinds
from skeldir_huey.ingest.tenants import Tenant

BATCH_ROWS = 2000
BATCH_BYTES = 4 * 1024 * 1024


@dataclass
class Report:
    """What an import found and did.

    Args:
        row_count: rows of the file, refused ones too.
        touch_count, conversion_count: events added by this import.
        there_count: events that were there already.
        refused_count: rows that are no events; kept_count of them are new in dead_events.
        unmapped: channel label -> touches that became unknown because of it.
        first_refused: the first refusal, in words.
    """

    correlation_id: UUID
    row_count: int = 0
    touch_count: int = 0
    conversion_count: int = 0
    there_count: int = 0
    refused_count: int = 0
    kept_count: int = 0
    unmapped: dict[str, int] = field(default_factory=dict)
    first_refused: str | None = None


class Import:
    """One file on its way into one tenant. Everything that can be wrong with its options shows when this is made.

    Args:
        path: a CSV or JSON lines file.
        form: csv or jsonl; None finds out.

    Raises:
        InputError: the file or an option is wrong; nothing was written.
    """

    def __init__(self, path: Path, options: Options, form: str | None = None) -> None:
        self._source = path.name
        self._options = options
        self._rows, columns = open_rows(path, form)
        for option, column in options.used_columns.items():
            optional = form != "csv" and option not in ("--map visitor", "--map occurred_at") and path.suffix != ".csv"
            if column not in columns and not optional:
                raise InputError(option, f"no column {column!r} in {path.name}; it has: {', '.join(columns)}")

    def run(self, tenant: Tenant, progress: Callable[[int], object] = lambda size: None) -> Report:
        """Add what is new in the file; each batch is one transaction.

        Args:
            progress: called after each batch with the bytes of the file that it took.

        Raises:
            InputError: the tenant lacks an event type that the import makes; nothing was written.
        """
        with transaction(tenant.id, role="app_import", read_only=True) as connection:
            kinds, channels = read_kinds(connection, tenant.id), read_channels(connection)
        kinds.check()
        normaliser = Normaliser(tenant, kinds, self._options, channels)
        report = Report(uuid.uuid4())
        with closing(Occurrences()) as occurrences:
            batch: list[Row] = []
            for row in self._rows:
                batch.append(row)
                if len(batch) >= BATCH_ROWS or sum_of(batch) >= BATCH_BYTES:
                    self._write(tenant, batch, normaliser, occurrences, report)
                    progress(sum_of(batch))
                    batch = []
            self._write(tenant, batch, normaliser, occurrences, report)
            progress(sum_of(batch))
        report.unmapped = dict(normaliser.unmapped.most_common())
        return report

    def _write(
        self, tenant: Tenant, batch: list[Row], normaliser: Normaliser, occurrences: Occurrences, report: Report
    ) -> None:
        events: list[Event] = []
        refused: list[Refused] = []
        for row in batch:
            digest = hashlib.sha256(row.text.encode("utf-8", "surrogatepass")).digest()
            digest = hashlib.sha256(digest + occurrences.number(digest).to_bytes(8, "big")).digest()
            try:
                if row.values is None:
                    raise InputError("row", row.problem or "cannot be read")
                events += normaliser.events(row.values, digest)
            except InputError as error:
                payload = {"text": row.text} if row.values is None else row.values
                field_name = None if row.values is None else error.field
                refused.append(Refused(row.line, field_name, error.reason, payload, digest))
                report.first_refused = report.first_refused or f"line {row.line}: {error}"
        with transaction(tenant.id, role="app_import") as connection:
            added = add_events(connection, tenant.id, events, report.correlation_id)
            kept = add_refused(connection, tenant.id, self._source, refused, report.correlation_id)
        report.row_count += len(batch)
        report.touch_count += added.touch_count
        report.conversion_count += added.conversion_count
        report.there_count += len(events) - added.added_count
        report.refused_count += len(refused)
        report.kept_count += kept


def sum_of(batch: list[Row]) -> int:
    """Return the bytes of the file that these rows take."""
    return sum(row.size for row in batch)
