"""Training from stored path counts: the chain itself, and its bootstrap intervals."""

from __future__ import annotations

import time
from datetime import date, timedelta
from typing import Any

from bench.attribution.data import DAYS, START, add_paths
from bench.attribution.place import Place
from skeldir_huey.attribution.channel_reports import DRAWS, markov_global
from skeldir_huey.attribution.paths import read_paths
from skeldir_huey.db.engine import transaction
from skeldir_huey.ingest.tenants import create_tenant


def markov(place: Place, journeys: int) -> dict[str, Any]:
    """Measure order 1 from the counts of so many journeys."""
    tenant_id = create_tenant("paths")
    stored = add_paths(place, tenant_id, journeys)
    first_day = date.fromisoformat(START[:10])
    began = time.perf_counter()
    with transaction(tenant_id, read_only=True) as connection:
        paths = read_paths(connection, tenant_id, first_day, first_day + timedelta(days=DAYS - 1))
    read_s = time.perf_counter() - began
    began = time.perf_counter()
    report = markov_global(paths, 1, draws=0)
    chain_s = time.perf_counter() - began
    began = time.perf_counter()
    markov_global(paths, 1, draws=DRAWS)
    return {
        "part": "markov",
        "journeys": report.conversion_count + report.null_count,
        "stored_rows": stored,
        "paths": len(paths),
        "read_s": read_s,
        "train_s": read_s + chain_s,
        "bootstrap_s": time.perf_counter() - began,
        "draws": DRAWS,
    }
