"""The real queue, as the machine of the model drives it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.queue.storage import statement
from tests.cluster import Database

TABLES = (
    *("huey.job", "huey.job_attempt", "huey.flow", "huey.flow_total", "huey.result", "huey.tick", "huey.consumer"),
    *("worker_failed_jobs", "test_effect"),
)
SNAPSHOT = """
select (select coalesce(jsonb_object_agg(task_id, jsonb_build_array(state, attempt, deaths, claim_token, claim_alone,
                                                                 claim_apart)), '{{}}') from huey.job),
       (select coalesce(json_agg(json_build_array(task_id, outcome)), '[]') from huey.job_attempt where ended),
       (select coalesce(json_agg(json_build_array(task_id, error_type)), '[]') from worker_failed_jobs),
       (select coalesce(json_agg(marker), '[]') from test_effect),
       (select coalesce(sum(abs(gap)), 0)::int from ({ledger}) l)
"""


class World:
    """The real thing that the machine drives."""

    def __init__(self, huey: SkeldirHuey, database: Database, tenant: UUID) -> None:
        self.huey = huey
        self.tenant = tenant
        self.connection = database.connect(autocommit=True)
        self.fault: type[BaseException] | None = None  # what the task function raises now, after its effect
        self.child: str | None = None  # the job that it enqueued
        self.step: Any = None
        self.examples = 0
        self.sql(f"prepare snapshot as {SNAPSHOT.format(ledger=statement('ledger'))}")

    def empty(self) -> None:
        self.examples += 1
        if self.examples % 10:
            self.sql("; ".join(f"delete from {table}" for table in TABLES))
        else:  # slower, but leaves no dead rows to read past
            self.sql(f"truncate {', '.join(TABLES)}")
        self.sql("select pg_advisory_unlock_all()")

    def sql(self, text: str, parameters: Any = None) -> list[tuple[Any, ...]]:
        with self.connection.cursor() as cursor:
            cursor.execute(text, parameters)
            return cursor.fetchall() if cursor.description else []
