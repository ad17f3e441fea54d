"""The product's queue, as the tests of tasks have it."""

from tests.tasks.conftest import huey, run_all

__all__ = ["huey", "run_all"]
