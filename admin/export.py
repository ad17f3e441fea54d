"""Exports: CSV that is streamed, has a row cap, opens in a spreadsheet without formulas, and leaves an audit row."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from flask import Response, stream_with_context
from sqlalchemy.engine import Connection, Row

from admin import scope
from admin.trail import record
from skeldir_huey.clock import utc_now
from skeldir_huey.db.engine import transaction

ROW_CAP = 100_000
BATCH = 1000

# A spreadsheet takes a cell that begins so for a formula; a quote in front makes it text.
FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n")


def cell(value: Any) -> str:
    """Return a value as the plain text of a cell: ISO instants in UTC, JSON for structures, no formula.

    >>> cell("=1+1"), cell(-5), cell(None), cell({"a": 1})
    ("'=1+1", '-5', '', '{"a": 1}')
    """
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return str(value)
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    text = json.dumps(value, ensure_ascii=False, sort_keys=True) if isinstance(value, dict | list) else str(value)
    bare = text.lstrip(" \"'\u00a0\ufeff")
    return "'" + text if text.startswith(FORMULA_STARTS) or bare.startswith(FORMULA_STARTS) else text


def lines(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Iterator[str]:
    """Yield CSV text, the header first."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    writer.writerow(columns)
    for number, row in enumerate(rows, 1):
        writer.writerow([cell(value) for value in row])
        if number % BATCH == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()


def csv_response(user: Any, name: str, statement: sa.Select[Any], filters: dict[str, Any]) -> Response:
    """Return the rows of a select as a download, in the scope of this request.

    The audit row is committed before the first byte is sent. Call it for a POST only: it writes.

    Args:
        user: who asks.
        name: first part of the file name, as in audit-20261121T051500Z.csv.
        statement: what to export, in order; its column names become the header. It is cut off at 100,000 rows.
        filters: what the person chose, for the audit row.

    Raises:
        NotFound: the scope is none that the user may read.
    """
    tenant_id = scope.current().tenant_id
    columns = [column.name for column in statement.selected_columns]
    role = "console_tenant" if tenant_id else "console_global"
    chosen = {key: str(value) for key, value in filters.items() if value not in (None, "")}
    with transaction(tenant_id, role=role, who="console") as connection:
        detail = {"filters": chosen, "row_cap": ROW_CAP}
        record(connection, user.email, "export", "list", name, tenant_id=tenant_id, detail=detail)

    def stream() -> Iterator[str]:
        with scope.reading() as connection:
            yield from lines(columns, _rows(connection, statement.limit(ROW_CAP)))

    file_name = f"{name}-{utc_now():%Y%m%dT%H%M%SZ}.csv"
    return Response(
        stream_with_context(stream()),
        mimetype="text/csv",
        headers={"Content-Disposition": f'attachment; filename="{file_name}"'},
    )


def _rows(connection: Connection, statement: sa.Select[Any]) -> Iterator[Row[Any]]:
    # A cursor of the server: memory stays flat, and the timeout of a statement holds for each batch.
    yield from connection.execution_options(stream_results=True, yield_per=BATCH).execute(statement)
