"""The table "The 47 checks" of docs/console.md: each number stands there once, and each test that it names is there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.conftest import ROOT
from tests.mutants import MUTANTS

LINE = re.compile(r"^\| (\d+) \| [^|]+ \| ((?:`[^`|]+`(?:, )?)+) \|$", re.MULTILINE)


def section() -> str:
    return (ROOT / "docs/console.md").read_text(encoding="utf-8").split("\n## The 47 checks\n", 1)[1].split("\n## ")[0]


def table() -> list[tuple[str, list[str]]]:
    """Return each check with the tests that it names."""
    return [(number, re.findall(r"`([^`]+)`", tests)) for number, tests in LINE.findall(section())]


def test_every_check_stands_there_once() -> None:
    assert [number for number, _ in table()] == [str(number) for number in range(1, 48)]


@pytest.mark.parametrize(("number", "tests"), table(), ids=[number for number, _ in table()])
def test_its_tests_are_there(number: str, tests: list[str]) -> None:
    assert tests
    for test in tests:
        path, name = test.split("::")
        tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        found = [node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == name]
        assert len(found) == 1 and name.startswith("test_"), f"{path} has no test {name}"


def test_what_a_test_says_it_checks_is_what_the_table_says() -> None:
    """A docstring that begins with "Check 8." belongs to the line of 8."""
    lines = {(number, test) for number, tests in table() for test in tests}
    for path in sorted((ROOT / "tests").rglob("test_checks*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in [one for one in tree.body if isinstance(one, ast.FunctionDef)]:
            words = re.match(r"Checks? ([\d, and]+)", ast.get_docstring(node) or "")
            for number in re.findall(r"\d+", words[1]) if words else ():
                assert (number, f"{path.relative_to(ROOT)}::{node.name}") in lines, (number, node.name)


def test_the_mutants_stand_there() -> None:
    text = section()
    for mutant in MUTANTS:
        assert f"| `{mutant.name}`{'' if mutant.named else ' (by hand)'} | `{mutant.test}` |" in text, mutant.name
