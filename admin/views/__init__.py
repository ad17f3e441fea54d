"""One file per page. The order here is the order of the menu."""

from __future__ import annotations

from flask_admin import BaseView

from admin.views.account import AccountView
from admin.views.allocations import AllocationsView
from admin.views.audit import AuditView
from admin.views.dead import DeadLettersView
from admin.views.overview import OverviewView
from admin.views.queues import QueuesView
from admin.views.runs import RunsView


def all_views() -> list[BaseView]:
    """Return the pages, the index page first."""
    return [
        OverviewView("Overview", category="Watch", endpoint="admin", url="/admin"),
        QueuesView("Queues", category="Watch", endpoint="queues"),
        DeadLettersView("Dead letters", category="Fix", endpoint="dead"),
        RunsView("Runs", category="Fix", endpoint="runs"),
        AllocationsView("Allocations", category="Inspect", endpoint="allocations"),
        AuditView("Audit log", category="Trust", endpoint="audit"),
        AccountView("Account", endpoint="account"),
    ]
