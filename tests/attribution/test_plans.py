"""On 100,000 analysed events a run of one day reads that day by the intended indexes, and no table as a whole."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from skeldir_huey.attribution import runs, store
from skeldir_huey.attribution.allocate import statement
from skeldir_huey.attribution.checksum import checksum
from skeldir_huey.attribution.models import MODELS
from skeldir_huey.attribution.ranges import by_block
from skeldir_huey.attribution.recompute import recompute
from skeldir_huey.attribution.types import ModelSpec
from skeldir_huey.db.engine import transaction
from skeldir_huey.db.sqlfile import sql
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


def test_ranges_are_read_by_block_and_the_rest_of_the_transaction_is_not(database: Database) -> None:
    """What serves the sum check and the checksum would make each later look-up of a journey read by bitmap, too."""
    tenant_id = make_tenant(database)
    database.query(SEED, {"first": str(tenant_id), "second": str(tenant_id), "start": DAY})
    version = make_version(tenant_id, "linear")
    window = {"tenant_id": tenant_id, "window_start": DAY, "window_end": DAY + timedelta(days=5)}
    with transaction(tenant_id) as connection:
        run = runs.start(connection, runs.identify(model_version=version, **window), None, None)
        recompute(connection, tenant_id, run.id)
        written = connection.exec_driver_sql("update attribution_allocations set run_id = run_id").rowcount
        assert written > 1000, "enough for the sum check to read a range"
        assert connection.exec_driver_sql("show enable_indexscan").scalar_one() == "on"
        select = f"explain {sql('attribution', 'checksum')}"
        with by_block(connection):
            plan = "\n".join(connection.exec_driver_sql(select, window | {"model_version": version}).scalars())
        assert "Bitmap Index Scan on attribution_allocations_time" in plan, plan
        checksum(connection, window | {"model_version": version})
        assert connection.exec_driver_sql("show enable_indexscan").scalar_one() == "on"


def sum_checks(database: Database) -> tuple[str, str]:
    """Return the query that reads a range of times, with $1 to $4, and the one that looks events up, as constants."""
    source = str(database.value("select prosrc from pg_proc where proname = 'check_allocation_sums'"))
    _, by_range, rest = source.split("$check$")
    by_key = rest[rest.index("select sums.*") : rest.index("limit 1;") + len("limit 1")].replace("into bad", "")
    tenant = "(select tenant_id from changed limit 1)"
    return by_range, by_key.replace("part.tenant_id", tenant).replace("part.model_version", "'linear@1.0.0'")


def test_sum_check_never_looks_rows_up_by_version(database: Database) -> None:
    """Statistics that did not know a version made the index by time look as good as the key, a first run quadratic."""
    check = sum_checks(database)[1]
    connection = database.connect()
    with connection.cursor() as cursor:
        cursor.execute("create temporary table changed as select * from attribution_allocations")
        cursor.execute("alter table attribution_allocations drop constraint attribution_allocations_pkey")
        cursor.execute("set local enable_seqscan = off")
        cursor.execute(f"explain {check}")
        plan = "\n".join(row[0] for row in cursor.fetchall())
    connection.close()
    assert "attribution_allocations_time" in plan, "with the key gone, what the index by time would be asked"
    looked_up = plan[plan.rindex("attribution_allocations_time") :].splitlines()[1]
    assert "Index Cond" in looked_up and "model_version" not in looked_up, plan


def test_each_weight_of_time_decay_is_found_once(database: Database) -> None:
    """The server had set the exponential, most of the model's price, into both a condition and the sum."""
    tenant_id = make_tenant(database)
    spec = ModelSpec("time_decay", "1", "time_decay", MODELS["time_decay"].check({}, []))
    text, values = statement([spec])
    window = {"tenant_id": tenant_id, "window_start": DAY, "window_end": DAY + timedelta(days=1)}
    asked = {"model_versions": ["time_decay@1"], "model_types": ["time_decay"], "run_ids": [tenant_id]}
    with transaction(tenant_id) as connection:
        plan = "\n".join(connection.exec_driver_sql(f"explain (verbose) {text}", values | window | asked).scalars())
    assert plan.count("exp(") == 1, plan


@pytest.mark.parametrize("analysed", [True, False])
def test_sum_check_of_many_rows_reads_each_range_once(database: Database, analysed: bool) -> None:
    """A loop over the range for each event, or all events of the tenant for a day, is what took minutes."""
    tenant_id = make_tenant(database)
    database.query(SEED, {"first": str(tenant_id), "second": str(tenant_id), "start": DAY})
    version = make_version(tenant_id, "linear")
    run_window(tenant_id, version, DAY, DAY + timedelta(days=5))
    if analysed:
        database.query("analyze")
    query = sum_checks(database)[0]
    day = (DAY + timedelta(days=4), DAY + timedelta(days=5) - timedelta(seconds=1))
    for number, value in enumerate((tenant_id, version, *day), 1):
        query = query.replace(f"${number}", f"'{value}'")
    (settings,) = database.query("select proconfig from pg_proc where proname = 'check_allocation_sums'")[0]
    # Beside the function's own: what it sets just before this query.
    source = str(database.value("select prosrc from pg_proc where proname = 'check_allocation_sums'"))
    (by_block,) = re.findall(r"perform set_config\('(\w+)', 'off', true\);", source)
    with transaction(tenant_id) as connection:
        for setting in [*settings, f"{by_block}=off"]:
            connection.exec_driver_sql(f"set local {setting.replace('=', ' = ')}")
        query = query.replace("from changed c", "from attribution_allocations c")
        text = connection.exec_driver_sql(f"explain {query}").scalars().all()
        plan = connection.exec_driver_sql(f"explain (format json) {query}").scalar_one()
    found = indexes((json.loads(plan) if isinstance(plan, str) else plan)[0]["Plan"])
    assert {"attribution_allocations_time", "attribution_events_valued"} <= found, "\n".join(text)
    assert not [line for line in text if "Nested Loop" in line or "Merge" in line or "events_pkey" in line], text
    assert [line for line in text if "Bitmap Heap Scan on attribution_allocations a" in line], "in an index's order"
