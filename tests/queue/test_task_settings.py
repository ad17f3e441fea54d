"""Wrong use of the queue's API: said at once, by an error that names the field and what it takes."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session, scoped_session, sessionmaker

from skeldir_huey.db.engine import engine, enter
from skeldir_huey.errors import QueueError
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.tasks.base import periodic, task
from tests import work
from tests.cluster import Database
from tests.factories import make_tenant


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("retries", -1, "a whole number, 0 or more"),
        ("retries", "3", "a whole number, 0 or more"),
        ("retries", True, "a whole number, 0 or more"),
        ("retry_delay", -1, "seconds, 0 or more"),
        ("retry_delay", float("nan"), "seconds, 0 or more"),
        ("retry_backoff", -2, "a factor, 0 or more"),
        ("timeout", 0, "seconds above 0, or None for no limit"),
        ("timeout", "5", "seconds above 0, or None for no limit"),
        ("timeout", float("inf"), "seconds above 0, or None for no limit"),
        ("priority", "high", "a number, or None"),
        ("unique", True, "a function (args, kwargs) -> str, or None"),
        ("alone", 1, "True or False"),
        ("missed", "never", "one of skip, once, all"),
    ],
)
def test_task_with_a_setting_that_cannot_work_is_not_made(field: str, value: Any, expected: str) -> None:
    with pytest.raises(QueueError) as refused:
        task(name="test.wrong", lane="llm", **{field: value})(lambda: None)
    assert str(refused.value) == f"{field}: test.wrong needs {expected}, got {value!r}"
    assert not work.huey._registry.knows("test.wrong")


def test_misspelt_setting_an_empty_name_and_a_crontab_as_text_are_refused() -> None:
    with pytest.raises(QueueError, match=r"^retires: no setting of a task, as test.wrong has it; there are .*retries"):
        task(name="test.wrong", lane="llm", retires=3)(lambda: None)
    with pytest.raises(QueueError, match=r"^name: "):
        task(name="", lane="llm")(lambda: None)
    with pytest.raises(QueueError, match=r"^validate: test.wrong needs what huey.crontab"):
        periodic("* * * * *", name="test.wrong", lane="llm")  # type: ignore[arg-type]


@pytest.mark.parametrize("setting", [{"retries": -1}, {"timeout": -1}, {"retry_delay": -5}, {"priority": "high"}])
def test_call_with_a_setting_that_cannot_work_adds_no_job(
    database: Database, huey: SkeldirHuey, setting: dict[str, Any]
) -> None:
    """Minus one retries, counted down, are endless ones: the job would never come to its end."""
    (field,) = setting
    with pytest.raises(QueueError, match=f"^{field}: test.add needs "):
        work.add(1, 2, **setting)
    with pytest.raises(QueueError, match=f"^{field}: test.add needs "):
        work.add.schedule((1, 2), delay=60, **setting)
    with pytest.raises(QueueError, match=f"^{field}: test.add needs "):
        huey.enqueue_many([work.add.s(1, 2, **setting)])
    assert database.value("select count(*) from huey.job") == 0


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: work.add(1, object()), "argument 1 of test.add: a message cannot carry a builtins.object: use "),
        (lambda: work.add(1, b=[{"x": open}]), "argument 'b' of test.add: a message cannot carry a builtins."),
        (lambda: work.add("\ud800", 2), "argument 0 of test.add: a message cannot carry this value"),
        (lambda: work.add(1, "x" * 70_000), "the message of test.add has "),
    ],
)
def test_argument_that_cannot_travel_is_named(huey: SkeldirHuey, call: Callable[[], Any], said: str) -> None:
    with pytest.raises(QueueError) as refused:
        call()
    assert str(refused.value).startswith(said)


def test_key_that_is_no_text_is_refused(database: Database, huey: SkeldirHuey) -> None:
    made = task(name="test.keyed", lane="llm", unique=lambda args, kwargs: args[0])(lambda key: None)
    try:
        with pytest.raises(QueueError, match=r"^unique: test.keyed needs a key that is text, or None, got a UUID"):
            made(uuid.uuid4())
        made(None), made(None), made("once"), made("once")
        assert database.value("select count(*) from huey.job") == 3
    finally:
        made.unregister()


def test_what_jobs_may_be_enqueued_in(database: Database, huey: SkeldirHuey) -> None:
    tenant = make_tenant(database, "alpha")
    made: list[Any] = [Session(engine("worker")), scoped_session(sessionmaker(engine("worker")))]
    for session in made:
        enter(session.connection(), tenant)
        huey.enqueue_in(session, work.effect.s("kept", tenant_id=tenant))
        session.commit()
        session.close()
    assert database.value("select count(*) from huey.job") == 2
    for wrong in (None, "postgresql://", engine("worker")):
        with pytest.raises(QueueError, match=r"^connection: expected a connection or session of SQLAlchemy, got a "):
            huey.enqueue_in(wrong, work.effect.s("lost", tenant_id=tenant))  # type: ignore[arg-type]
