"""What a task may be told about itself. A wrong setting ends the import; a wrong one of a call refuses that call."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Any

from huey.api import Task

from skeldir_huey.errors import QueueError

MISSED = ("skip", "once", "all")
DEFAULT = "default_"  # what Huey puts before the names of its own settings


def _count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _seconds(value: Any) -> bool:
    return _number(value) and value >= 0


_BOTH: dict[str, tuple[Callable[[Any], bool], str]] = {
    "retries": (_count, "a whole number, 0 or more"),
    "retry_delay": (_seconds, "seconds, 0 or more"),
    "retry_backoff": (_seconds, "a factor, 0 or more"),
    "priority": (lambda value: value is None or _number(value), "a number, or None"),
}
# With a call, None stands for what the task has: so 0 says "no limit", as with Huey.
_OF_CALLS = _BOTH | {"timeout": (lambda value: value is None or _seconds(value), "seconds, or 0 for no limit")}
_OF_TASKS = _BOTH | {
    "timeout": (lambda value: value is None or (_number(value) and value > 0), "seconds above 0, or None for no limit"),
    "unique": (lambda value: value is None or callable(value), "a function (args, kwargs) -> str, or None"),
    "alone": (lambda value: isinstance(value, bool), "True or False"),
    "missed": (lambda value: value in MISSED, f"one of {', '.join(MISSED)}"),
}
_given = attrgetter(*_OF_CALLS)
_defaults = attrgetter(*(DEFAULT + field for field in _OF_CALLS))
_UNCHECKED = {"lane", "expires", "check_call", "validate_datetime"}


def check_settings(task_name: str, settings: Mapping[str, Any]) -> None:
    """Refuse a task whose settings could not work.

    Args:
        task_name: for the message.
        settings: as Huey hands them on, its own with `default_` before their names.

    Raises:
        QueueError: a value is out of its range, or there is no such setting (a typing error would be ignored for ever).
    """
    for key, value in settings.items():
        field = key.removeprefix(DEFAULT)
        if field in _OF_TASKS:
            _check(task_name, field, value, *_OF_TASKS[field])
        elif field not in _UNCHECKED:
            known = ", ".join(sorted((*_OF_TASKS, "lane", "expires", "name", "context")))
            raise QueueError(f"{field}: no setting of a task, as {task_name} has it; there are {known}")


def check_call_settings(task_name: str, task: Task) -> None:
    """Refuse a call that sets, for its job alone, what could not work: -1 retries would be retried for ever.

    Raises:
        QueueError: a value is out of its range.
    """
    if _given(task) == _defaults(type(task)):
        return  # as nearly every call: what the task has was checked with it
    for field, (fits, expected) in _OF_CALLS.items():
        _check(task_name, field, getattr(task, field), fits, expected)


def _check(task_name: str, field: str, value: Any, fits: Callable[[Any], bool], expected: str) -> None:
    if not fits(value):
        raise QueueError(f"{field}: {task_name} needs {expected}, got {value!r}")
