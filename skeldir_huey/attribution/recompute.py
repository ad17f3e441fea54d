"""The main job: one run allocates every conversion of its window, in one set-based pass."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.attribution import runs
from skeldir_huey.attribution.allocate import statement
from skeldir_huey.attribution.checksum import checksum
from skeldir_huey.attribution.models import model_of
from skeldir_huey.attribution.store import read_version
from skeldir_huey.attribution.types import Outcome, Run
from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql


def recompute(connection: Connection, tenant_id: UUID, run_id: UUID) -> Run:
    """Allocate all conversions of the run's window and mark the run succeeded, in the caller's transaction.

    The same events give the same allocations, to the byte; rows that are right already are not written. Runs of the
    same tenant and model version wait for one another. The number of statements is the same for any window.

    Args:
        connection: a transaction of the tenant, as app_user.

    Raises:
        NotFound: the tenant has no such run.
    """
    run = runs.read(connection, tenant_id, run_id)
    spec = read_version(connection, tenant_id, run.model_version)
    values = {
        "tenant_id": tenant_id,
        "run_id": run_id,
        "window_start": run.window_start,
        "window_end": run.window_end,
        "model_version": run.model_version,
        "model_type": spec.model_type,
    }
    rows(connection, sql("attribution", "lock_model"), values)
    # Before the events are read: what an import commits after this keeps its range, and so its own run.
    rows(connection, sql("attribution", "forget_dirty"), values)
    counts = rows(connection, statement(spec), values | model_of(spec.model_type).values(spec.params))[0]
    outcome = Outcome(**counts, checksum=checksum(connection, values))
    return runs.succeed(connection, tenant_id, run_id, outcome)
