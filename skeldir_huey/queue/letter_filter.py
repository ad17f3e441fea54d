"""Which dead letters are meant: one description for the list, its counts, its export and operations on all of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import JSONB

from skeldir_huey.db.tables import FailedJob

Condition = sa.ColumnElement[bool]


@dataclass(frozen=True)
class LetterFilter:
    """What a letter must fulfil; "" and () ask for nothing.

    Args:
        status: one of the four, or "any".
        task: a whole name, or its last word.
        error: a part of the class or of the message.
        args: for each argument asked for, the JSON values of which the keyword arguments must contain one.
        tries: pairs (comparison, number) on the replays that failed.
        ids: these letters only.
        since, until: half-open range of the failure, ISO instants.
    """

    status: str = "pending"
    queue: str = ""
    task: str = ""
    error: str = ""
    fingerprint: str = ""
    task_id: str = ""
    correlation: str = ""
    since: str = ""
    until: str = ""
    args: tuple[tuple[Any, ...], ...] = ()
    tries: tuple[tuple[str, int], ...] = ()
    ids: tuple[str, ...] = ()

    def conditions(self, with_status: bool = True) -> list[Condition]:
        """Return it as conditions on worker_failed_jobs."""
        table = FailedJob
        found: list[Condition] = []
        if with_status and self.status != "any":
            found.append(table.status == self.status)
        if self.queue:
            found.append(table.queue == self.queue)
        if self.task:
            found.append(
                sa.or_(table.task_name == self.task, table.task_name.endswith("." + self.task, autoescape=True))
            )
        if self.error:
            parts = (table.exception_class, table.error_message)
            found.append(sa.or_(*(part.icontains(self.error, autoescape=True) for part in parts)))
        if self.fingerprint:
            found.append(table.fingerprint == self.fingerprint)
        if self.task_id:
            found.append(table.task_id == self.task_id)
        if self.correlation:
            found.append(table.correlation_id == UUID(self.correlation))
        if self.since:
            found.append(table.failed_at >= datetime.fromisoformat(self.since))
        if self.until:
            found.append(table.failed_at < datetime.fromisoformat(self.until))
        for values in self.args:
            found.append(sa.or_(*(sa.cast(table.task_kwargs, JSONB).contains(value) for value in values)))
        for sign, number in self.tries:
            found.append(table.retry_count.op(sign, is_comparison=True)(number))
        if self.ids:
            found.append(table.id.in_([UUID(one) for one in self.ids]))
        return found

    def with_status(self, status: str) -> LetterFilter:
        """Return the same filter for another status."""
        return replace(self, status=status)

    def as_json(self) -> dict[str, Any]:
        """Return what is kept of it: only what it asks for."""
        return {name: value for name, value in asdict(self).items() if value}

    @classmethod
    def of_json(cls, kept: Mapping[str, Any]) -> LetterFilter:
        """Undo `as_json`."""
        pairs = {name: tuple(map(tuple, kept.get(name, ()))) for name in ("args", "tries")}
        return cls(**{**kept, **pairs, "ids": tuple(kept.get("ids", ()))})

    def words(self) -> str:
        """Return it in words, for people."""
        said = [f"status {self.status.replace('_', ' ')}"] if self.status != "any" else ["any status"]
        for name in ("queue", "task", "error", "fingerprint", "task_id", "correlation", "since", "until"):
            value = getattr(self, name)
            if value:
                said.append(f"{ {'queue': 'lane', 'task_id': 'job'}.get(name, name) } {value}")
        if self.args:
            said.append(f"{len(self.args)} of the arguments")
        said += [f"replays {sign} {number}" for sign, number in self.tries]
        if self.ids:
            said.append(f"{len(self.ids)} chosen")
        return ", ".join(said)
