"""The base of every page: signed-in users with a grant only, and a scope from the URL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import redirect, request, url_for
from flask_admin import BaseView
from flask_security import current_user
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response

from admin import scope
from admin.permissions import grants_of
from admin.problems import problem
from skeldir_huey.errors import InputError


class ConsoleView(BaseView):
    """A page of the console. Closed by default: `is_accessible` is the only way in."""

    def is_accessible(self) -> bool:
        return bool(current_user.is_authenticated)

    def inaccessible_callback(self, name: str, **kwargs: Any) -> Response:
        if request.method != "GET" or "X-Live" in request.headers:
            return problem(401)
        return redirect(url_for("security.login", next=request.full_path.rstrip("?")))

    def _handle_view(self, name: str, **kwargs: Any) -> Any:
        refused = super()._handle_view(name, **kwargs)
        if refused is not None:
            return refused
        grants = grants_of(current_user)
        if grants.everywhere is None and not grants.tenants and self.endpoint != "account":
            raise Forbidden("Your account has no role in any tenant yet. An admin can grant one.")
        try:
            scope.current()
        except scope.ChooseTenant as choose:
            if request.method != "GET":
                raise InputError("tenant", "missing in the address") from None
            return redirect(scope.link_with(tenant=choose.tenant_id))
        return None

    def _run_view(self, fn: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        # Flask-Admin calls a view a second time when it raised TypeError; a verb must run once.
        return fn(self, *args, **kwargs)
