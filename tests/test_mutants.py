"""Each protection that the console's plan names is taken out once, and a named test turns red."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import pytest

from tests import mutants
from tests.conftest import ROOT

NAMED = [
    pytest.param(mutant, id=mutant.name, marks=[pytest.mark.chromium] if "/e2e/" in mutant.test else [])
    for mutant in mutants.MUTANTS
    if mutant.named
]


def test_the_six_of_the_plan_are_there() -> None:
    assert len(NAMED) == 6


@pytest.mark.parametrize("mutant", mutants.MUTANTS, ids=lambda mutant: mutant.name)
def test_it_can_be_applied_and_its_test_is_there(mutant: mutants.Mutant, tmp_path: Path) -> None:
    (tmp_path / mutant.path).parent.mkdir(parents=True)
    shutil.copy(ROOT / mutant.path, tmp_path / mutant.path)
    mutants.apply(mutant, tmp_path)
    if mutant.path.endswith(".py"):
        ast.parse((tmp_path / mutant.path).read_text(encoding="utf-8"))
    path, name = mutant.test.split("::")
    assert f"def {name}(" in (ROOT / path).read_text(encoding="utf-8")


@pytest.mark.timeout(300)
@pytest.mark.parametrize("mutant", NAMED)
def test_it_turns_its_test_red(mutant: mutants.Mutant) -> None:
    assert mutants.verdict(mutant) == "red"
