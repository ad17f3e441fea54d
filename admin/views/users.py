"""Users: who may sign in and what they may do. For admins of all tenants, and for admins of one about that one."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from flask import flash, redirect, request
from flask_admin import expose
from flask_security import current_user
from werkzeug.exceptions import Forbidden
from werkzeug.wrappers import Response

from admin import params, scope, user_actions
from admin.fresh import require_fresh
from admin.guard import note_refusal
from admin.permissions import RANK, can, grants_of
from admin.reads import users as reads
from admin.reads.overview import now as database_now
from admin.reads.users import Account
from admin.views.base import ConsoleView
from skeldir_huey.errors import InputError, NotFound
from skeldir_huey.tenancy import parse_uuid

# name: (label, what is asked, what happens, whether it is about the account as a whole)
VERBS = {
    "grant": ("Change role", "Give this account a role?", "It holds from the next click of that person.", False),
    "revoke": ("Remove", "Take this role away?", "It holds from the next click of that person.", False),
    "disable": ("Disable", "Disable this account?", "Its sessions end. It can be enabled again.", True),
    "enable": ("Enable", "Enable this account?", "It can sign in again, with the roles that it has.", True),
    "password": ("Reset password", "Reset the password?", "Its sessions end. The new password is shown once.", True),
    "factor": (
        "Remove second factor",
        "Remove the second factor?",
        "The password alone signs in then. Make sure that it is really this person who asked.",
        True,
    ),
}
ALL = "all"


class UsersView(ConsoleView):
    """The list, one account, and the verbs."""

    def is_visible(self) -> bool:
        return current_user.is_authenticated and "admin" in {
            grants_of(current_user).everywhere,
            *grants_of(current_user).tenants.values(),
        }

    @expose("/")
    def index(self) -> str:
        _check_admin()
        found, more = reads.accounts(scope.current().tenant_id)
        return self.render("console/users.html", now=_now(), accounts=found, more=more, cap=reads.SHOWN)

    @expose("/new", methods=("GET", "POST"))
    def create(self) -> Any:
        """Ask for address and role (GET), or make the account (POST)."""
        _check_admin()
        require_fresh()
        if request.method == "GET":
            return self._new(None)
        scope.check_form_tenant()
        if scope.current().tenant_id is not None:
            return self._add_member()
        try:
            email, role, reason = request.form.get("email", ""), _form_role(), params.form_reason()
            user_id, password = user_actions.create(current_user, email, role, _form_of(), reason)
        except InputError as error:
            return Response(self._new(error), 400, mimetype="text/html")
        return self.render(
            "console/user_password.html", email=email.strip().lower(), user_id=user_id, password=password
        )

    @expose("/<user_id>/")
    def detail(self, user_id: str) -> str:
        account = _account(user_id)
        live = reads.live_sessions(account.id)
        return self.render("console/user.html", now=_now(), account=account, sessions=live, verbs=VERBS)

    @expose("/<user_id>/<verb_name>", methods=("GET", "POST"))
    def verb(self, user_id: str, verb_name: str) -> Any:
        """Ask for a reason (GET), or do it (POST)."""
        if verb_name not in VERBS:
            raise NotFound("no such verb")
        account = _account(user_id)
        if VERBS[verb_name][3] and not can(current_user, "users", None):
            note_refusal("users", None)
            raise Forbidden("That needs an admin of all tenants.")
        require_fresh()
        if request.method == "GET":
            return self._ask(account, verb_name, None)
        scope.check_form_tenant()
        try:
            password = _act(account, verb_name, params.form_reason())
        except InputError as error:
            return Response(self._ask(account, verb_name, error), 400, mimetype="text/html")
        if password:
            return self.render("console/user_password.html", email=account.email, user_id=account.id, password=password)
        flash(f"Done: {account.email}.", "ok")
        return redirect(scope.link("users.detail", user_id=account.id), 303)

    def _add_member(self) -> Any:
        """Give a role in the tenant of the page to an account that exists."""
        try:
            role, reason = _form_role(), params.form_reason()
            account = reads.account_named(request.form.get("email", ""))
            if account is None:
                raise InputError("email", "there is no such account; an admin of all tenants can make it")
            user_actions.grant(current_user, account.id, scope.current().tenant_id, role, reason)
        except InputError as error:
            return Response(self._new(error), 400, mimetype="text/html")
        flash(f"Done: {account.email}.", "ok")
        return redirect(scope.link("users.detail", user_id=account.id), 303)

    def _new(self, error: InputError | None) -> str:
        return self.render("console/user_new.html", now=_now(), roles=RANK, error=error, form=request.form)

    def _ask(self, account: Account, verb_name: str, error: InputError | None) -> str:
        label, question, explanation, _ = VERBS[verb_name]
        return self.render(
            "console/user_confirm.html",
            now=_now(),
            account=account,
            verb=verb_name,
            label=label,
            question=question,
            explanation=explanation,
            roles=RANK,
            of=params.text("of") or str(scope.current().tenant_id or ALL),
            error=error,
            form=request.form,
        )


def _check_admin() -> None:
    if not can(current_user, "users", scope.current().tenant_id):
        note_refusal("users", scope.current().tenant_id)
        raise Forbidden("Accounts are for admins. An admin of all tenants can make you one.")


def _account(user_id: str) -> Account:
    """Return the account of the path; to an admin of one tenant only who may enter that tenant exists."""
    _check_admin()
    account, tenant_id = reads.account(params.path_uuid(user_id)), scope.current().tenant_id
    if account is None or (tenant_id is not None and not {tenant_id, None} & set(account.grants)):
        raise NotFound("no such account")
    return account


def _act(account: Account, verb_name: str, reason: str) -> str | None:
    """Do it, and return the new password when there is one."""
    if verb_name == "grant":
        user_actions.grant(current_user, account.id, _form_of(), _form_role(), reason)
    elif verb_name == "revoke":
        user_actions.revoke(current_user, account.id, _form_of(), reason)
    elif verb_name == "password":
        return user_actions.reset_password(current_user, account.id, reason)
    elif verb_name == "factor":
        user_actions.reset_second_factor(current_user, account.id, reason)
    else:
        user_actions.set_active(current_user, account.id, verb_name == "enable", reason)
    return None


def _form_of() -> UUID | None:
    """Return the tenant that a grant is about, None for all; on the page of a tenant it can only be that one."""
    value = request.form.get("of", "")
    tenant_id = None if value == ALL else parse_uuid(value, "of")
    if tenant_id is not None and scope.current().name_of(tenant_id) is None:
        raise NotFound("no such tenant")
    if scope.current().tenant_id not in (None, tenant_id):
        raise InputError("of", "is another tenant than that of the page")
    return tenant_id


def _form_role() -> str:
    return params.form_choice("role", RANK, "")


def _now() -> Any:
    with scope.reading() as connection:
        return database_now(connection)
