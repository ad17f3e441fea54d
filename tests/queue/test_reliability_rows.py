"""The table at the end of docs/delivery.md: every row names a test that is there and says which row it is about."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conftest import ROOT

ROWS = [*map(str, range(1, 31)), "Z"]
OURS_ONLY = {"12", "23", "25", "26", "27", "28", "29"}  # for the others a plain SqlHuey was tried, too
LINE = re.compile(r"^\| (\d+|Z) \|.*\| `(tests/\S+\.py)::(\w+)` \|$", re.MULTILINE)


def table() -> list[tuple[str, str, str]]:
    found: list[tuple[str, str, str]] = LINE.findall((ROOT / "docs/delivery.md").read_text(encoding="utf-8"))
    return found


def rows_named_in(text: str) -> set[str]:
    """Return the rows of "Row 7" or "Rows 8, 18 and Z"."""
    named = re.findall(r"\b[Rr]ows? ((?:\d+|Z)(?:(?:, | and )(?:\d+|Z))*)", text)
    return {row for names in named for row in re.findall(r"\d+|Z", names)}


def test_every_row_stands_there_once() -> None:
    assert [row for row, _, _ in table()] == ROWS


@pytest.mark.parametrize(("row", "path", "name"), table(), ids=lambda value: value if value in ROWS else "")
def test_its_test_is_there(row: str, path: str, name: str) -> None:
    tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
    tests = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
    assert len(tests) == 1, f"{path} has no test {name}"
    text = " ".join((ast.get_docstring(tests[0]) or "").split())
    assert row in rows_named_in(text), f"{name} does not say that it is about row {row}"
    assert row in OURS_ONLY or "Seen with a plain SqlHuey" in text, f"{name} does not say what stock Huey does"


def test_rows_are_read_from_words() -> None:
    assert rows_named_in("Rows 8, 18 and Z: all") == {"8", "18", "Z"}
    assert rows_named_in("Row 7. Seen") == {"7"}
    assert rows_named_in("30 rows of 12") == set()
