"""What a claim is: the right to one job, while its consumer lives."""

from __future__ import annotations

import datetime as dt
from typing import Any, NamedTuple
from uuid import UUID


class Claim(NamedTuple):
    """One claimed row of `huey.job`. `token` fences every statement that ends or returns it.

    The fields after `token` are the columns that `claim.sql` returns, in that order.
    """

    token: UUID
    id: int
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
    suspect: bool = False  # a consumer died with it: it begins by itself, see suspicion.py

    @classmethod
    def of_row(cls, row: dict[str, Any], token: UUID) -> Claim:
        """Make a claim from a row of `huey.job`."""
        return cls(token, **{name: row[name] for name in _COLUMNS} | {"message": bytes(row["message"])})


_COLUMNS = tuple(name for name in Claim._fields if name not in ("token", "revocable", "suspect"))


class ClaimedMessage(bytes):
    """The bytes of a job's message, with its claim: what Huey's storage interface hands to the executor."""

    claim: Claim | None = None

    @classmethod
    def of(cls, claim: Claim) -> ClaimedMessage:
        """Return the claim's message with the claim on it."""
        made = cls(claim.message)
        made.claim = claim
        return made
