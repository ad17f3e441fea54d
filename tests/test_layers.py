"""Imports point downwards, as `pyproject.toml` says; planted violations are found."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

# File, its import, and the line that the report must have about it.
PLANTED = (
    (
        "queue/planted.py",
        "import skeldir_huey.attribution.store",
        "skeldir_huey.queue.planted -> skeldir_huey.attribution",
    ),
    ("attribution/planted.py", "import skeldir_huey.ingest", "skeldir_huey.attribution.planted -> skeldir_huey.ingest"),
    ("reports/planted.py", "import skeldir_huey.queue", "skeldir_huey.reports.planted -> skeldir_huey.queue"),
    ("db/planted.py", "import skeldir_huey.queue.states", "skeldir_huey.db.planted -> skeldir_huey.queue.states"),
    ("clock.py", "import skeldir_huey.db.engine", "skeldir_huey.clock -> skeldir_huey.db.engine"),
    ("observability/planted.py", "import skeldir_huey.reports", "observability.planted -> skeldir_huey.reports"),
    ("observability/planted2.py", "import skeldir_huey.tasks", "observability.planted2 -> skeldir_huey.tasks"),
    ("tasks/planted.py", "import skeldir_huey.observability.monitor", "tasks.planted -> skeldir_huey.observability"),
    ("tasks/planted2.py", "import skeldir_huey.cli", "skeldir_huey.tasks.planted2 -> skeldir_huey.cli"),
    ("queue/planted2.py", "import peewee", "skeldir_huey.queue.planted2 -> peewee"),
    ("tasks/planted3.py", "from playhouse import pool", "skeldir_huey.tasks.planted3 -> playhouse"),
    ("ingest/planted.py", "import flask", "skeldir_huey.ingest.planted -> flask"),
    ("main.py", "import admin", "skeldir_huey.main -> admin"),
    ("../admin/planted.py", "import skeldir_huey.commands", "admin.planted -> skeldir_huey.commands"),
)


def lint(folder: Path) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-c", "from importlinter.cli import lint_imports_command as main; main()", "--no-cache"],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages and the contracts, in a folder of their own."""
    for package in ("skeldir_huey", "admin"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def test_imports_point_downwards() -> None:
    code, report = lint(ROOT)
    assert code == 0, report


def test_planted_violations_are_found(copy: Path) -> None:
    for name, line, _ in PLANTED:
        with (copy / "skeldir_huey" / name).open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    code, report = lint(copy)
    assert code == 1
    assert [named for _, _, named in PLANTED if named not in report] == [], report


def test_a_new_module_must_be_given_its_layer(copy: Path) -> None:
    (copy / "skeldir_huey" / "helpers.py").write_text("")
    code, report = lint(copy)
    assert code != 0
    assert "helpers" in report


def test_a_worker_starts_without_numpy() -> None:
    """A third of its start and 37 MB of each process, which only training needs."""
    code = "import sys, skeldir_huey.main; sys.exit(bool({'numpy', 'scipy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60, check=False).returncode == 0
