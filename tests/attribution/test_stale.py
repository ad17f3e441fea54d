"""A run whose window another run changed says that its counts and its checksum are of before."""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

from tests.attribution.runner import make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant


def stale(database: Database) -> list[bool]:
    """Say of each run, by its window, whether its checksum is of before."""
    return [
        row[0]
        for row in database.query(
            "select stale_since is not null from attribution_recompute_jobs order by window_start, window_end"
        )
    ]


def test_run_whose_window_another_run_changed_says_that_its_checksum_is_old(database: Database) -> None:
    tenant_id, visitor = make_tenant(database), uuid4()
    for nth in range(3):
        make_event(database, tenant_id, visitor=visitor, minutes=nth * 1440 + 600, cents=100)
    version, other = make_version(tenant_id, "linear"), make_version(tenant_id, "linear", "2")
    day = timedelta(days=1)
    for start, end in ((0, 1), (0, 3), (1, 2), (2, 3)):
        run_window(tenant_id, version, DAY + start * day, DAY + end * day)
    run_window(tenant_id, other, DAY - day, DAY + 4 * day)
    assert stale(database) == [False] * 5, "the same rows: nothing changed"

    make_event(database, tenant_id, kind="touch", visitor=visitor, minutes=1440 + 540, channel="email")
    changed = run_window(tenant_id, version, DAY + day, DAY + 2 * day)
    assert (changed.changed_count, changed.stale_since) == (2, None)
    assert stale(database) == [False, False, True, False, False], "the whole range, no other day, no other version"
    whole = run_window(tenant_id, version, DAY, DAY + 3 * day)
    assert whole.changed_count and whole.stale_since is None
    assert stale(database) == [False, False, False, False, True], "the last day sees that touch too"


def test_refund_that_moves_with_its_sale_makes_the_run_of_its_own_day_old(database: Database) -> None:
    tenant_id, visitor = make_tenant(database), uuid4()
    sale = make_event(database, tenant_id, visitor=visitor, minutes=60, cents=100)
    make_event(database, tenant_id, kind="adjustment", minutes=2 * 1440 + 60, cents=-40, parent_event_id=str(sale))
    version = make_version(tenant_id, "linear")
    refund_day = (DAY + timedelta(days=2), DAY + timedelta(days=3))
    run_window(tenant_id, version)
    before = run_window(tenant_id, version, *refund_day)
    assert stale(database) == [False, False]
    make_event(database, tenant_id, kind="touch", visitor=visitor, minutes=10, channel="email")
    run_window(tenant_id, version)
    assert stale(database) == [False, True]
    again = run_window(tenant_id, version, *refund_day)
    assert again.checksum != before.checksum and again.changed_count == 0 and again.stale_since is None
