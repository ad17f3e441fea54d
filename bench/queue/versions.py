"""Which releases were measured."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable

from bench.queue.systems import System

_OURS = ("huey", "peewee", "psycopg2-binary", "sqlalchemy")
_PEERS = ("huey", "peewee", "psycopg2-binary", "psycopg", "procrastinate", "pgqueuer", "asyncpg", "celery", "kombu")
_ASK = """
import importlib.metadata as m, json, sys
print(json.dumps({name: m.version(name) for name in sys.argv[1:]}))
"""


def versions(systems: Iterable[System]) -> dict[str, str]:
    """Return the versions of what the chosen systems stand on, each from its own virtualenv."""
    found: dict[str, str] = {}
    for python, ours in dict.fromkeys((system.bin / "python", system.ours) for system in systems):
        names = _OURS if ours else _PEERS
        done = subprocess.run([str(python), "-c", _ASK, *names], capture_output=True, text=True, check=True)
        prefix = "ours/" if ours else "peers/"
        found |= {prefix + name: version for name, version in json.loads(done.stdout).items()}
    return found
