"""Operations on many letters: what a filter means now, and how far an operation is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row

from admin.params import After
from admin.reads.pages import Page, read_page
from admin.show import number
from skeldir_huey.db.tables import BulkItem, BulkOperation, BulkShare, FailedJob
from skeldir_huey.queue.bulk_letters import NEEDS
from skeldir_huey.queue.letter_filter import LetterFilter

SAMPLES = 5
DONE_WORDS = {"replay": "queued", "abandon": "abandoned", "reopen": "reopened"}


@dataclass(frozen=True)
class Frozen:
    """What a filter means at one moment."""

    drafted_at: datetime
    cutoff_at: datetime
    cutoff_id: UUID
    count: int
    shares: list[dict[str, Any]]
    samples: list[dict[str, Any]]


@dataclass(frozen=True)
class Progress:
    """The sums over an operation's shares."""

    done: int
    failed: int
    skipped: dict[str, int]

    @property
    def skipped_count(self) -> int:
        return sum(self.skipped.values())

    @property
    def handled(self) -> int:
        return self.done + self.failed + self.skipped_count


def freeze(connection: Connection, verb: str, wanted: LetterFilter, source_id: UUID | None) -> Frozen | None:
    """Return what the filter means now; None when no letter matches."""
    conditions = wanted.with_status(NEEDS[verb]).conditions()
    if source_id is not None:
        conditions.append(FailedJob.id.in_(_of_source(verb, source_id)))
    listed = (FailedJob.id, FailedJob.tenant_id, FailedJob.task_name, FailedJob.error_message, FailedJob.failed_at)
    newest = connection.execute(
        sa.select(*listed, sa.func.clock_timestamp().label("now"))
        .where(*conditions)
        .order_by(FailedJob.failed_at.desc(), FailedJob.id.desc())
        .limit(SAMPLES)
    ).all()
    if not newest:
        return None
    first = newest[0]
    cutoff = sa.tuple_(sa.literal(first.failed_at), sa.literal(first.id))
    shares = connection.execute(
        sa.select(FailedJob.tenant_id, sa.func.count())
        .where(*conditions, sa.tuple_(FailedJob.failed_at, FailedJob.id) <= cutoff)
        .group_by(FailedJob.tenant_id)
        .order_by(sa.func.count().desc(), FailedJob.tenant_id)
    ).all()
    samples = [{"id": str(row.id), "task": row.task_name, "error": row.error_message[:200]} for row in newest]
    split = [{"tenant_id": tenant and str(tenant), "item_count": count} for tenant, count in shares]
    return Frozen(first.now, first.failed_at, first.id, sum(count for _, count in shares), split, samples)


def _of_source(verb: str, source_id: UUID) -> sa.Select[Any]:
    result = "done" if verb == "reopen" else "failed"
    return sa.select(BulkItem.letter_id).where(BulkItem.operation_id == source_id, BulkItem.result == result)


def page(connection: Connection, after: After | None) -> Page:
    """Return one page of operations, the newest first."""
    return read_page(
        connection, sa.select(BulkOperation), BulkOperation.created_at, BulkOperation.id, after  # type: ignore[arg-type]
    )  # fmt: skip


def one(connection: Connection, operation_id: UUID) -> Row | None:
    """Return an operation, or None when this scope has none of that id."""
    return connection.execute(sa.select(BulkOperation).where(BulkOperation.id == operation_id)).one_or_none()


def shares_of(connection: Connection, operation_id: UUID) -> Sequence[Row]:
    """Return an operation's shares, in the order in which they are done."""
    return connection.execute(
        sa.select(BulkShare).where(BulkShare.operation_id == operation_id).order_by(BulkShare.id)
    ).all()


def progress(shares: Sequence[Any]) -> Progress:
    """Return the sums over shares."""
    skipped: dict[str, int] = {}
    for share in shares:
        for why, count in share.skipped.items():
            skipped[why] = skipped.get(why, 0) + count
    return Progress(sum(one.done_count for one in shares), sum(one.failed_count for one in shares), skipped)


def progress_of(connection: Connection, operation_ids: Sequence[UUID]) -> dict[UUID, Progress]:
    """Return the progress of several operations."""
    found: dict[UUID, list[Any]] = {one: [] for one in operation_ids}
    for share in connection.execute(sa.select(BulkShare).where(BulkShare.operation_id.in_(operation_ids))):
        found[share.operation_id].append(share)
    return {one: progress(shares) for one, shares in found.items()}


def failures(connection: Connection, operation_id: UUID) -> Sequence[Row]:
    """Return why letters of an operation failed, with how many of each."""
    count = sa.func.count().label("n")
    return connection.execute(
        sa.select(BulkItem.detail, count)
        .where(BulkItem.operation_id == operation_id, BulkItem.result == "failed")
        .group_by(BulkItem.detail)
        .order_by(count.desc())
        .limit(20)
    ).all()


def follow_ups(connection: Connection, operation_id: UUID) -> Sequence[Row]:
    """Return the operations that undo this one or try its failures again."""
    return connection.execute(
        sa.select(BulkOperation.id, BulkOperation.verb, BulkOperation.state)
        .where(BulkOperation.source_id == operation_id, BulkOperation.state != "draft")
        .order_by(BulkOperation.created_at.desc())
        .limit(20)
    ).all()


def of_letter(connection: Connection, letter_id: UUID) -> Sequence[Row]:
    """Return what operations did to one letter, the newest first."""
    return connection.execute(
        sa.select(BulkItem).where(BulkItem.letter_id == letter_id).order_by(BulkItem.id.desc()).limit(20)
    ).all()


def sentence(verb: str, found: Progress, failed: Sequence[Any] = ()) -> str:
    """Return how an operation ended, in one sentence: 993 queued, 7 skipped: already replayed."""
    said = [f"{number(found.done)} {DONE_WORDS[verb]}"]
    if found.skipped:
        reasons = sorted(found.skipped.items(), key=lambda pair: -pair[1])
        why = reasons[0][0] if len(reasons) == 1 else ", ".join(f"{name} ({number(count)})" for name, count in reasons)
        said.append(f"{number(found.skipped_count)} skipped: {why}")
    if found.failed:
        several = ", ".join(f"{row.detail} ({number(row.n)})" for row in failed[:3])
        why = failed[0].detail if len(failed) == 1 else several
        said.append(f"{number(found.failed)} failed" + (f": {why}" if failed else ""))
    return ", ".join(said)
