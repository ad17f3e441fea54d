"""The main job: one run allocates every conversion of its window, in one set-based pass."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.attribution import runs
from skeldir_huey.attribution.allocate import statement
from skeldir_huey.attribution.checksum import checksum
from skeldir_huey.attribution.journeys import is_long
from skeldir_huey.attribution.refunds import allocate_adjustments
from skeldir_huey.attribution.store import read_version
from skeldir_huey.attribution.totals import keep as keep_totals
from skeldir_huey.attribution.totals import totals_of
from skeldir_huey.attribution.types import Outcome, Run
from skeldir_huey.db.engine import rows
from skeldir_huey.db.retained import check_window
from skeldir_huey.db.sqlfile import sql


def recompute(connection: Connection, tenant_id: UUID, run_id: UUID) -> Run:
    """Allocate all conversions of the run's window and mark the run succeeded, in the caller's transaction.

    The same events give the same allocations, to the byte; rows that are right already are not written. Runs of the
    same tenant and model version wait for one another. The number of statements is the same for any window.

    Args:
        connection: a transaction of the tenant, as app_user.

    Raises:
        NotFound: the tenant has no such run.
        InputError: events that the window needs were removed when their time was over.
    """
    return recompute_together(connection, tenant_id, [run_id])[0]


def recompute_together(connection: Connection, tenant_id: UUID, run_ids: Sequence[UUID]) -> list[Run]:
    """Do several runs of one window, of different versions, in one pass: see `recompute`.

    Journeys are built once for all versions that agree on which touches count. The allocations are those that the
    runs would make one by one.

    Raises:
        NotFound: the tenant has no such run.
        ValueError: no run, two of one version, or their windows differ.
    """
    found = [runs.read(connection, tenant_id, run_id) for run_id in run_ids]
    if len({run.model_version for run in found}) < len(found) or len({_window(run) for run in found}) != 1:
        raise ValueError("expected runs of one window, each of another version")
    specs = [read_version(connection, tenant_id, run.model_version) for run in found]
    check_window(connection, tenant_id, found[0].window_start, max(spec.lookback_s for spec in specs))
    window = {
        "tenant_id": tenant_id,
        "window_start": found[0].window_start,
        "window_end": found[0].window_end,
    }
    # In one order, so that two transactions never wait for one another in a circle.
    for model_version in sorted(run.model_version for run in found):
        rows(connection, sql("attribution", "lock_model"), window | {"model_version": model_version})
    # Again: a run that had the lock may have changed what these have.
    found = [runs.read(connection, tenant_id, run_id) for run_id in run_ids]
    # Before the events are read: what an import commits after this keeps its range, and so its own run.
    for run in found:
        rows(connection, sql("attribution", "forget_dirty"), window | {"model_version": run.model_version})
    before = totals_of(connection, found, window)
    versions = window | {
        "model_versions": [run.model_version for run in found],
        "model_types": [spec.model_type for spec in specs],
        "run_ids": [run.id for run in found],
    }
    known = rows(connection, sql("attribution", "any_allocation"), versions)[0]["known"]
    into = "allocate" if known else "allocate_first"
    text, values = statement(specs, into, is_long=is_long(connection, window))
    values |= versions
    rows(connection, sql("attribution", "tune"))
    ended, written = [], []
    for run, spec, counts in zip(found, specs, rows(connection, text, values), strict=True):
        own = {"run_id": run.id, "model_version": run.model_version, "model_type": spec.model_type}
        refunds = allocate_adjustments(connection, window | own)
        if changed_spans := [part["changed_spans"] for part in (counts, refunds) if part["changed_spans"]]:
            runs.mark_stale(connection, run, changed_spans)
            written.append(run)
        # Each run that changes a window says so to the others: what none has touched since has the hash it had.
        kept = None if changed_spans or run.stale_since else run.checksum
        outcome = Outcome(
            conversion_count=counts["conversion_count"],
            allocation_count=counts["allocation_count"] + refunds["allocation_count"],
            changed_count=counts["changed_count"] + refunds["changed_count"],
            checksum=kept or checksum(connection, window | {"model_version": run.model_version}),
        )
        ended.append(runs.succeed(connection, tenant_id, run.id, outcome))
    after = before | totals_of(connection, written, window)
    for run in found:
        if run.model_version in before:
            keep_totals(connection, run, before[run.model_version], after[run.model_version])
    return ended


def _window(run: Run) -> tuple[object, object]:
    return run.window_start, run.window_end
