"""Fresh sign-in: what is dangerous asks for the password again when the last time is more than 5 minutes ago."""

from __future__ import annotations

import time
from datetime import timedelta

from flask import Flask, redirect, request, session, url_for
from werkzeug.wrappers import Response

FRESH_FOR = timedelta(minutes=5)
KEPT_MAX = 300


class StaleSignIn(Exception):
    """The sign-in is too old for this; nothing was done. Answered with the page that asks for the password."""


def is_fresh() -> bool:
    """Return whether this session gave its password within the last 5 minutes."""
    return 0 <= time.time() - float(session.get("fs_paa", 0)) < FRESH_FOR.total_seconds()


def require_fresh() -> None:
    """Go on only when the password was given within the last 5 minutes; call it before anything is written.

    Otherwise the answer is the page that asks for the password, and leads back here. A POST is not repeated on its
    own: the form's page comes back, and `kept_reason` holds what was typed.

    Raises:
        StaleSignIn: it was not.
    """
    if not is_fresh():
        raise StaleSignIn


def keep_reason() -> None:
    """Keep the reason of this form for the page that the person comes back to."""
    if request.method == "POST" and request.form.get("reason"):
        session["kept_reason"] = {"path": request.path, "text": request.form["reason"][:KEPT_MAX]}


def kept_reason() -> str:
    """Return the reason that was typed here before the password was asked for, "" when there is none."""
    kept = session.pop("kept_reason", None)
    return str(kept["text"]) if kept and kept["path"] == request.path else ""


def way_back() -> str:
    """Return the path that shows this form or page again."""
    return request.full_path.rstrip("?")


def install(app: Flask) -> None:
    """Lead from a stale sign-in to the password and back; give templates `kept_reason`."""
    app.jinja_env.globals["kept_reason"] = kept_reason

    @app.errorhandler(StaleSignIn)
    def ask_again(error: StaleSignIn) -> Response:
        keep_reason()
        return redirect(url_for("security.verify", next=way_back()), 303)
