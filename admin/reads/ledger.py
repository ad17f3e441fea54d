"""The conservation ledger per lane: every job that was enqueued is somewhere, or a red number says how many are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from uuid import UUID

from sqlalchemy.engine import Connection

from admin.show import number
from skeldir_huey.config import LANES
from skeldir_huey.queue import control

KINDS = ("scheduled", "waiting", "running", "done", "dead", "cancelled", "pruned")


@dataclass
class Line:
    """One lane, its tenants summed.

    `missing` and `surplus` are counted per tenant: a job lost here and one too many there do not cancel out.
    """

    lane: str
    tenants: set[UUID] = field(default_factory=set)
    enqueued: int = 0
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(KINDS, 0))
    missing: int = 0
    surplus: int = 0

    @property
    def tenant_count(self) -> int:
        return len(self.tenants)

    @property
    def gap(self) -> int:
        return self.missing - self.surplus

    @property
    def adds_up(self) -> bool:
        return not self.missing and not self.surplus

    @property
    def words(self) -> str:
        """Return the check in words, as in "adds up" or "1 job missing"."""
        found = []
        for count, what in ((self.missing, "missing"), (self.surplus, "too many")):
            if count:
                found.append(f"{number(count)} {'job' if count == 1 else 'jobs'} {what}")
        return ", ".join(found) or "adds up"


def ledger(connection: Connection) -> list[Line]:
    """Return every lane by name, with what this scope may see of it."""
    lines = {name: Line(name) for name in sorted(LANES)}
    for row in control.ledger(connection):
        line = lines.setdefault(row["lane"], Line(row["lane"]))
        line.tenants |= {row["tenant_id"]} - {None}
        line.enqueued += row["enqueued"]
        line.missing += max(row["gap"], 0)
        line.surplus += max(-row["gap"], 0)
        for kind in KINDS:
            line.counts[kind] += row[kind]
    return list(lines.values())


def total(lines: Sequence[Line]) -> Line:
    """Return the sum of all lanes; a tenant with jobs in two lanes counts once."""
    return Line(
        lane="",
        tenants=set[UUID]().union(*(line.tenants for line in lines)),
        enqueued=sum(line.enqueued for line in lines),
        counts={kind: sum(line.counts[kind] for line in lines) for kind in KINDS},
        missing=sum(line.missing for line in lines),
        surplus=sum(line.surplus for line in lines),
    )
