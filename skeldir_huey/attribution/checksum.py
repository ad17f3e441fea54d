"""The SHA-256 by which two runs, or two days, are shown to agree."""

from __future__ import annotations

import hashlib
from typing import Any

from sqlalchemy.engine import Connection

from skeldir_huey.attribution.ranges import by_block
from skeldir_huey.db.sqlfile import sql


class _Hash:
    """A file that only keeps the hash of what was written to it, called once per row: its `write` is C's own."""

    def __init__(self) -> None:
        sha256 = hashlib.sha256()
        self.write, self.digest = sha256.update, sha256.digest


def checksum(connection: Connection, values: dict[str, Any]) -> bytes:
    """Return the SHA-256 of the allocations of a window.

    One line per allocation, each ended by a newline: tenant, event, version, channel, ratio, cents, currency and
    is_fallback joined by |, in the order of event and channel (C collation). Streamed by one COPY, so memory stays
    flat; `psql -At` with the same select, piped to sha256sum, gives the same.

    Args:
        values: tenant_id, model_version, window_start, window_end.
    """
    sink = _Hash()
    raw: Any = connection.connection.dbapi_connection
    with by_block(connection), raw.cursor() as cursor:
        select = cursor.mogrify(sql("attribution", "checksum"), values).decode()
        cursor.copy_expert(f"copy ({select}) to stdout", sink)
    return sink.digest()
