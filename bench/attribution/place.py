"""The database that everything is measured in: migrated like the product's, and this process's own as well."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from bench.queue.server import Server
from skeldir_huey import config
from skeldir_huey.attribution import runs, store
from skeldir_huey.db import engine
from skeldir_huey.db.engine import transaction

# Each rule model with what it needs; markov_path's shares are as if trained.
CHANNELS = ["direct", "email", "facebook_paid", "google_search_paid", "organic", "referral"]
RULES: dict[str, dict[str, Any]] = {
    "even_split": {"channels": ["direct", "email", "google_search_paid"]},
    "first_touch": {},
    "last_touch": {},
    "last_non_direct": {},
    "linear": {},
    "position_based": {},
    "time_decay": {},
    "shapley_set": {},
    "markov_path": {"order": 1, "shares": dict(zip(CHANNELS, ("0.1", "0.2", "0.2", "0.3", "0.1", "0.1"), strict=True))},
}


class Place:
    """A superuser's connection to it, for seeding and looking; what is measured connects as the product does."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.name = server.make_database(ours=True)
        self._admin = server.connect(self.name)
        self.env = server.settings(self.name)

    def run(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        """Run one statement, or several, as superuser, and return the rows of the last."""
        with self._admin.cursor() as cursor:
            cursor.execute(statement, parameters)
            return cursor.fetchall() if cursor.description else []

    def forget_allocations(self) -> None:
        """Empty the allocations, so that the next run writes all of its rows anew, and let the disk come to rest."""
        self.run("truncate attribution_allocations")
        self.run("checkpoint")

    def make_versions(self, tenant_id: UUID) -> dict[str, str]:
        """Make version 1.0.0 of each rule for a tenant; returns name@version by model."""
        with transaction(tenant_id) as connection:
            made = {
                name: store.create_model_version(connection, tenant_id, name, "1.0.0", params).model_version
                for name, params in RULES.items()
            }
            store.publish(connection, tenant_id, made["linear"])
        return made

    def start_run(self, tenant_id: UUID, start: str, end: str, model_version: str) -> UUID:
        """Mark a run running, as its job does first, and return its id."""
        with transaction(tenant_id) as connection:
            return runs.start(connection, runs.identify(tenant_id, start, end, model_version), "bench", None).id

    def close(self) -> None:
        self._admin.close()


@contextmanager
def made(server: Server) -> Iterator[Place]:
    """Make the database and let this process be its worker; put the process's settings back at the end."""
    place = Place(server)
    kept = dict(os.environ)
    os.environ.update(place.env)
    config.reload()
    try:
        yield place
    finally:
        place.close()
        engine.dispose()
        os.environ.clear()
        os.environ.update(kept)
        config.reload()
