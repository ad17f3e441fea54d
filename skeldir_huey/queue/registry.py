"""Task classes that know their lane, found again by their stored name alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from huey.api import TaskWrapper
from huey.registry import Registry

from skeldir_huey import metrics
from skeldir_huey.errors import QueueError
from skeldir_huey.queue import lanes
from skeldir_huey.queue.task_settings import check_settings


class LaneTaskWrapper(TaskWrapper):
    """Huey's task wrapper with our settings on the task class.

    Settings beyond Huey's:
        lane: which stream its jobs go to, default housekeeping.
        unique: None, or a function (args, kwargs) -> str; while a job with that key has not ended, another one of the
            same lane and tenant is not added. It gets the arguments as the call gave them; with None as
            key the job is not unique.
        alone: settle each of its jobs by itself, default False.
        missed: for periodic tasks, what to do about minutes that passed while nobody looked: "skip", "once" (default)
            or "all".

    Raises:
        QueueError: a setting that does not exist, or a value that could not work; see `task_settings`.
    """

    def create_task(
        self, func: Callable[..., Any], context: bool = False, name: str | None = None, **settings: Any
    ) -> Any:
        if name == "":
            raise QueueError("name: a task's is stored with each job, and cannot be empty")
        check_settings(name or func.__name__, settings)
        settings["lane"] = lanes.check_lane(settings.pop("lane", lanes.DEFAULT))
        settings.setdefault("unique", None)
        settings.setdefault("alone", False)
        settings.setdefault("missed", "once")
        if settings["unique"] is not None:
            settings["unique"] = staticmethod(settings["unique"])
        settings["explicit_name"] = name
        settings["function"] = staticmethod(func)
        return super().create_task(func, context, name, **settings)


class NamedRegistry(Registry):
    """Stores the explicit name of a task, not its module: a job stored before a module moved still runs."""

    def __init__(self) -> None:
        super().__init__()
        self._plain_names: set[str] = set()

    def task_to_string(self, task_class: Any) -> str:
        name = getattr(task_class, "explicit_name", None)
        return name or super().task_to_string(task_class)

    def register(self, task_class: Any) -> bool:
        """Add a task class.

        Raises:
            ValueError: there is one of this name, explicit, or as module and function.
        """
        plain = super().task_to_string(task_class)
        if plain in self._plain_names:
            raise ValueError(f"there is a task {plain} already: give this one another name=")
        super().register(task_class)
        self._plain_names.add(plain)
        metrics.allow("task_name", {self.task_to_string(task_class)})
        return True

    def knows(self, task_name: str) -> bool:
        """Say whether a task of this name, as jobs store it, is registered."""
        return task_name in self._registry

    def function_of(self, task_name: str) -> Callable[..., Any] | None:
        """Return the function behind a task's name, None when no such task is registered."""
        return getattr(self._registry.get(task_name), "function", None)

    def unregister(self, task_class: Any) -> bool:
        self._plain_names.discard(super().task_to_string(task_class))
        return bool(super().unregister(task_class))
