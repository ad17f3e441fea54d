"""The table "What is promised, and its test" of docs/upkeep.md: each part stands there, each test it names is there."""

from __future__ import annotations

import re

import pytest

from tests.conftest import ROOT

TEXT = (ROOT / "docs/upkeep.md").read_text(encoding="utf-8").split("\n## What is promised, and its test\n", 1)[1]
LINES = [line.split("|") for line in TEXT.splitlines() if re.match(r"\| \d", line)]
NAMED = sorted({name for line in LINES for name in re.findall(r"`(tests/[\w/]+\.py::\w+)`", line[3])})


def test_every_part_stands_there() -> None:
    assert {int(line[1]) for line in LINES} == set(range(1, 9))
    assert all("`tests/" in line[3] for line in LINES)


@pytest.mark.parametrize("name", NAMED)
def test_its_test_is_there(name: str) -> None:
    path, test = name.split("::")
    assert f"\ndef {test}(" in (ROOT / path).read_text(encoding="utf-8")
