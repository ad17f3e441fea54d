"""What a claim is: the right to one job, while its consumer lives."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
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
    apart: bool = False  # it was not the only suspect there: none is beside it

    @classmethod
    def of_tuple(cls, row: tuple[Any, ...], token: UUID) -> Claim:
        """Make a claim from what `claim.sql` returned; the driver gives a message as memoryview."""
        return cls._make((token, *row[:_MESSAGE], bytes(row[_MESSAGE]), *row[_MESSAGE + 1 :]))

    @classmethod
    def of_row(cls, row: dict[str, Any], token: UUID) -> Claim:
        """Make a claim from a row of `huey.job`."""
        return cls(token, **{name: row[name] for name in _COLUMNS} | {"message": bytes(row["message"])})


_MESSAGE = Claim._fields.index("message") - 1
_COLUMNS = tuple(name for name in Claim._fields if name not in ("token", "revocable", "suspect", "apart"))


class Place(NamedTuple):
    """Where the jobs of a claim began in the order of their lane. Another one may go on from there for a while.

    Until the table is vacuumed, the index keeps an entry of each job that was claimed, and a claim from the lane's
    beginning reads past them all: at 10,000 jobs a second 100,000 in ten seconds, which makes it three times as dear.
    """

    lane: str
    priority: float
    rank: float

    @classmethod
    def of(cls, claims: Sequence[Claim]) -> Place | None:
        """Return the place of claims in their order; None when they are of several lanes or priorities."""
        first, last = claims[0], claims[-1]
        if (first.lane, first.priority) != (last.lane, last.priority):
            return None
        return cls(first.lane, first.priority, first.rank)


class ClaimedMessage(bytes):
    """The bytes of a job's message, with its claim: what Huey's storage interface hands to the executor."""

    claim: Claim | None = None

    @classmethod
    def of(cls, claim: Claim) -> ClaimedMessage:
        """Return the claim's message with the claim on it."""
        made = cls(claim.message)
        made.claim = claim
        return made
