"""Where SQL lives, and other habits that no linter knows."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

STATEMENT = re.compile(
    r"\b(select\b.+\bfrom|insert\s+into|update\s+\S+\s+set|delete\s+from|truncate\s|(create|alter|drop)\s+(table|view|role))\b",
    re.IGNORECASE | re.DOTALL,
)
LONGEST = 300


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield each string of a file that is no docstring, with its line."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            parts = (part.value if isinstance(part, ast.Constant) else "x" for part in node.values)
            yield node.lineno, "".join(str(part) for part in parts)


def statements_in(path: Path) -> list[str]:
    return [f"{path.name}:{line}: {text[:60]}" for line, text in texts(path) if STATEMENT.search(text)]


@pytest.mark.parametrize("path", sources("skeldir_huey/tasks", "skeldir_huey/observability"), ids=lambda p: p.stem)
def test_tasks_hold_no_sql(path: Path) -> None:
    if path.name == "health.py":
        return  # one statement, which must not depend on anything that may be broken
    assert statements_in(path) == []


@pytest.mark.parametrize("path", sources("admin"), ids=lambda p: str(p.relative_to(ROOT)))
def test_the_console_holds_no_sql(path: Path) -> None:
    assert statements_in(path) == []


def test_templates_hold_no_sql() -> None:
    for path in (ROOT / "templates").rglob("*.html"):
        code = re.findall(r"\{[{%].*?[%}]\}", path.read_text(encoding="utf-8"), re.DOTALL)
        assert [text for text in code if STATEMENT.search(text)] == [], path


def test_sql_is_found(tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text('"""select a from b"""\nX = f"select {1} from t"\nY = "delete from t"\nZ = "select a lane"\n')
    assert len({line.split(":")[1] for line in statements_in(path)}) == 2, (
        "docstrings and words do not count, statements do"
    )
    path.write_text('X = "select id\\n  from t"\n')
    assert len(statements_in(path)) == 1


@pytest.mark.parametrize("path", sources("tests"), ids=lambda p: str(p.relative_to(ROOT)))
def test_tests_wait_for_facts(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if path.name == "work.py":
        return  # tasks for tests: their sleep is the work, not the proof
    calls = [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (ast.unparse(node.func) == "time.sleep" or ast.unparse(node.func) == "pytest.skip")
    ]
    assert calls == [], f"{path.name}: waits with tests.waiting.until, skips by marker only"


@pytest.mark.parametrize("path", sources("skeldir_huey", "admin", "alembic"), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_says_what_it_is(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    if text.strip():
        assert ast.get_docstring(ast.parse(text)), "the first thing in a file is its docstring"


@pytest.mark.parametrize("path", sources("skeldir_huey", "admin"), ids=lambda p: str(p.relative_to(ROOT)))
def test_a_file_holds_one_idea(path: Path) -> None:
    count = len(path.read_text(encoding="utf-8").splitlines())
    assert count <= LONGEST, f"{count} lines: split by idea"
