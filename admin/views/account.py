"""Account: who is signed in, with which roles, from where; password, second factor and how pages look."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import flash, redirect, request
from flask_admin import expose
from flask_security import current_user
from werkzeug.wrappers import Response

from admin import params, scope, sessions
from admin.permissions import grants_of
from admin.reads import users as reads
from admin.settings import REFRESH_S, THEMES, Settings, zones
from admin.trail import record
from admin.views.base import ConsoleView
from skeldir_huey.db.engine import transaction
from skeldir_huey.db.tables import ConsoleUser
from skeldir_huey.errors import InputError, NotFound


class AccountView(ConsoleView):
    """The signed-in person's own page; it is reached from the top bar, not from the menu."""

    def is_visible(self) -> bool:
        return False

    @expose("/")
    def index(self) -> str:
        return self._page(None)

    @expose("/settings", methods=("POST",))
    def settings(self) -> Any:
        """Keep theme, time zone and refresh interval."""
        try:
            chosen = Settings.of_form(request.form)
        except InputError as error:
            return Response(self._page(error), 400, mimetype="text/html")
        with transaction(None, role="console_global", who="console") as connection:
            connection.execute(
                sa.update(ConsoleUser)
                .where(ConsoleUser.id == current_user.id)
                .values(theme=chosen.theme, time_zone=chosen.time_zone, refresh_s=chosen.refresh_s)
            )
            detail = {"after": chosen.as_dict()}
            record(connection, current_user.email, "settings", "console_user", str(current_user.id), detail=detail)
        flash("Kept.", "ok")
        return chosen.remembered_by(redirect(scope.link("account.index"), 303))

    @expose("/sessions", methods=("POST",))
    def end_sessions(self) -> Any:
        """End one session (`only`), or all but this one."""
        only = request.form.get("only")
        only_id: UUID | None = params.path_uuid(only) if only else None
        with transaction(None, role="console_global", who="console") as connection:
            but = None if only_id else sessions.current_id()
            count = sessions.end(connection, current_user.id, but=but, only=only_id)
            if only_id and not count:
                raise NotFound("no such session")
            detail = {"ended_sessions": count}
            record(connection, current_user.email, "end_sessions", "console_user", str(current_user.id), detail=detail)
        flash(f"{count} {'session' if count == 1 else 'sessions'} ended.", "ok")
        return redirect(scope.link("account.index"), 303)

    def _page(self, error: InputError | None) -> str:
        return self.render(
            "console/account.html",
            grants=grants_of(current_user),
            live_sessions=reads.live_sessions(current_user.id),
            sid=sessions.current_id(),
            codes_left=len(current_user.mf_recovery_codes or ()),
            themes=THEMES,
            refresh_choices=REFRESH_S,
            zones=zones(),
            error=error,
        )
