"""On the sample of real journeys: a touch that comes 20 days late moves exactly the conversions that it should."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from uuid import UUID

from skeldir_huey import cli
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.tasks.attribution import recompute_dirty
from tests.attribution.runner import make_version, run_window
from tests.cluster import Database
from tests.ingest.sample import ARGUMENTS, sample
from tests.tasks.conftest import huey, run_all

__all__ = ["huey", "run_all"]

SPLIT = "select event_id::text, channel_code, allocated_revenue_cents from attribution_allocations"


def test_late_touch_moves_its_own_conversions(
    database: Database, tmp_path: Path, huey: SkeldirHuey, run_all: Callable[[], int]
) -> None:
    path = sample(tmp_path)
    assert cli.main(["import", str(path), "--tenant", "acme", *ARGUMENTS, "--create-tenant"]) == 0
    tenant_id = UUID(str(database.value("select id from tenants")))
    version = make_version(tenant_id, "linear", publish=True)
    ((start, end),) = database.query("select min(range_start), max(range_end) from attribution_dirty_ranges")
    run_window(tenant_id, version, start, end)
    assert database.value("select count(*) from attribution_dirty_ranges") == 0
    before = set(database.query(SPLIT))

    ((journey, last),) = database.query(
        "select journey_key, max(occurred_at) from attribution_events where kind = 'conversion' and journey_key ="
        " (select journey_key from attribution_events group by 1 order by count(*) filter (where kind = 'conversion')"
        " desc, 1 limit 1) group by 1"
    )
    late = last - timedelta(days=20)
    touch = tmp_path / "late.csv"
    touch.write_text(f"User_ID_Anon,Timestamp,Channel,Conversion_Flag\n{journey},{late.isoformat()},Referral,0\n")
    assert cli.main(["import", str(touch), "--tenant", "acme", *ARGUMENTS]) == 0
    recompute_dirty()
    run_all()
    assert database.value("select count(*) from attribution_dirty_ranges") == 0

    concerned = database.query(
        "select id::text from attribution_events where kind = 'conversion' and journey_key = %s"
        " and occurred_at between %s and %s",
        (str(journey), late, late + timedelta(days=30)),
    )
    after = set(database.query(SPLIT))
    moved = {row[0] for row in before ^ after}
    assert moved <= {row[0] for row in concerned} and len(concerned) > 0
    assert {row[0] for row in after if row[1] == "referral"} >= {row[0] for row in concerned}
    stored = run_window(tenant_id, version, start, end + timedelta(days=40))
    assert stored.changed_count == 0, "nothing else was out of date"
