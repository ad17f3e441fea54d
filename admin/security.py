"""What every response and cookie has, whatever the page: headers, trusted hosts, request id, secret key, CSRF."""

from __future__ import annotations

import ipaddress
import os
import secrets
import time
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from flask import Flask, current_app, g, request, session
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix
from werkzeug.wrappers import Response

from admin import access
from skeldir_huey.config import Settings

SESSION_HOURS = 8
IDLE_MINUTES = 60
THEME_COOKIE_S = 365 * 24 * 3600
MAX_BODY_BYTES = 64 * 1024

# No nonce and no 'unsafe-inline': nothing inline exists. Tested on every route.
CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: over https Flask-WTF checks the Referer of each POST.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}


def install(app: Flask, given: Settings) -> None:
    """Set cookies, limits, trusted hosts and CSRF protection, and hook the headers onto every response."""
    secure = given.https or not is_loopback(given.web_addr)
    app.config.update(
        SECRET_KEY=given.secret_key or kept_secret(given.data_dir),
        SESSION_COOKIE_NAME="__Host-skeldir" if secure else "skeldir",
        SESSION_COOKIE_HTTPONLY=True,
        SESSION_COOKIE_SAMESITE="Lax",
        SESSION_COOKIE_SECURE=secure,
        PERMANENT_SESSION_LIFETIME=timedelta(hours=SESSION_HOURS),
        SESSION_REFRESH_EACH_REQUEST=False,
        WTF_CSRF_TIME_LIMIT=SESSION_HOURS * 3600,
        MAX_CONTENT_LENGTH=MAX_BODY_BYTES,
        TRUSTED_HOSTS=list(given.trusted_hosts),
        TEMPLATES_AUTO_RELOAD=False,
    )
    CSRFProtect(app)
    if given.https:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=1, x_proto=1)  # type: ignore[method-assign]
    app.before_request(_end_old_session)
    app.after_request(_add_headers)


def request_id() -> UUID:
    """Return the id of this request, which error pages, logs, audit rows and the jobs that it enqueues share."""
    if "request_id" not in g:
        g.request_id = request.environ.get(access.ENVIRON) or uuid4()
    made: UUID = g.request_id
    return made


def is_loopback(address: str | None) -> bool:
    """Return whether an address or name means this machine only."""
    try:
        return ipaddress.ip_address(address or "").is_loopback
    except ValueError:
        return address == "localhost"


def kept_secret(folder: Path) -> str:
    """Return the secret in `<folder>/secret_key`, made on the first call and readable by its owner only."""
    path = folder / "secret_key"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        draft = folder / f".secret_key.{os.getpid()}.{secrets.token_hex(4)}"
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(48))
        try:
            os.link(draft, path)  # atomic: of two processes at once one wins, and both read the same
        except FileExistsError:
            pass
        finally:
            draft.unlink()
    return path.read_text(encoding="ascii").strip()


def remember_theme(response: Response, theme: str | None) -> Response:
    """Keep a theme in this browser, where the script changes it as well; None: that of the system."""
    if theme is None:
        response.delete_cookie("theme", samesite="Lax")
    else:
        secure = bool(current_app.config["SESSION_COOKIE_SECURE"])
        response.set_cookie("theme", theme, max_age=THEME_COOKIE_S, samesite="Lax", secure=secure)
    return response


def _end_old_session() -> None:
    # Flask renews the cookie whenever the session changes, so its own lifetime alone would slide.
    if "_user_id" not in session or request.endpoint == "static":
        return
    now, seen_at = time.time(), session.get("seen_at", 0)
    if session.get("signed_in_at", 0) < now - SESSION_HOURS * 3600 or seen_at < now - IDLE_MINUTES * 60:
        session.clear()
    elif "X-Live" not in request.headers and seen_at < now - 60:
        session["seen_at"] = int(now)  # a page that updates itself on an empty chair is not somebody at work


def _add_headers(response: Response) -> Response:
    response.headers.update(HEADERS)
    response.headers["X-Request-Id"] = str(request_id())
    # Assets may be kept, but are asked for again each time: a deploy shows at once.
    response.headers["Cache-Control"] = "no-cache" if request.endpoint == "static" else "no-store"
    return response
