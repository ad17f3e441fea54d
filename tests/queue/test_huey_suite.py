"""Huey's own test suite, as shipped in its wheel, against our classes on a real database.

Every test that is left out or changed stands in DIFFERENT, by name, with the reason. All others must pass unchanged.
"""

from __future__ import annotations

import importlib
import unittest
from collections.abc import Iterator
from typing import Any

import pytest
from huey.tests import (
    test_api,
    test_consumer,
    test_crontab,
    test_immediate,
    test_priority,
    test_registry,
    test_serializer,
    test_signals,
    test_storage,
    test_wrappers,
)

from skeldir_huey.queue.executor import SkeldirHuey
from tests.cluster import Database

MODULES = (
    test_api,
    test_consumer,
    test_crontab,
    test_immediate,
    test_priority,
    test_registry,
    test_serializer,
    test_signals,
    test_wrappers,
)
DIFFERENT: dict[str, str] = {}


@pytest.fixture(autouse=True)
def _on_a_database(database: Database) -> Iterator[None]:
    yield


class Ours(unittest.TestCase):
    """Gives Huey's tests our instance where they would make one in memory."""

    def get_huey(self) -> SkeldirHuey:
        return SkeldirHuey("suite", utc=False, store_none=False)


def _classes() -> Iterator[tuple[str, type[unittest.TestCase]]]:
    for module in MODULES:
        for name, kind in vars(importlib.import_module(module.__name__)).items():
            if isinstance(kind, type) and issubclass(kind, unittest.TestCase) and kind.__module__ == module.__name__:
                yield f"{module.__name__.rsplit('.', 1)[-1]}.{name}", kind
    yield "test_storage.TestPostgresStorage", type(
        "TestPostgresStorage", (test_storage.StorageTests, test_storage.BaseTestCase), {}
    )


def _ours(label: str, kind: type[unittest.TestCase]) -> type[unittest.TestCase]:
    left_out: dict[str, Any] = {}
    for test in (name for name in dir(kind) if name.startswith("test")):
        if f"{label}.{test}" in DIFFERENT:
            left_out[test] = None
    return type(label.replace(".", "_"), (Ours, kind), left_out)


for _label, _kind in _classes():
    globals()[f"Test_{_label.replace('.', '_')}"] = _ours(_label, _kind)
