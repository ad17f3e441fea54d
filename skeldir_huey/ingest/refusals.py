"""Records that are refused: kept in dead_events, once each, redacted, with the field and the reason."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.log import redact


@dataclass(frozen=True)
class Refused:
    """A record that is no event, and why. `payload` is redacted when it is written; `source` is such as a file name.

    Attributes:
        reading: how it was read, so that it can be tried again, see `reread`; None: it cannot.
    """

    line: int | None
    field: str | None
    message: str
    payload: dict[str, Any]
    idempotency_key: bytes
    source: str
    reading: dict[str, Any] | None = None


def add_refused(connection: Connection, tenant_id: UUID, refused: Sequence[Refused], correlation_id: UUID) -> int:
    """Keep refused records as dead_events, once each; return how many are new.

    Args:
        connection: a transaction of the tenant, as app_import.
    """
    if not refused:
        return 0
    values = {
        "tenant_id": tenant_id,
        "correlation_id": correlation_id,
        "source": [record.source for record in refused],
        "line": [record.line for record in refused],
        "idempotency_key": [record.idempotency_key for record in refused],
        "payload": [json.dumps(_storable(redact(record.payload)), default=str) for record in refused],
        "reading": [record.reading and json.dumps(record.reading) for record in refused],
        "field": [record.field and _storable(record.field) for record in refused],
        "message": [_storable(redact(record.message)) for record in refused],
    }
    kept: int = rows(connection, sql("ingest", "add_refused"), values)[0]["kept_count"]
    return kept


def judge_refused(connection: Connection, tenant_id: UUID, news: Mapping[bytes, Refused | None]) -> None:
    """Say of records that are kept already, by their keys, why they are refused now, or None: that they are resolved.

    Args:
        connection: a transaction of the tenant, as app_import.
    """
    values = {
        "tenant_id": tenant_id,
        "keys": [*news],
        "fields": [record and record.field for record in news.values()],
        "messages": [record and _storable(redact(record.message)) for record in news.values()],
    }
    rows(connection, sql("ingest", "judge_refused"), values)


def _storable(value: Any) -> Any:
    """Return the value without what Postgres cannot store: NUL, and halves of surrogate pairs."""
    if isinstance(value, str):
        return value.replace("\x00", "\\x00").encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {_storable(key): _storable(part) for key, part in value.items()}
    if isinstance(value, list):
        return [_storable(part) for part in value]
    return value
