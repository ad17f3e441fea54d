"""Sign-in by Flask-Security: sessions and argon2 passwords on console_user; no registration, no recovery, no tokens."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from flask import Flask, abort, request, session
from flask_security import (
    LoginForm,
    RoleMixin,
    Security,
    SQLAlchemySessionUserDatastore,
    UserMixin,
    current_user,
    password_changed,
    user_authenticated,
)
from sqlalchemy.engine import Connection, Engine
from sqlalchemy.orm import Session, registry, scoped_session, sessionmaker
from werkzeug.wrappers import Response

from admin.limiter import Limiter
from admin.security import request_id
from admin.users import PASSWORD_MIN
from skeldir_huey.db.engine import engine, enter, transaction
from skeldir_huey.db.tables import ConsoleAudit, ConsoleUser
from skeldir_huey.errors import InputError
from skeldir_huey.log import get_log

log = get_log("console")


class User(UserMixin):
    """A console account as Flask-Security wants it; its columns are those of `ConsoleUser`."""


registry().map_imperatively(User, ConsoleUser.__table__)


class Role(RoleMixin):
    """Flask-Security asks for a class; our permissions are console_grant rows, see permissions.py."""


class ConsoleSession(Session):
    """The session of sign-in only: acts as console_global. Pages read through scope.reading instead."""

    def get_bind(self, *args: Any, **kwargs: Any) -> Engine:
        return engine("console")


@sa.event.listens_for(ConsoleSession, "after_begin")
def _act_as_global(session: Session, transaction: Any, connection: Connection) -> None:
    enter(connection, None, "console_global")


class Users(SQLAlchemySessionUserDatastore):
    """Finds users, and gives the connection back at once: a page needs it for its own reads."""

    def find_user(self, case_insensitive: bool = False, **kwargs: Any) -> Any:
        found = super().find_user(case_insensitive, **kwargs)
        self.db.session.commit()
        return found


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
    )
    sessions = scoped_session(sessionmaker(class_=ConsoleSession, expire_on_commit=False))
    Security(app, Users(sessions, User, Role), login_form=SignInForm)
    # Flask-Security would also take a token from the URL; a session cookie is the only way in.
    app.login_manager.request_loader(lambda request: None)  # type: ignore[attr-defined]

    @app.teardown_appcontext
    def close(error: BaseException | None) -> None:
        sessions.remove()

    limiter = Limiter()
    app.before_request(_refuse_unsafe_next)

    @app.before_request
    def slow_down() -> None:
        if request.method == "POST" and request.endpoint == "security.login":
            wait_s = limiter.attempt(request.remote_addr or "", request.form.get("email", "").strip().lower())
            if wait_s:
                log.warning("sign_in_limited", source_address=request.remote_addr, request_id=str(request_id()))
                abort(429, "Too many sign-in attempts. Try again in a few minutes.")

    @app.after_request
    def forget(response: Response) -> Response:
        if request.method == "POST" and request.endpoint == "security.login" and current_user.is_authenticated:
            limiter.forget(request.remote_addr or "", request.form.get("email", "").strip().lower())
        return response

    user_authenticated.connect(_signed_in, app)
    password_changed.connect(_password_changed, app)


def safe_path(url: str) -> bool:
    """Return whether a URL may follow a sign-in: a path of this site that no browser reads otherwise."""
    return (
        url.startswith("/")
        and not url.startswith("//")
        and "\\" not in url
        and len(url) <= 2000
        and all(" " < character != "\x7f" for character in url)
    )


def _refuse_unsafe_next() -> None:
    if request.blueprint == "security":
        for url in (*request.args.getlist("next"), *request.form.getlist("next")):
            if url and not safe_path(url):
                raise InputError("next", "expected a path of this console")


def _signed_in(app: Flask, user: Any, **extra: Any) -> None:
    session.permanent = True
    session["signed_in_at"] = int(time.time())
    with transaction(None, role="console_global", who="console") as connection:
        connection.execute(
            sa.update(ConsoleUser).where(ConsoleUser.id == user.id).values(last_login_at=datetime.now(UTC))
        )
        record(connection, user.email, "sign_in", "console_user", str(user.id))


def _password_changed(app: Flask, user: Any, **extra: Any) -> None:
    session["signed_in_at"] = int(time.time())
    with transaction(None, role="console_global", who="console") as connection:
        record(connection, user.email, "change_password", "console_user", str(user.id))


def record(connection: Connection, actor: str, action: str, target_type: str, target_id: str, **columns: Any) -> None:
    """Write an audit row in the caller's transaction; address and request id come from the request."""
    connection.execute(
        sa.insert(ConsoleAudit).values(
            {
                "actor": actor,
                "source_address": request.remote_addr,
                "action": action,
                "target_type": target_type,
                "target_id": target_id,
                "result": "ok",
                "request_id": request_id(),
            }
            | columns
        )
    )
