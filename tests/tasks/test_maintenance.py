"""Maintenance tasks on one tenant's rows, and nobody else's."""

from __future__ import annotations

import json
from uuid import UUID

from skeldir_huey.db.engine import transaction
from skeldir_huey.ingest import pii
from skeldir_huey.queue.dead_letters import delete_settled
from tests.cluster import Database
from tests.factories import make_letter, make_tenant


def refuse(database: Database, tenant: UUID, payload: object) -> None:
    database.query(
        "insert into dead_events (tenant_id, source, idempotency_key, payload, error_type, error_message)"
        " values (%s, 'test', sha256(%s::bytea), %s, 'permanent', 'refused')",
        (str(tenant), json.dumps(payload).encode(), json.dumps(payload)),
    )


def test_personal_data_is_found_at_every_depth_and_only_of_the_tenant(database: Database) -> None:
    a, b = make_tenant(database, "a-tenant"), make_tenant(database, "b-tenant")
    refuse(database, a, {"order": {"lines": [{"note": "x"}, {"E-Mail": "x"}]}})
    refuse(database, a, {"order": {"mailing": "list", "email_count": 3}})
    refuse(database, b, {"phone": "1"})
    with transaction(a) as connection:
        assert pii.scan(connection) == [{"source": "dead_events", "scanned_count": 2, "finding_count": 1}]


def test_settled_letters_go_after_their_time(database: Database) -> None:
    a, b = make_tenant(database, "a-tenant"), make_tenant(database, "b-tenant")
    for tenant in (a, b):
        make_letter(database, tenant, status="resolved", resolved_at="now")
        for status in ("abandoned", "pending"):
            make_letter(database, tenant, status=status)
    database.query(
        "update worker_failed_jobs set failed_at = now() - interval '40 days',"
        " resolved_at = resolved_at - interval '40 days'"
    )
    with transaction(a) as connection:
        assert delete_settled(connection, 41) == 0
        assert delete_settled(connection, 30) == 2
    left = database.query("select tenant_id, status from worker_failed_jobs where tenant_id = %s", (str(a),))
    assert [status for _, status in left] == ["pending"]
    assert database.value("select count(*) from worker_failed_jobs where tenant_id = %s", (str(b),)) == 3
