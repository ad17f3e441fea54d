"""Account: who is signed in, with which roles."""

from __future__ import annotations

from flask_admin import expose
from flask_security import current_user

from admin.permissions import grants_of
from admin.views.base import ConsoleView


class AccountView(ConsoleView):
    """The signed-in person's own page; it is reached from the top bar, not from the menu."""

    def is_visible(self) -> bool:
        return False

    @expose("/")
    def index(self) -> str:
        return self.render("console/account.html", grants=grants_of(current_user))
