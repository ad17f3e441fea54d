"""On 100,000 analysed events a run of one day reads that day by the intended indexes, and no table as a whole."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from skeldir_huey.attribution import store
from skeldir_huey.attribution.allocate import statement
from skeldir_huey.db.engine import transaction
from tests.attribution.runner import CHANNELS, make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_tenant

SEED = """
insert into attribution_events (tenant_id, occurred_at, event_type, kind, journey_key, session_id, channel,
                                revenue_cents, currency, idempotency_key)
select (array[%(first)s, %(second)s]::uuid[])[1 + n %% 2], %(start)s::timestamptz + n * interval '26 seconds',
       'x', case when n %% 5 = 0 then 'conversion' else 'touch' end, journey, journey,
       (array['direct', 'email', 'organic'])[1 + n %% 3], case when n %% 5 = 0 then n end,
       case when n %% 5 = 0 then 'USD' end, sha256(n::text::bytea)
  from generate_series(1, 100000) n
 cross join lateral (select md5((n %% 20000)::text)::uuid as journey) j
"""


def indexes(plan: Any) -> set[str]:
    """Return the indexes of a plan, and "Seq Scan on x" for each table that is read as a whole."""
    if isinstance(plan, list):
        return set().union(*map(indexes, plan))
    found = indexes(plan.get("Plans", []))
    if plan["Node Type"] == "Seq Scan":
        found.add(f"Seq Scan on {plan['Relation Name']}")
    return found | ({plan["Index Name"]} if "Index Name" in plan else set())


@pytest.mark.parametrize("analysed", [True, False])
def test_run_of_a_day_uses_the_intended_indexes(database: Database, analysed: bool) -> None:
    tenant_id, other = make_tenant(database), make_tenant(database, "other")
    database.query(SEED, {"first": str(tenant_id), "second": str(other), "start": DAY})
    versions = [make_version(tenant_id, "linear"), make_version(tenant_id, "linear", "2", repeat="reset")]
    versions.append(make_version(tenant_id, "time_decay", dedupe="unique"))
    versions.append(make_version(tenant_id, "even_split", channels=CHANNELS))
    for version in versions:
        run_window(tenant_id, version, DAY, DAY + timedelta(days=5))
    if analysed:
        database.query("analyze")
    for version in versions:
        found = plan_of(tenant_id, version)
        wanted = {"attribution_events_valued", "attribution_allocations_time"}
        if version != "even_split@1.0.0":
            wanted.add("attribution_events_journey")
        assert wanted <= found, (version, found)
        assert not [name for name in found if name.startswith("Seq Scan on attribution")]


def plan_of(tenant_id: UUID, version: str) -> set[str]:
    start = DAY + timedelta(days=4)
    with transaction(tenant_id) as connection:
        spec = store.read_version(connection, tenant_id, version)
        text, values = statement([spec])
        values |= {
            "tenant_id": tenant_id,
            "window_start": start,
            "window_end": start + timedelta(days=1),
            "model_versions": [version],
            "model_types": [spec.model_type],
            "run_ids": [tenant_id],
        }
        plan = connection.exec_driver_sql(f"explain (format json) {text}", values).scalar_one()
    return indexes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])


def test_sum_check_never_looks_rows_up_by_version(database: Database) -> None:
    """Statistics that did not know a version made the index by time look as good as the key, a first run quadratic."""
    source = str(database.value("select prosrc from pg_proc where proname = 'check_allocation_sums'"))
    check = source[source.index("select sums.*") : source.index("limit 1;") + len("limit 1")].replace("into bad", "")
    connection = database.connect()
    with connection.cursor() as cursor:
        cursor.execute("create temporary table changed as select * from attribution_allocations")
        cursor.execute("alter table attribution_allocations drop constraint attribution_allocations_pkey")
        cursor.execute("set local enable_seqscan = off")
        cursor.execute(f"explain {check}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    connection.close()
    assert "attribution_allocations_time" in plan, "with the key gone, what the index by time would be asked"
    assert not [line for line in plan.splitlines() if "Index Cond" in line and "model_version" in line], plan
