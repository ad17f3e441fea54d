"""Every `.sql` file says what it promises and is understood by the migrated database."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg2
import pytest

from skeldir_huey.db.sqlfile import sql
from tests.cluster import Database
from tests.conftest import ROOT

FILES = sorted((ROOT / "skeldir_huey").glob("**/sql/**/*.sql"))
PLACEHOLDER = re.compile(r"(?<!%)%\(([A-Za-z_][A-Za-z_0-9]*)\)s")


def prepare(database: Database, text: str) -> None:
    """Let the server parse and plan the statement; DO blocks and several statements are run and rolled back."""
    numbers: dict[str, int] = {}
    for name in PLACEHOLDER.findall(text):
        numbers.setdefault(name, len(numbers) + 1)
    numbered = PLACEHOLDER.sub(lambda match: f"${numbers[match[1]]}", text).replace("%%", "%")
    code = "\n".join(line for line in numbered.splitlines() if not line.lstrip().startswith("--")).strip()
    several = re.match(r"(?i)(do|set|create|lock|listen|notify)\b", code)
    connection = database.connect()
    try:
        with connection.cursor() as cursor:
            cursor.execute(numbered if several else f"prepare checked as {numbered}")
    finally:
        connection.rollback()
        connection.close()


def test_there_are_files() -> None:
    assert len(FILES) > 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parents[1].name}/{path.stem}")
def test_a_file_is_understood(template: Database, path: Path) -> None:
    prepare(template, path.read_text(encoding="utf-8"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parents[1].name}/{path.stem}")
def test_a_file_begins_with_its_promise(path: Path) -> None:
    first = path.read_text(encoding="utf-8").splitlines()[0]
    assert re.match(r"-- \S.{15,}", first), f"{path.name}: the first line must be a comment with the promise"


def test_a_broken_statement_is_found(template: Database) -> None:
    with pytest.raises(psycopg2.errors.UndefinedColumn):
        prepare(template, "-- Promise.\nselect missing from tenants where id = %(id)s")
    prepare(
        template, "-- Promise.\nselect name from tenants where id = %(id)s and name like 'a%%' and name <> %(id)s::text"
    )


def test_the_loader_refuses_a_file_without_promise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statement = sql("db", "roles")
    assert statement.startswith("--") and statement.names == frozenset()
    with pytest.raises(FileNotFoundError):
        sql("db", "missing")


# Their names are put together from a verb and a kind.
COMPOSED = re.compile(r"(pause|resume)_(lane|task|tenant)")


def test_every_file_is_used() -> None:
    code = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "skeldir_huey").rglob("*.py"))
    code += "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "admin").rglob("*.py"))
    names = {path.stem for path in FILES if not COMPOSED.fullmatch(path.stem)}
    assert sorted(name for name in names if not re.search(rf"""["']{name}["']""", code)) == []
