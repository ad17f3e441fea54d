"""Guards the doors of the sign-in: attempts are limited, failures leave an audit row, only forms are taken."""

from __future__ import annotations

from uuid import UUID

import sqlalchemy as sa
from flask import Flask, abort, g, request, session, url_for
from flask_security import current_user
from werkzeug.wrappers import Response

from admin import limiter
from admin.security import request_id
from admin.trail import record_refusal
from skeldir_huey.db.engine import transaction
from skeldir_huey.db.tables import ConsoleUser
from skeldir_huey.errors import InputError
from skeldir_huey.log import get_log

log = get_log("console")

# Doors where a secret is typed, and what its failure is called in the audit log.
DOORS = {
    "security.login": "sign_in",
    "security.verify": "confirm_password",
    "security.change_password": "change_password",
    "security.two_factor_token_validation": "second_factor",
    "security.two_factor_setup_validate": "second_factor_setup",
    "security.mf_recovery": "recovery_code",
}
# Parts of the library that send mail, or choose between factors of which there is one.
CLOSED = {"security.two_factor_rescue", "security.tf_select"}


def install(app: Flask) -> None:
    """Hook the guards onto every request of the sign-in."""
    app.before_request(_refuse)
    app.before_request(_slow_down)
    app.after_request(_note_outcome)


def safe_path(url: str) -> bool:
    """Return whether a URL may follow a sign-in: a path of this site that no browser reads otherwise."""
    return (
        url.startswith("/")
        and not url.startswith("//")
        and "\\" not in url
        and len(url) <= 2000
        and all(" " < character != "\x7f" for character in url)
    )


def _refuse() -> None:
    if request.blueprint != "security":
        return
    # Signed in, the address of the second factor would sign out on a mere GET.
    half_way_only = request.endpoint == "security.two_factor_token_validation" and current_user.is_authenticated
    if request.endpoint in CLOSED or half_way_only:
        abort(404)
    # Its limits count e-mail addresses of forms; the library would take them from JSON as well.
    if request.is_json:
        raise InputError("Content-Type", "expected a form")
    for url in (*request.args.getlist("next"), *request.form.getlist("next")):
        if url and not safe_path(url):
            raise InputError("next", "expected a path of this console")


def _slow_down() -> None:
    if request.method == "POST" and request.endpoint in DOORS:
        wait_s = limiter.attempt(request.remote_addr or "", _account())
        if wait_s:
            log.warning("sign_in_limited", source_address=request.remote_addr, request_id=str(request_id()))
            abort(429, "Too many attempts. Try again in a few minutes.")


def note_refusal(action: str, tenant_id: UUID | None) -> None:
    """Remember what the signed-in person may not do; when the answer is 403, it becomes an audit row."""
    g.refused = (action, tenant_id)


def _note_outcome(response: Response) -> Response:
    # A GET writes nothing, so only what was really tried is in the log.
    if request.method == "POST" and response.status_code == 403 and current_user.is_authenticated:
        action, tenant_id = g.get("refused", ((request.endpoint or "unknown").replace(".", "_"), None))
        record_refusal(current_user.email, action, "page", request.path[:200], tenant_id=tenant_id)
    if request.endpoint == "security.login" and response.status_code == 302:
        _lead_on(response)
    if request.method != "POST" or request.endpoint not in DOORS or response.status_code not in (200, 302):
        return response
    if response.status_code == 302 and current_user.is_authenticated:
        limiter.forget(request.remote_addr or "", _account())
    elif response.status_code == 200:
        record_refusal(_known_account() or "unknown account", DOORS[request.endpoint], "console_user", "unknown")
    return response


def _lead_on(response: Response) -> None:
    # When no page was asked for, the library would lead from the code back to the sign-in page.
    code_page = url_for("security.two_factor_token_validation")
    if (response.location or "").partition("?")[0] == code_page:
        wanted = request.form.get("next") or request.args.get("next") or None
        response.location = url_for("security.two_factor_token_validation", next=wanted)


def _account() -> str:
    """Return whose secret is being typed: the signed-in person, the one half-way in, or what the form says."""
    if current_user.is_authenticated:
        return str(current_user.email).lower()
    if request.endpoint == "security.login":
        return request.form.get("email", "").replace("\0", "").strip().lower()
    return str(session.get("tf_user_id", ""))


def _known_account() -> str | None:
    # What was typed is named only when it is an account: people type passwords into the wrong box.
    if current_user.is_authenticated:
        return str(current_user.email)
    wanted = (
        sa.func.lower(ConsoleUser.email) == _account()
        if request.endpoint == "security.login"
        else ConsoleUser.fs_uniquifier == _account()
    )
    with transaction(None, role="console_global", who="console", read_only=True) as connection:
        found: str | None = connection.scalar(sa.select(ConsoleUser.email).where(wanted))
    return found
