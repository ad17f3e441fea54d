"""The audit log's chains of hashes, checked row by row: a changed, missing or moved row is found and named."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql

BATCH = 5000

WORDS = {
    "missing": "row {no} is not in its place: a row before it is missing",
    "changed": "row {no} is not as it was written",
    "moved": "row {no} does not follow the row before it",
    "cut": "rows after {no} are missing: the chain should be longer",
    "headless": "nothing says how long the chain should be",
}


@dataclass(frozen=True)
class Chain:
    """What was found in one chain.

    Args:
        tenant_id: None for the chain of the rows without a tenant.
        tenant_name: for people; None likewise.
        length: rows that are as they were written, counted from the first.
        hash: of the last row of a whole chain, as hex; note it elsewhere to recognise the log later.
        fault: a key of WORDS, None when the chain is whole.
        fault_no: the row where it was found.
    """

    tenant_id: UUID | None
    tenant_name: str | None
    length: int
    hash: str
    fault: str | None = None
    fault_no: int | None = None

    @property
    def words(self) -> str:
        """Return the verdict as a sentence."""
        return WORDS[self.fault].format(no=self.fault_no) if self.fault else "whole"


def verify(connection: Connection, batch: int = BATCH) -> Iterator[Chain]:
    """Look at every audit row that the role of this transaction sees, chain by chain.

    Args:
        connection: of a transaction; a repeatable-read one is not needed, rows are only ever added at the end.
        batch: rows per statement, so that memory stays flat.
    """
    for head in rows(connection, sql("db", "audit_chains")):
        yield _verify_chain(connection, head["tenant_id"], head["tenant_name"], batch)


def _verify_chain(connection: Connection, tenant_id: UUID | None, name: str | None, batch: int) -> Chain:
    last_no, last_hash = 0, b""
    # Read first: rows that are added meanwhile make the chain longer than this, never shorter.
    promised = rows(connection, sql("db", "audit_head"), {"tenant_id": tenant_id})
    while True:
        (part,) = rows(
            connection,
            sql("db", "verify_audit"),
            {"tenant_id": tenant_id, "after_no": last_no, "after_hash": last_hash, "limit": batch},
        )
        if part["fault"]:
            return Chain(tenant_id, name, part["fault_no"] - 1, "", part["fault"], part["fault_no"])
        if part["row_count"]:
            last_no, last_hash = part["last_no"], bytes(part["last_hash"])
        if part["row_count"] < batch:
            break
    if not promised:
        return Chain(tenant_id, name, last_no, last_hash.hex(), "headless", last_no)
    if promised[0]["length"] > last_no:
        return Chain(tenant_id, name, last_no, last_hash.hex(), "cut", last_no)
    if promised[0]["length"] == last_no and bytes(promised[0]["hash"]) != last_hash:
        return Chain(tenant_id, name, last_no, last_hash.hex(), "changed", last_no)
    return Chain(tenant_id, name, last_no, last_hash.hex())
