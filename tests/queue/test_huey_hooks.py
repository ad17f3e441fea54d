"""What we override and use of Huey's insides, as they are in 3.5.4: with another version, this says what moved."""

from __future__ import annotations

import ast
import inspect
import re
from importlib.metadata import version
from typing import Any

import pytest
from huey import api, consumer, registry, serializer, signals
from huey.contrib import sql_huey

from skeldir_huey.queue import consumer as our_consumer
from skeldir_huey.queue import executor, locks, messages
from skeldir_huey.queue import registry as our_registry
from skeldir_huey.queue import signals as our_signals
from skeldir_huey.queue import storage as our_storage
from tests.conftest import ROOT

# Our class, Huey's class, and the signature of each thing of Huey's that ours replaces or extends.
OVERRIDDEN: dict[tuple[type, type], dict[str, str]] = {
    (executor.SkeldirHuey, api.Huey): {
        "__init__": "(self, name, results, store_none, utc, immediate, serializer, compression, use_zlib,"
        " immediate_use_memory, storage_class, store_intermediate_errors, **storage_kwargs)",
        "add_schedule": "(self, task)",
        "create_consumer": "(self, **options)",
        "dequeue": "(self)",
        "deserialize_task": "(self, data)",
        "enqueue": "(self, task)",
        "execute": "(self, task, timestamp)",
        "flush_locks": "(self, *names)",
        "get_task_wrapper_class": "(self)",
        "immediate": "property",
        "is_locked": "(self, lock_name)",
        "lock_task": "(self, lock_name, ttl)",
        "put_if_empty": "(self, key, data, ttl)",
        "rate_limit": "(self, name, limit, per, retry)",
        "serialize_task": "(self, task)",
    },
    (our_registry.LaneTaskWrapper, api.TaskWrapper): {"create_task": "(self, func, context, name, **settings)"},
    (our_registry.NamedRegistry, registry.Registry): {
        "__init__": "(self)",
        "register": "(self, task_class)",
        "task_to_string": "(self, task_class)",
        "unregister": "(self, task_class)",
    },
    (our_signals.StrictSignals, signals.Signal): {},
    (our_storage.PostgresStorage, sql_huey.SqlStorage): {
        "__init__": "(self, name, database, create_tables, **kwargs)",
        "add_to_schedule": "(self, data, timestamp)",
        "blocking": "bool",
        "close": "(self)",
        "create_tables": "(self)",
        "delete_counter": "(self, key)",
        "dequeue": "(self)",
        "enqueue": "(self, data, priority)",
        "enqueued_items": "(self, limit)",
        "flush_counters": "(self)",
        "flush_queue": "(self)",
        "flush_results": "(self)",
        "flush_schedule": "(self)",
        "has_data_for_key": "(self, key)",
        "incr": "(self, key, amount)",
        "peek_data": "(self, key)",
        "peek_many": "(self, keys)",
        "pop_data": "(self, key)",
        "put_data": "(self, key, value, is_result)",
        "put_if_empty": "(self, key, value, ttl)",
        "queue_size": "(self)",
        "read_schedule": "(self, timestamp)",
        "result_items": "(self)",
        "result_store_size": "(self)",
        "schedule_size": "(self)",
        "scheduled_items": "(self, limit)",
    },
    (our_consumer.SkeldirConsumer, consumer.Consumer): {
        "__init__": "(self, huey, workers, periodic, initial_delay, backoff, max_delay, scheduler_interval,"
        " worker_type, check_worker_health, health_check_interval, flush_locks, extra_locks, max_tasks,"
        " shutdown_timeout, graceful_signal)",
        "_create_worker": "(self)",
        "_handle_signal": "(self, signum, frame)",
        "get_environment": "(self, worker_type)",
        "run": "(self)",
        "scheduler_class": "(huey, stop_flag, interval, periodic)",
        "start": "(self)",
        "stop": "(self, graceful)",
        "worker_class": "(huey, stop_flag, default_delay, max_delay, backoff, max_tasks)",
    },
    (our_consumer.DeskWorker, consumer.Worker): {
        "initialize": "(self)",
        "loop": "(self, now)",
        "shutdown": "(self)",
    },
    (our_consumer.QueueScheduler, consumer.Scheduler): {
        "__init__": "(self, huey, stop_flag, interval, periodic)",
        "loop": "(self, now)",
    },
    (our_consumer.DrainingProcesses, consumer.ProcessEnvironment): {
        "__init__": "(self, *args)",
        "init_child": "(self, process)",
        "interrupt_workers": "(self, procs)",
    },
    (locks.OwnedLock, api.TaskLock): {
        "__exit__": "(self, exc_type, exc_val, exc_tb)",
        "acquire": "(self)",
        "clear": "(self)",
        "is_locked": "(self)",
        "locked": "(self)",
        "release": "(self)",
    },
    (locks.WindowLimit, api.RateLimit): {
        "acquire": "(self)",
        "current_usage": "(self)",
        "reset": "(self)",
    },
    (messages.JsonSerializer, serializer.Serializer): {
        "_deserialize": "(self, data)",
        "_serialize": "(self, data)",
    },
}
# Private things of Huey's that we call or read: the kind of object, and the signature or type.
USED = {
    "Huey": {
        "_check_revoked": "(data, timestamp, peek)",
        "_emit": "(signal, task, *args, **kwargs)",
        "_get_timestamp": "()",
        "_immediate": "bool",
        "_locks": "set",
        "_pipeline_results": "(task)",
        "_registry": "Registry",
        "_revoke_keys": "(task)",
        "_run_post_execute": "(task, task_value, exception)",
        "_run_pre_execute": "(task)",
        "_signal": "Signal",
        "_tasks_in_flight": "set",
    },
    "Task": {"_deadline": "NoneType"},
    "Consumer": {
        "_create_worker": "()",
        "_create_process": "(process, name)",
        "_graceful": "bool",
        "_restart": "bool",
        "_signal_actions": "dict",
        "_signum": "NoneType",
    },
    "TaskLock": {"_huey": "MemoryHuey", "_key": "str", "_name": "str", "_ttl": "NoneType"},
    "RateLimit": {"_counter_key": "str", "_huey": "MemoryHuey", "_limit": "int", "_name": "str", "_per": "int"}
    | {"_retry": "bool"},
}
OURS = {"_execute"}  # Liveness has a method of that name; Huey's own is never called from our files
PUBLIC = {
    "Huey": ("utc", "results", "store_none", "store_intermediate_errors", "serializer", "build_error_result"),
    "Task": (
        *("retries", "retry_delay", "retry_backoff", "eta", "expires", "expires_resolved", "timeout", "priority"),
        *("on_complete", "on_error", "chord_config", "revoke_id", "extend_data", "resolve_expires"),
    ),
    "Worker": ("stop_flag", "task_count", "max_tasks", "max_delay"),
    "Scheduler": ("interval", "periodic", "sleep_for_interval", "stop_flag"),
    "Consumer": ("environment", "workers", "worker_type", "worker_threads", "scheduler", "shutdown_timeout"),
}


def shape(thing: Any) -> str:
    """Return the parameters without their defaults, or the type of what cannot be called."""
    if isinstance(thing, property):
        return "property"
    if not callable(thing) or isinstance(thing, registry.Registry | signals.Signal):
        return type(thing).__name__
    names = []
    for one in inspect.signature(thing).parameters.values():
        names.append("*" * (one.kind == one.VAR_POSITIONAL) + "**" * (one.kind == one.VAR_KEYWORD) + one.name)
    return f"({', '.join(names)})"


@pytest.fixture(scope="module")
def stock() -> dict[str, Any]:
    huey = api.MemoryHuey()
    made = consumer.Consumer(huey)
    return {
        "Huey": huey,
        "Task": api.Task(),
        "Consumer": made,
        "Worker": made._create_worker(),
        "Scheduler": made._create_scheduler(),
        "TaskLock": api.TaskLock(huey, "name"),
        "RateLimit": api.RateLimit(huey, "name", 1, 60),
    }


@pytest.mark.parametrize("pair", OVERRIDDEN, ids=lambda pair: pair[0].__name__)
def test_what_we_override_is_there(pair: tuple[type, type]) -> None:
    ours, theirs = pair
    assert issubclass(ours, theirs)
    found = {
        name: shape(inspect.getattr_static(theirs, name))
        for name in vars(ours)
        if hasattr(theirs, name) and (not name.startswith("__") or name in ("__init__", "__enter__", "__exit__"))
    }
    assert found == OVERRIDDEN[pair]


def test_what_we_use_is_there(stock: dict[str, Any]) -> None:
    found = {kind: {name: shape(getattr(stock[kind], name, None)) for name in names} for kind, names in USED.items()}
    assert found == USED
    for kind, names in PUBLIC.items():
        assert [name for name in names if not hasattr(stock[kind], name)] == [], kind


def test_the_list_of_private_things_is_complete(stock: dict[str, Any]) -> None:
    known = OURS | {name for names in USED.values() for name in names}
    unlisted = {
        f"{path.name}:{node.lineno} {node.attr}"
        for path in sorted((ROOT / "skeldir_huey/queue").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Attribute)
        and re.match(r"_[a-z]", node.attr)
        and node.attr not in known
        and any(hasattr(thing, node.attr) for thing in stock.values())
    }
    assert unlisted == set()


def test_children_of_huey_are_made_by_factories_that_we_replace(stock: dict[str, Any]) -> None:
    assert isinstance(api.Huey.immediate, property) and api.Huey.immediate.fset is not None
    assert consumer.WORKER_TO_ENVIRONMENT["process"] is consumer.ProcessEnvironment
    assert consumer.ProcessEnvironment.forks and not consumer.ThreadEnvironment.forks
    assert set(stock["Consumer"]._signal_actions.values()) == {(False, False), (False, True), (True, True)}
    assert registry.Message._fields == (
        *("id", "name", "eta", "retries", "retry_delay", "priority", "args", "kwargs", "on_complete", "on_error"),
        *("expires", "expires_resolved", "timeout", "chord_config", "retry_backoff"),
    ), "messages carry these fields; new ones need a default that older messages have"


def test_huey_is_pinned_to_this_version() -> None:
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    (pin,) = (line.split("#")[0].strip() for line in lines if re.match(r"huey\b", line))
    assert pin == "huey==3.5.4" == f"huey=={version('huey')}"
