"""The values that attribution speaks in: a model version, a run, and what a run did."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import Any
from uuid import UUID


def canonical_json(value: Mapping[str, Any]) -> str:
    """Return the one JSON text of a value: keys sorted, no spaces, ASCII only."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


@dataclass(frozen=True)
class ModelSpec:
    """A model version: an immutable name, the rule it follows and all of its parameters.

    Args:
        name: lower case letters, digits and underscores, such as linear.
        version: such as 1.0.0.
        model_type: the rule, a file of `attribution.models`.
        params: every parameter of the rule, defaults filled in.
    """

    name: str
    version: str
    model_type: str
    params: Mapping[str, Any]

    @property
    def model_version(self) -> str:
        """Return name@version, the form that tables and commands use."""
        return f"{self.name}@{self.version}"

    @property
    def lookback_s(self) -> int:
        """Return how far before a conversion its touches may lie, seconds; 0 for a rule that looks at no touch."""
        return int(self.params.get("lookback_s") or 0)

    @property
    def params_hash(self) -> bytes:
        """Return the SHA-256 of the parameters' canonical JSON."""
        return sha256(canonical_json(self.params).encode()).digest()


@dataclass(frozen=True)
class Run:
    """One recompute: tenant x window x model version, a row of attribution_recompute_jobs.

    Args:
        window_start, window_end: half-open, [start, end) of conversion times.
        status: pending, running, succeeded or failed.
        run_count: completed executions.
        changed_count: allocation rows that the last execution inserted, updated or deleted.
        checksum: SHA-256 of the allocations of the window when the last execution ended, see `attribution.checksum`.
        stale_since: when another run first changed allocations of this window after that; None while it is current.
    """

    tenant_id: UUID
    id: UUID
    window_start: datetime
    window_end: datetime
    model_version: str
    status: str
    run_count: int
    last_correlation_id: UUID | None
    task_id: str | None
    conversion_count: int | None
    allocation_count: int | None
    changed_count: int | None
    checksum: bytes | None
    error_message: str | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    stale_since: datetime | None


@dataclass(frozen=True)
class Outcome:
    """What one execution of a run did: conversions seen, allocation rows they have, rows changed, their checksum."""

    conversion_count: int
    allocation_count: int
    changed_count: int
    checksum: bytes
