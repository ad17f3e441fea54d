"""The import as the command does it, and what it wrote."""

from __future__ import annotations

from pathlib import Path

from skeldir_huey import cli
from tests.cluster import Database

HEADER = "User_ID_Anon,Timestamp,Step_Order,Channel,Conversion_Flag\n"


def run_import(path: Path, *arguments: str, tenant: str = "acme") -> int:
    return cli.main(["import", str(path), "--tenant", tenant, *arguments])


def write(folder: Path, text: str | bytes, name: str = "events.csv") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def events(database: Database, columns: str) -> list[tuple[object, ...]]:
    return database.query(f"select {columns} from attribution_events order by ingest_seq")


def refusals(database: Database) -> list[tuple[object, ...]]:
    return database.query("select line, error_field, error_message, payload from dead_events order by line")
