"""What the server does with the plan that a session keeps for claims."""

from __future__ import annotations

import uuid
from typing import Any

from skeldir_huey.queue import storage as storages
from skeldir_huey.queue.claims import Place
from skeldir_huey.queue.desk import MAX_BATCH
from skeldir_huey.queue.storage import PostgresStorage, statement
from skeldir_huey.queue.suspicion import TAKE


def explain_claim(storage: PostgresStorage, options: str, place: Place | None = None) -> list[Any]:
    """Claim a batch by the kept plan and return what `explain` with these options says of it."""
    name, text = ("claim_on", storages._claim_on()) if place else ("claim", statement("claim"))
    parameters: dict[str, Any] = {
        "lanes": [place.lane] if place else list(storage.lanes),
        "total": MAX_BATCH,
        "token": uuid.uuid4(),
        "consumer_id": storage.consumer_id,
        "now": None,
        "suspects": TAKE,
        "apart": True,
        **({"priority": place.priority, "rank": place.rank} if place else {}),
    }
    storage.claim(uuid.uuid4(), 1, place=place)  # the session has the plan from now on
    kept = storage._line._kept(name, text).replace("execute ", f"explain ({options}) execute ")
    return [row[0] for row in storage._line.rows(kept, parameters)]
