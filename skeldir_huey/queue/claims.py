"""What a claim is: the right to one job, while its consumer lives."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any
from uuid import UUID


@dataclass(slots=True, frozen=True)
class Claim:
    """One claimed row of `huey.job`. `token` fences every statement that ends or returns it."""

    id: int
    token: UUID
    task_id: str
    lane: str
    priority: float
    rank: float
    task_name: str
    tenant_id: UUID | None
    correlation_id: UUID | None
    message: bytes
    attempt: int
    deaths: int
    letter_id: UUID | None
    unknown_since: dt.datetime | None
    enqueued_at: dt.datetime
    run_at: dt.datetime
    claimed_at: dt.datetime
    revocable: bool = True  # a revocation was stored for its id or its task when it was claimed

    @classmethod
    def of_row(cls, row: dict[str, Any], token: UUID) -> Claim:
        """Make a claim from a row that `claim.sql` returned."""
        given = {name: row[name] for name in _FROM_ROW}
        return cls(token=token, message=bytes(row["message"]), revocable=row.get("revocable", True), **given)


_FROM_ROW = tuple(name for name in Claim.__dataclass_fields__ if name not in ("token", "message", "revocable"))


class ClaimedMessage(bytes):
    """The bytes of a job's message, with its claim: what Huey's storage interface hands to the executor."""

    claim: Claim | None = None

    @classmethod
    def of(cls, claim: Claim) -> ClaimedMessage:
        """Return the claim's message with the claim on it."""
        made = cls(claim.message)
        made.claim = claim
        return made
