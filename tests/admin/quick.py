"""What the tests' consoles spend no time on: the cost of passwords, and templates that were compiled before."""

from __future__ import annotations

import argon2
from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache

# The product's kind of hash at a thousandth of its cost; tests/admin/test_users.py signs in at the full one.
hasher = argon2.PasswordHasher(time_cost=1, memory_cost=64, parallelism=1)
_COST = {f"argon2__{name}": getattr(hasher, name) for name in ("time_cost", "memory_cost", "parallelism")}


class _Compiled(BytecodeCache):
    """The code of templates, kept for the next console of this process; a changed source is compiled anew."""

    def __init__(self) -> None:
        self.codes: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self.codes:
            bucket.bytecode_from_string(self.codes[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.codes[bucket.key] = bucket.bytecode_to_string()


_compiled = _Compiled()


def make_quick(app: Flask) -> Flask:
    """Let this console take cheap hashes as they are, and templates from those before."""
    app.extensions["security"].pwd_context.update(**_COST)
    app.jinja_env.bytecode_cache = _compiled
    return app
