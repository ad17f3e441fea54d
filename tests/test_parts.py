"""What `make test` runs: every test once on PostgreSQL 18, and on 16 what depends on it."""

from __future__ import annotations

import pytest

from tests import __main__ as suite


def test_every_test_is_in_one_part() -> None:
    two, alone, on_16 = suite.parts(["tests"])
    assert two[1] == [*suite.TWO, "tests"] and alone[1] == [*suite.ALONE, "tests"]
    assert suite.TWO[-1] == f"not {suite.ALONE[-1]}"
    assert (two[2], alone[2], on_16[2]) == ("18", "18", "16") and on_16[1] == [*suite.TWO, *suite.ON_16]


@pytest.mark.parametrize(
    ("paths", "on_16"),
    [(["tests/test_money.py"], []), (["tests/admin", "tests/db/test_engine.py"], ["tests/db/test_engine.py"])],
)
def test_a_part_of_the_suite_can_be_named(paths: list[str], on_16: list[str]) -> None:
    found = {name: arguments for name, arguments, _ in suite.parts(paths)}
    assert found["two processes"][-len(paths) :] == paths
    assert found.get("PostgreSQL 16", [])[len(suite.TWO) :] == on_16


@pytest.mark.parametrize(
    ("codes", "code", "ran"),
    [((0, 5, 0), 0, 3), ((1, 0, 0), 1, 3), ((5, 5, 5), 5, 3), ((0, 2), 2, 2), ((0, 1, 5), 1, 3)],
)
def test_one_failure_is_enough_and_the_rest_still_runs(
    codes: tuple[int, ...], code: int, ran: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    left = list(codes)
    monkeypatch.setattr(suite, "run", lambda arguments, version: left.pop(0))
    assert suite.main(["tests"]) == code
    assert left == [] and capsys.readouterr().out.count(" s\n") == ran
