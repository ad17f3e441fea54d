"""linear as a plain Python loop: read the events, look at each journey, split, write 2,000 rows at a time."""

from __future__ import annotations

import time
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from bench.attribution.peers.target import READ, WRITE, target
from bench.attribution.place import Place
from skeldir_huey.db.engine import transaction

BATCH_ROWS = 2000
LOOKBACK = timedelta(days=30)


def loop(place: Place, tenant_id: UUID, start: str, end: str) -> dict[str, Any]:
    """Allocate a window; returns seconds, rows and the sum per channel."""
    target(place)
    opening = datetime.fromisoformat(start)
    began = time.perf_counter()
    with transaction(tenant_id) as connection:
        touches: dict[str, list[tuple[Any, str]]] = defaultdict(list)
        sales = []
        for event_id, at, kind, journey, channel, cents in connection.exec_driver_sql(READ, (str(tenant_id), end)):
            if kind == "touch":
                touches[journey].append((at, channel))
            elif at >= opening:
                sales.append((str(event_id), at, journey, channel, cents))
        made: list[tuple[str, str, int]] = []
        for event_id, at, journey, own, cents in sales:
            seen = touches[journey]
            low, high = bisect_left(seen, at - LOOKBACK, key=_at), bisect_right(seen, at, key=_at)
            counts = Counter(channel for _, channel in seen[low:high]) or Counter([own])
            made += [(event_id, channel, part) for channel, part in _split(cents, counts)]
        for first in range(0, len(made), BATCH_ROWS):
            columns = zip(*made[first : first + BATCH_ROWS], strict=True)
            connection.exec_driver_sql(WRITE, tuple(map(list, columns)))
    return {"seconds": time.perf_counter() - began}


def _at(touch: tuple[Any, str]) -> Any:
    return touch[0]


def _split(cents: int, counts: Counter[str]) -> list[tuple[str, int]]:
    whole = counts.total()
    parts = {channel: divmod(cents * count, whole) for channel, count in counts.items()}
    left = cents - sum(floor for floor, _ in parts.values())
    order = sorted(parts, key=lambda channel: (-parts[channel][1], channel))
    return [(channel, parts[channel][0] + (nth < left)) for nth, channel in enumerate(order)]
