"""A claim as its statement takes it, and what the server does with the plan that a session keeps for it."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from skeldir_huey.queue import storage as storages
from skeldir_huey.queue.claims import Place
from skeldir_huey.queue.desk import MAX_BATCH
from skeldir_huey.queue.storage import PostgresStorage, statement
from skeldir_huey.queue.suspicion import IDLE


def claim_parameters(lanes: Sequence[str], total: int = MAX_BATCH, consumer_id: UUID | None = None) -> dict[str, Any]:
    """Return what `claim.sql` and `claim_capped.sql` need, for a process that has nothing to do."""
    own = {"lanes": list(lanes), "total": total, "token": uuid.uuid4(), "consumer_id": consumer_id or uuid.uuid4()}
    return own | {"now": None, "suspects": IDLE.rule, "apart": IDLE.apart}


def explain_claim(storage: PostgresStorage, options: str, place: Place | None = None) -> list[Any]:
    """Claim a batch by the kept plan and return what `explain` with these options says of it."""
    name, text = ("claim_on", storages._claim_on()) if place else ("claim", statement("claim"))
    parameters = claim_parameters([place.lane] if place else storage.lanes, consumer_id=storage.consumer_id)
    if place:
        parameters |= {"priority": place.priority, "rank": place.rank}
    storage.claim(uuid.uuid4(), 1, place=place)  # the session has the plan from now on
    kept = storage._line._kept(name, text).replace("execute ", f"explain ({options}) execute ")
    return [row[0] for row in storage._line.rows(kept, parameters)]
