"""Sign-in by Flask-Security: sessions and argon2 passwords on console_user; no registration, no recovery, no tokens."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from flask import Flask, current_app, g, session
from flask_login import user_logged_out
from flask_security import (
    LoginForm,
    RoleMixin,
    Security,
    SQLAlchemySessionUserDatastore,
    UserMixin,
    password_changed,
    tf_disabled,
    tf_profile_changed,
    user_authenticated,
)
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, registry, scoped_session, sessionmaker

from admin import guard, second_factor, sessions
from admin.fresh import FRESH_FOR
from admin.permissions import remember
from admin.second_factor import OneTimeTotp, RescueForm, SetUpForm, take_recovery_code
from admin.trail import record
from admin.users import PASSWORD_MIN
from skeldir_huey.db.engine import engine, enter, transaction
from skeldir_huey.db.tables import ConsoleUser

__all__ = ["User", "install", "record"]


class User(UserMixin):
    """A console account as Flask-Security wants it; its columns are those of `ConsoleUser`."""


registry().map_imperatively(User, ConsoleUser.__table__)


class Role(RoleMixin):
    """Flask-Security asks for a class; our permissions are console_grant rows, see permissions.py."""


class AccountSession(Session):
    """The session of sign-in only: acts as console_global. Pages read through scope.reading instead."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine:
        return engine("console")


@sa.event.listens_for(AccountSession, "after_begin")
def _act_as_global(session: Session, transaction: Any, connection: Connection) -> None:
    enter(connection, None, "console_global")


class Users(SQLAlchemySessionUserDatastore):
    """Finds users, and gives the connection back at once: a page needs it for its own reads."""

    def find_user(self, case_insensitive: bool = False, **kwargs: Any) -> Any:
        found = super().find_user(case_insensitive, **kwargs)
        # The owner of this cookie is asked for: was that session ended in another window?
        if found is not None and session.get("_user_id") in kwargs.values():
            grants = sessions.grants_of_live(self.db.session.connection(), found.id)
            if grants is None:
                found = None
            else:
                remember(found.id, grants)
        self.db.session.commit()
        return found

    def mf_delete_recovery_code(self, user: Any, idx: int) -> bool:
        return take_recovery_code(user, idx)


class SignInForm(LoginForm):
    """Flask-Security's form without "remember me": a session ends after 8 hours."""

    remember = None


def install(app: Flask) -> None:
    """Add sign-in, sign-out and change of password below /admin/."""
    app.config.update(
        SECURITY_URL_PREFIX="/admin",
        SECURITY_POST_LOGIN_VIEW="/admin/",
        SECURITY_POST_LOGOUT_VIEW="/admin/login",
        SECURITY_POST_CHANGE_VIEW="/admin/account/",
        SECURITY_LOGOUT_METHODS=["POST"],
        SECURITY_PASSWORD_HASH="argon2",
        SECURITY_PASSWORD_SCHEMES=["argon2"],
        SECURITY_DEPRECATED_PASSWORD_SCHEMES=[],
        SECURITY_PASSWORD_SINGLE_HASH=True,  # argon2 brings its own salt; users.py hashes without an app
        SECURITY_PASSWORD_LENGTH_MIN=PASSWORD_MIN,
        SECURITY_REGISTERABLE=False,
        SECURITY_RECOVERABLE=False,
        SECURITY_CHANGEABLE=True,
        SECURITY_SEND_PASSWORD_CHANGE_EMAIL=False,
        SECURITY_RETURN_GENERIC_RESPONSES=True,
        SECURITY_API_ENABLED_METHODS=["session"],
        SECURITY_FLASH_MESSAGES=True,
        SECURITY_REDIRECT_VALIDATE_MODE=None,
        SECURITY_FRESHNESS=FRESH_FOR,
        SECURITY_FRESHNESS_GRACE_PERIOD=timedelta(0),
    )
    second_factor.configure(app)
    accounts = scoped_session(sessionmaker(class_=AccountSession, expire_on_commit=False))
    Security(
        app,
        Users(accounts, User, Role),
        login_form=SignInForm,
        two_factor_setup_form=SetUpForm,
        two_factor_rescue_form=RescueForm,
        totp_cls=OneTimeTotp,
    )
    # Flask-Security would also take a token from the URL; a session cookie is the only way in.
    app.login_manager.request_loader(lambda request: None)  # type: ignore[attr-defined]

    @app.teardown_appcontext
    def close(error: BaseException | None) -> None:
        accounts.remove()

    guard.install(app)
    user_authenticated.connect(_signed_in, app)
    user_logged_out.connect(_signed_out, app)
    password_changed.connect(_password_changed, app)
    tf_profile_changed.connect(_second_factor_set, app)
    tf_disabled.connect(_second_factor_removed, app)


def _connection() -> Connection:
    """Return the transaction in which Flask-Security changes the account; it is committed at the end of the request."""
    made: Connection = current_app.extensions["security"].datastore.db.session.connection()
    return made


def _signed_in(app: Flask, user: Any, authn_via: list[str] | None = None, **extra: Any) -> None:
    # A token that somebody planted before the sign-in is worth nothing after it.
    session.pop("csrf_token", None)
    g.pop("csrf_token", None)
    session.permanent = True
    session["signed_in_at"] = session["seen_at"] = int(time.time())
    connection = _connection()
    sessions.start(connection, user.id)
    if authn_via == ["change"]:
        sessions.end(connection, user.id, but=sessions.current_id())
        return
    connection.execute(sa.update(ConsoleUser).where(ConsoleUser.id == user.id).values(last_login_at=datetime.now(UTC)))
    record(connection, user.email, "sign_in", "console_user", str(user.id))


def _signed_out(app: Flask, user: Any, **extra: Any) -> None:
    if user is None or not user.is_authenticated:
        return
    with transaction(None, role="console_global", who="console") as connection:
        if sid := sessions.current_id():
            sessions.end(connection, user.id, only=sid)
        record(connection, user.email, "sign_out", "console_user", str(user.id))
    session.pop("sid", None)


def _password_changed(app: Flask, user: Any, **extra: Any) -> None:
    record(_connection(), user.email, "change_password", "console_user", str(user.id))


def _second_factor_set(app: Flask, user: Any, **extra: Any) -> None:
    # Sessions that began with the password alone end: from here on, who is signed in gave both.
    sessions.end(_connection(), user.id, but=sessions.current_id())
    record(_connection(), user.email, "set_second_factor", "console_user", str(user.id))


def _second_factor_removed(app: Flask, user: Any, **extra: Any) -> None:
    user.mf_recovery_codes = None
    record(_connection(), user.email, "remove_second_factor", "console_user", str(user.id))
