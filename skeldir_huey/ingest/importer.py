"""The import of a file: in batches, in flat memory, and again without harm."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

from skeldir_huey.db.engine import transaction
from skeldir_huey.db.retained import read_boundary
from skeldir_huey.errors import InputError
from skeldir_huey.ingest.adjustments import Adjustment, add_adjustments, lock_adjustments
from skeldir_huey.ingest.normalise import Event, Normaliser
from skeldir_huey.ingest.occurrences import Occurrences
from skeldir_huey.ingest.options import REQUIRED, Options
from skeldir_huey.ingest.readers import Row, Source
from skeldir_huey.ingest.refusals import Refused, add_refused
from skeldir_huey.ingest.store import add_events, count_events, read_channels, read_kinds
from skeldir_huey.ingest.tenants import Tenant
from skeldir_huey.log import bound_correlation

BATCH_ROWS = 2000
BATCH_BYTES = 4 * 1024 * 1024


@dataclass
class Report:
    """What an import found and did.

    Args:
        row_count: rows of the file, refused ones too.
        touch_count, conversion_count, adjustment_count: events added by this import.
        waiting_count: adjustments that wait for their sale.
        there_count: events that were there already.
        refused_count: rows that are no events; kept_count of them are new in dead_events.
        unmapped: channel label -> rows whose touch became unknown because of it.
        first_refused: the first refusal, in words.
    """

    correlation_id: UUID
    row_count: int = 0
    touch_count: int = 0
    conversion_count: int = 0
    adjustment_count: int = 0
    waiting_count: int = 0
    there_count: int = 0
    refused_count: int = 0
    kept_count: int = 0
    unmapped: dict[str, int] = field(default_factory=dict)
    first_refused: str | None = None


def open_source(path: Path, options: Options, form: str | None = None) -> Source:
    """Open a file and make sure that it has the columns that the options name.

    Raises:
        InputError: the file or an option is wrong.
    """
    source = Source(path, form)
    # The first JSON object need not have what only some rows have; an adjustment has no visitor of its own.
    needed = {"occurred_at"} if "event_type" in options.columns else set(REQUIRED)
    for option, column in options.used_columns.items():
        if column not in source.columns and (source.form == "csv" or option.removeprefix("--map ") in needed):
            with source:
                raise InputError(option, f"no column {column!r} in {path.name}; it has: {', '.join(source.columns)}")
    return source


def import_rows(
    rows: Iterable[Row],
    source: str,
    tenant: Tenant,
    options: Options,
    progress: Callable[[int], object] = lambda size: None,
) -> Report:
    """Add what is new among these rows; each batch is one transaction, so stopping half-way keeps whole batches.

    Args:
        source: their name in dead_events.
        progress: called after each batch with the bytes of the file that it took.

    Raises:
        InputError: the tenant lacks an event type that the import makes; nothing was written.
    """
    with transaction(tenant.id, role="app_import", read_only=True) as connection:
        kinds, channels = read_kinds(connection, tenant.id), read_channels(connection)
    if "event_type" not in options.columns:
        kinds.check()
    normaliser = Normaliser(tenant, kinds, options, channels)
    report = Report(bound_correlation() or uuid.uuid4())
    with closing(Occurrences()) as occurrences:
        for batch in _batches(rows):
            _write(batch, source, tenant, normaliser, occurrences, report)
            progress(sum(row.size for row in batch))
    report.unmapped = dict(normaliser.unmapped.most_common())
    return report


def _batches(rows: Iterable[Row]) -> Iterator[list[Row]]:
    batch: list[Row] = []
    size = 0
    for row in rows:
        batch.append(row)
        size += row.size
        if len(batch) >= BATCH_ROWS or size >= BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _write(
    batch: list[Row], source: str, tenant: Tenant, normaliser: Normaliser, occurrences: Occurrences, report: Report
) -> None:
    with transaction(tenant.id, role="app_import") as connection:
        # Each batch: the boundary may move while a long file is read, but not while this transaction is open.
        normaliser.kept_from = read_boundary(connection, tenant.id).removed_before
        events, adjustments, refused = _read(batch, source, normaliser, occurrences)
        if refused:
            first = refused[0]
            named = f"{first.field}: {first.message}" if first.field is not None else first.message
            report.first_refused = report.first_refused or f"line {first.line}: {named}"
        if adjustments:
            lock_adjustments(connection, tenant.id)  # before the events' own, weaker lock: no lock is made stronger
        added = add_events(connection, tenant.id, events, report.correlation_id)
        adjusted = add_adjustments(connection, tenant.id, adjustments, report.correlation_id)
        kept = add_refused(connection, tenant.id, refused, report.correlation_id)
        there_count = len(events) - added.added_count + adjusted.there_count
        refused_count = len(refused) + adjusted.refused_count
        count_events(connection, added.added_count + adjusted.added_count, there_count, refused_count)
    report.row_count += len(batch)
    report.touch_count += added.touch_count
    report.conversion_count += added.conversion_count
    report.adjustment_count += adjusted.added_count
    report.waiting_count += adjusted.waiting_count
    report.there_count += there_count
    report.refused_count += refused_count
    report.kept_count += kept + adjusted.kept_count
    report.first_refused = report.first_refused or adjusted.first_refused


def _read(
    batch: list[Row], source: str, normaliser: Normaliser, occurrences: Occurrences
) -> tuple[list[Event], list[Adjustment], list[Refused]]:
    events: list[Event] = []
    adjustments: list[Adjustment] = []
    refused: list[Refused] = []
    reading = normaliser.options.as_json()
    for row in batch:
        digest = hashlib.sha256(row.text.encode()).digest()
        digest = hashlib.sha256(digest + occurrences.number(digest).to_bytes(8, "big")).digest()
        if row.values is None:
            message = row.problem or "cannot be read"
            refused.append(Refused(row.line, None, message, {"text": row.text}, digest, source, reading))
            continue
        try:
            if normaliser.is_adjustment(row.values):
                adjustments.append(normaliser.adjustment(row.values, digest, source, row.line))
            else:
                events += normaliser.events(row.values, digest)
        except InputError as error:
            refused.append(Refused(row.line, error.field, error.reason, dict(row.values), digest, source, reading))
    return events, adjustments, refused
