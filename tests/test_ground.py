"""The tests' own ground: waiting, clusters that come and go, and skips that CI does not forgive."""

from __future__ import annotations

import signal

import pytest

from tests import conftest
from tests.cluster import Cluster
from tests.waiting import until


def test_until_returns_what_it_waited_for() -> None:
    answers = iter([None, 0, "", "here"])
    assert until(lambda: next(answers), 5) == "here"


def test_until_says_what_did_not_happen() -> None:
    with pytest.raises(AssertionError, match=r"not true after 0\.05 s: the job is done; last result: 0"):
        until(lambda: 0, 0.05, "the job is done")
    with pytest.raises(AssertionError, match="state is waiting"):
        until(lambda: False, 0, lambda: "state is waiting")


def test_until_swallows_no_error() -> None:
    with pytest.raises(ZeroDivisionError):
        until(lambda: 1 / 0, 5)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_cluster_keeps_what_was_committed_and_leaves_no_files(how: signal.Signals) -> None:
    made = Cluster(safe=True)
    try:
        made.start()
        server = made.database("postgres")
        assert server.value("show fsync") == "on"
        server.query("create table kept as select 1 as n")
        made.stop(how)
        made.start()
        assert server.value("select n from kept") == 1
    finally:
        made.remove()
    assert not made.root.exists()


def report(nodeid: str) -> pytest.TestReport:
    return pytest.TestReport(nodeid, ("f.py", 1, "t"), {}, "skipped", ("f.py", 1, "Skipped: no browser"), "setup")


@pytest.mark.parametrize(("ci", "outcome"), [("true", "failed"), ("1", "failed"), ("", "skipped")])
def test_a_skip_is_a_failure_in_ci(monkeypatch: pytest.MonkeyPatch, ci: str, outcome: str) -> None:
    monkeypatch.setenv("CI", ci)
    made = report("tests/test_x.py::test_y")
    conftest.refuse_skip(made)
    assert made.outcome == outcome
    if outcome == "failed":
        assert "no browser" in str(made.longrepr)


def test_a_skip_with_a_reason_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setitem(conftest.ALLOWED_SKIPS, "tests/test_x.py::test_y", "a reason")
    made = report("tests/test_x.py::test_y")
    conftest.refuse_skip(made)
    assert made.outcome == "skipped"


def test_every_allowed_skip_has_its_reason() -> None:
    assert all(len(reason) > 20 for reason in conftest.ALLOWED_SKIPS.values())
