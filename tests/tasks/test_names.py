"""Names of tasks are stored with jobs: they, and their lanes, are a promise across deploys."""

from __future__ import annotations

from skeldir_huey.main import huey

STABLE = {
    "skeldir.housekeeping.ping": "housekeeping",
    "skeldir.attribution.recompute_window": "attribution",
    "skeldir.attribution.recompute_versions": "attribution",
    "skeldir.attribution.recompute_dirty": "attribution",
    "skeldir.attribution.end_orphans": "attribution",
    "skeldir.attribution.count_paths": "maintenance",
    "skeldir.attribution.count_dirty_paths": "maintenance",
    "skeldir.attribution.train_markov": "maintenance",
    "skeldir.attribution.backfill_step": "attribution",
    "skeldir.ingest.retry_refused": "ingest",
    "skeldir.ingest.refuse_overdue": "maintenance",
    "skeldir.ingest.refuse_overdue_daily": "maintenance",
    "skeldir.ledger.reconcile": "maintenance",
    "skeldir.ledger.reconcile_daily": "maintenance",
    "skeldir.ledger.reconcile_night": "maintenance",
    "skeldir.reports.refresh_all": "maintenance",
    "skeldir.reports.refresh_realtime": "maintenance",
    "skeldir.reports.refresh_view": "maintenance",
    "skeldir.maintenance.bulk_step": "maintenance",
    "skeldir.maintenance.scan_pii": "maintenance",
    "skeldir.maintenance.scan_pii_daily": "maintenance",
    "skeldir.maintenance.enforce_retention": "maintenance",
    "skeldir.maintenance.enforce_retention_daily": "maintenance",
    "skeldir.maintenance.remove_outdated_daily": "maintenance",
}


def test_names_and_lanes_are_stable() -> None:
    registered = {
        name: kind.lane
        for name, kind in huey._registry._registry.items()
        if name.startswith("skeldir.") and not name.startswith("skeldir.demo.")
    }
    assert registered == STABLE
