"""Operations on many dead letters: a step is a batch of one tenant's letters, in the transaction of the step's job."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import enter, rows
from skeldir_huey.db.tables import BulkItem, FailedJob
from skeldir_huey.errors import Conflict, SkeldirError
from skeldir_huey.queue import dead_letters
from skeldir_huey.queue.letter_filter import LetterFilter
from skeldir_huey.queue.storage import statement

BATCH = 200
BACKGROUND = -10.0  # priority of replayed jobs: what comes in now goes first

# What a letter must be for a verb, and what the verb makes of it.
NEEDS = {"replay": "pending", "abandon": "pending", "reopen": "abandoned"}
BECOMES = {"abandon": "abandoned", "reopen": "pending"}

# Why a letter is left alone, by the status that it has now.
SKIPS = {
    "in_progress": "already replayed",
    "resolved": "already replayed",
    "abandoned": "abandoned",
    "pending": "reopened",
}
CHANGED = "changed since"
UNKNOWN_TASK = "task no longer exists"


@dataclass(frozen=True)
class Step:
    """What follows a step: the operation's state, and in how many seconds the next step may come."""

    state: str
    delay_s: float = 0.0


def start(connection: Connection, operation_id: UUID) -> None:
    """Make the operation's shares, one per tenant, unless they are there."""
    rows(connection, statement("bulk_shares"), {"id": operation_id})


def step(connection: Connection, operation_id: UUID, knows_task: Callable[[str], bool]) -> Step:
    """Do the next batch of an operation: at most 200 letters, of one tenant.

    Every letter is guarded by its status, so what was done since the filter was frozen is left alone. Nothing is
    committed here: a step whose worker dies has not happened.

    Args:
        connection: the open transaction of the job, acting as app_rw; it acts so again afterwards.
        operation_id: the operation; one that is not running is left as it is.
        knows_task: says whether a task of that name is registered.
    """
    found = rows(connection, statement("bulk_lock"), {"id": operation_id})
    if not found or found[0]["state"] != "running":
        return Step(found[0]["state"] if found else "gone")
    operation = found[0]
    start(connection, operation_id)
    shares = rows(connection, statement("bulk_next_share"), {"id": operation_id})
    if not shares:
        rows(connection, statement("bulk_end"), {"id": operation_id})
        return Step("done")
    share = shares[0]
    enter(connection, share["tenant_id"], None if share["tenant_id"] else "app_rw")
    letters = connection.execute(_letters(operation, share)).all()
    items = [_item(connection, operation, letter, knows_task) for letter in letters]
    enter(connection, None, "app_rw")
    _note(connection, operation_id, share, letters, items)
    rate = operation["rate"]
    return Step("running", len(items) / rate if rate else 0.0)


def _letters(operation: dict[str, Any], share: dict[str, Any]) -> sa.Select[Any]:
    wanted, table = NEEDS[operation["verb"]], FailedJob
    key = sa.tuple_(table.failed_at, table.id)
    here = sa.tuple_(sa.literal(operation["cutoff_at"]), sa.literal(operation["cutoff_id"]))
    untouched = sa.and_(table.status == wanted, table.status_at <= operation["drafted_at"])
    changed = sa.and_(table.status != wanted, table.status_at > operation["drafted_at"])
    columns: tuple[Any, ...] = (table.id, table.status, table.failed_at, table.task_name)
    found: sa.Select[Any] = (
        sa.select(*columns)
        .where(*LetterFilter.of_json(operation["filter"]).conditions(with_status=False))
        .where(key <= here, sa.or_(untouched, changed))
    )
    if share["cursor_at"] is not None:
        found = found.where(key < sa.tuple_(sa.literal(share["cursor_at"]), sa.literal(share["cursor_id"])))
    if operation["source_id"] is not None:
        # An undo goes over what the other one did, a second try over what failed.
        result = "done" if operation["verb"] == "reopen" else "failed"
        source = sa.select(BulkItem.letter_id).where(
            BulkItem.operation_id == operation["source_id"], BulkItem.result == result
        )
        found = found.where(table.id.in_(source))
    newest_first = found.order_by(table.failed_at.desc(), table.id.desc()).limit(BATCH)
    # Somebody else's hand on a letter is not waited for: what they do with it is seen in the counts.
    return newest_first.with_for_update(skip_locked=True)


def _item(
    connection: Connection, operation: dict[str, Any], letter: Any, knows_task: Callable[[str], bool]
) -> dict[str, Any]:
    item = {"letter_id": letter.id, "result": "done", "detail": None, "task_id": None}
    if letter.status != NEEDS[operation["verb"]]:
        return item | {"result": "skipped", "detail": SKIPS[letter.status]}
    try:
        with connection.begin_nested():
            if operation["verb"] != "replay":
                _move(connection, operation, letter.id)
                return item
            if not knows_task(letter.task_name):
                return item | {"result": "failed", "detail": UNKNOWN_TASK}
            return item | {"task_id": dead_letters.replay(connection, letter.id, priority=BACKGROUND)}
    except Conflict:
        return item | {"result": "skipped", "detail": CHANGED}
    except SkeldirError as error:
        return item | {"result": "failed", "detail": str(error)[:300]}


def _move(connection: Connection, operation: dict[str, Any], letter_id: UUID) -> None:
    moved = connection.execute(
        sa.update(FailedJob)
        .where(FailedJob.id == letter_id, FailedJob.status == NEEDS[operation["verb"]])
        .values(status=BECOMES[operation["verb"]], remediation_notes=operation["reason"])
    )
    if not moved.rowcount:
        raise Conflict(CHANGED)


def _note(
    connection: Connection, operation_id: UUID, share: dict[str, Any], letters: Any, items: list[dict[str, Any]]
) -> None:
    counts = Counter(item["result"] for item in items)
    skipped = Counter(item["detail"] for item in items if item["result"] == "skipped")
    total = Counter(share["skipped"]) + skipped
    ended = len(items) < BATCH
    done, failed = share["done_count"] + counts["done"], share["failed_count"] + counts["failed"]
    missing = share["item_count"] - done - failed - total.total()
    if ended and missing > 0:
        total[CHANGED] += missing  # counted when the filter was frozen, and no longer found
    values = {
        "id": share["id"],
        "done": done,
        "failed": failed,
        "skipped": total,
        "cursor_at": letters[-1].failed_at if letters else share["cursor_at"],
        "cursor_id": letters[-1].id if letters else share["cursor_id"],
        "ended": ended,
    }
    rows(connection, statement("bulk_note"), values | {"skipped": json.dumps(total)})
    if items:
        add = [item | {"operation_id": operation_id, "tenant_id": share["tenant_id"]} for item in items]
        connection.execute(sa.insert(BulkItem), add)
