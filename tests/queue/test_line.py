"""A pooler hands each transaction another session: one lacks the plan, one has it from somebody else."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from skeldir_huey.queue.line import Line, numbered
from skeldir_huey.queue.storage import PostgresStorage
from tests.conftest import Database

TAKE = "insert into huey.counter (key, value) values (%(key)s, 1) on conflict (key)"
TAKE += " do update set value = counter.value + 1"


def another_sessions(line: Line) -> None:
    line.database.execute_sql("deallocate all")


def already_there(line: Line) -> None:
    assert line._prepared
    line._prepared.clear()


@pytest.mark.parametrize("swapped", [another_sessions, already_there])
def test_a_plan_that_is_not_ours_costs_nothing_but_the_plan(
    database: Database, swapped: Callable[[Line], None]
) -> None:
    storage = PostgresStorage()
    line = Line(storage._make, lambda: True)
    line.run(TAKE, {"key": "k"}, prepare="take")
    swapped(line)
    for _ in range(3):
        line.run(TAKE, {"key": "k"}, prepare="take")
    assert database.value("select value from huey.counter where key = 'k'") == 4
    line.close()


def test_a_statement_of_its_own_fails_as_itself(database: Database) -> None:
    """Only a missing plan is done without; any other error is the caller's."""
    line = Line(PostgresStorage()._make, lambda: True)
    with pytest.raises(Exception, match="null value"):
        line.run(TAKE, {"key": None}, prepare="take")
    line.run(TAKE, {"key": "k"}, prepare="take")
    assert line._prepared
    line.close()


def test_parameters_are_numbered_once_each() -> None:
    assert numbered("select %(b)s, %(a)s, %(b)s, 5 %% 2") == ("select $1, $2, $1, 5 % 2", ["b", "a"])
