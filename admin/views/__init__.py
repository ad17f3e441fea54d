"""One file per page. The order here is the order of the menu."""

from __future__ import annotations

from flask_admin import BaseView

from admin.views.account import AccountView
from admin.views.allocations import AllocationsView
from admin.views.audit import AuditView
from admin.views.bulk import BulkView
from admin.views.cron import CronView
from admin.views.dead import DeadLettersView
from admin.views.health import HealthView
from admin.views.jobs import JobsView
from admin.views.matviews import MatviewsView
from admin.views.overview import OverviewView
from admin.views.queues import QueuesView
from admin.views.recompute import RecomputeView
from admin.views.refused import RefusedView
from admin.views.search import SearchView
from admin.views.tenants import TenantsView
from admin.views.users import UsersView


def all_views() -> list[BaseView]:
    """Return the pages, the index page first."""
    return [
        OverviewView("Overview", category="Watch", endpoint="admin", url="/admin"),
        QueuesView("Queues", category="Watch", endpoint="queues"),
        JobsView("In flight", category="Watch", endpoint="jobs"),
        DeadLettersView("Dead letters", category="Fix", endpoint="dead"),
        BulkView("Bulk operations", category="Fix", endpoint="bulk"),
        RefusedView("Refused records", category="Fix", endpoint="refused"),
        RecomputeView("Recompute", category="Fix", endpoint="recompute"),
        TenantsView("Tenants", category="Inspect", endpoint="tenants"),
        AllocationsView("Allocations", category="Inspect", endpoint="allocations"),
        MatviewsView("Materialized views", category="Inspect", endpoint="matviews"),
        CronView("Cron", category="Inspect", endpoint="cron"),
        AuditView("Audit log", category="Trust", endpoint="audit"),
        HealthView("Health", category="Trust", endpoint="health"),
        UsersView("Users", category="Trust", endpoint="users"),
        AccountView("Account", endpoint="account"),
        SearchView("Search", endpoint="search"),
    ]
