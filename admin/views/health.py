"""Health: what could be wrong with the whole installation, each check with its meaning and its remedy."""

from __future__ import annotations

from typing import Any

from flask_admin import expose
from flask_security import current_user
from werkzeug.exceptions import Forbidden

from admin.permissions import can
from admin.reads import health
from admin.views.base import ConsoleView
from skeldir_huey.observability.checks import BAD, OK, WARN


class HealthView(ConsoleView):
    """The same checks as `python -m skeldir_huey doctor`, as the console's login can make them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._looks = health.Looks()

    @expose("/")
    def index(self) -> str:
        if not can(current_user, "read", None):
            raise Forbidden("Health is about the whole installation. You need the role viewer in all tenants.")
        groups = self._looks.groups()
        found = [check for group in groups for check in group.checks]
        return self.render(
            "console/health.html",
            now=max(group.at for group in groups),
            groups=groups,
            counts={state: sum(1 for check in found if check.state == state) for state in (BAD, WARN, OK)},
            words={OK: ("done", "ok"), WARN: ("paused", "look"), BAD: ("failed", "bad")},
        )
