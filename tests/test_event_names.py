"""Event names are constants: what differs from line to line belongs in its fields."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

# -- event names ------------------------------------------------------------------------------------------------------

METHODS = ("debug", "info", "warning", "error", "exception")

EVENT = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)+")


def literal(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def event_names(path: Path) -> Iterator[tuple[int, str | None]]:
    """Yield each logged event of a file with its line; None where it is no literal.

    A function that hands its own parameter `event` on counts as logging it: then its callers must name it.
    """
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {
        function.name: [argument.arg for argument in function.args.args if argument.arg != "self"]
        for function in ast.walk(tree)
        if isinstance(function, ast.FunctionDef)
    }
    passed_on = {name: arguments.index("event") for name, arguments in functions.items() if "event" in arguments}
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        if not isinstance(call.func, ast.Attribute):
            continue
        owner = ast.unparse(call.func.value)
        if call.func.attr in METHODS and owner == "log":
            event = call.args[0]
            if not (isinstance(event, ast.Name) and event.id == "event" and passed_on):
                yield call.lineno, literal(event)
        elif call.func.attr in passed_on and owner == "self" and call.args:
            event = call.args[passed_on[call.func.attr]]
            yield call.lineno, literal(event)


SOURCES = sorted(path for folder in ("skeldir_huey", "admin", "alembic") for path in (ROOT / folder).rglob("*.py"))


@pytest.mark.parametrize("path", [path for path in SOURCES if path.name != "log.py"], ids=lambda p: p.stem)
def test_event_names_are_constant(path: Path) -> None:
    wrong = [line for line, event in event_names(path) if event is None or not EVENT.fullmatch(event)]
    assert wrong == [], f"{path.name}: an event is a short name in snake case; what varies goes into fields"


def test_varying_names_are_found(tmp_path: Path) -> None:
    path = tmp_path / "planted.py"
    path.write_text('log.info("fine_name")\nlog.info(f"job {1}")\nlog.error(name)\nlog.info("Done.")\n')
    assert list(event_names(path)) == [(1, "fine_name"), (2, None), (3, None), (4, "Done.")]
    path.write_text("def step(self, event): log.info(event)\ndef go(self): self.step('a_b'); self.step(x)\n")
    assert list(event_names(path)) == [(2, "a_b"), (2, None)]
