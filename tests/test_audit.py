"""What `make audit` makes of the answers it gets: silence of the database is never taken for a clean bill."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from tests.conftest import ROOT

of_packages = runpy.run_path(str(ROOT / ".ci/audit.py"))["of_packages"]

CLEAN = {"name": "flask", "version": "3.1.3", "vulns": []}
HOLED = {"name": "old", "version": "1.0", "vulns": [{"id": "PYSEC-1", "fix_versions": ["1.1"]}]}
UNKNOWN = {"name": "ours", "skip_reason": "Dependency not found on PyPI"}


@pytest.mark.parametrize(
    ("packages", "code", "last"),
    [
        ([CLEAN], 0, "audit: 1 packages checked, 0 known holes"),
        ([CLEAN, HOLED], 1, "audit: 2 packages checked, 1 known holes"),
        ([CLEAN, UNKNOWN], 0, "audit: 1 packages checked, 0 known holes, 1 NOT CHECKED: unknown to the database"),
        ([UNKNOWN, UNKNOWN], 0, "audit: packages NOT CHECKED: the vulnerability database cannot be reached"),
        ([], 0, "audit: packages NOT CHECKED: the vulnerability database cannot be reached"),
    ],
)
def test_what_is_said(packages: list[dict[str, Any]], code: int, last: str) -> None:
    assert of_packages({"dependencies": packages})[0] == code
    assert of_packages({"dependencies": packages})[1][-1] == last


def test_no_report_is_said_too() -> None:
    assert of_packages(None) == (0, ["audit: packages NOT CHECKED: the vulnerability database cannot be reached"])


def test_a_hole_is_named() -> None:
    assert of_packages({"dependencies": [HOLED]})[1][0] == "old 1.0: PYSEC-1, mended in 1.1"
