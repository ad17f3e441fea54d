"""Personal data in stored payloads: found by the names of keys, at every depth, without looking at a value."""

from __future__ import annotations

from typing import Any

from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql

KEYS = (
    "e-?mail(_?address)?",
    "phone(_?number)?",
    "mobile",
    "ssn",
    "social_?security(_?number)?",
    "ip(_?address)?",
    "(first|last|full|sur)_?name",
    "(street_?|postal_?|billing_?|shipping_?)?address(_?line)?_?[0-9]?",
    "date_?of_?birth",
    "birth_?(day|date)",
    "passport(_?number)?",
)


def scan(connection: Connection) -> list[dict[str, Any]]:
    """Count payloads with keys of personal data, of the tenant of this transaction.

    Payloads that were redacted when they were stored keep their keys, so they count as well.

    Returns:
        One row per table that has payloads: source, scanned_count, finding_count.
    """
    path = f'strict $.** ? (@.type() == "object").keyvalue() ? (@.key like_regex "^({"|".join(KEYS)})$" flag "i")'
    return rows(connection, sql("ingest", "scan_pii"), {"keys": path})
