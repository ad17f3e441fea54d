"""Error pages: what happened, what to do, the request id; none of them needs the database."""

from __future__ import annotations

import traceback
from http import HTTPStatus
from types import TracebackType
from typing import Any

from flask import Flask, current_app, request, session
from flask_wtf.csrf import CSRFError
from psycopg2 import errorcodes
from sqlalchemy.exc import DBAPIError
from werkzeug.exceptions import HTTPException
from werkzeug.wrappers import Response

from admin.fresh import keep_reason, way_back
from admin.security import request_id
from admin.show import colours
from skeldir_huey.config import settings
from skeldir_huey.errors import Conflict, InputError, NotFound
from skeldir_huey.log import get_log

log = get_log("console")

# 404 has one text for everything: an id that is not there and one of another tenant look the same.
TEXTS = {
    400: ("Not understood", "Something in the address or the form is not valid. Nothing was changed."),
    401: ("Signed out", "Sign in again to go on."),
    403: ("Not allowed", "Your role does not allow this. An admin of this tenant can grant it."),
    404: ("Not here", "There is nothing at this address, or it belongs to a tenant that you may not see."),
    405: ("Not understood", "This address does not take that kind of request. Nothing was changed."),
    409: ("Changed meanwhile", "Somebody else was first. Nothing was changed."),
    413: ("Too large", "The form is larger than 64 KiB. Nothing was changed."),
    429: ("Too many attempts", "Wait a few minutes, then try again."),
    500: ("Something broke", "The console could not show this page. Jobs are not affected by this."),
    503: ("Not available", "Try again in a moment."),
}


def install(app: Flask) -> None:
    """Answer every error with a page of our own."""

    # Instead of Flask's own line, which lacks the request id.
    app.log_exception = _log  # type: ignore[method-assign]

    @app.errorhandler(CSRFError)
    def no_token(error: CSRFError) -> Response:
        if "_user_id" not in session and request.blueprint != "security":
            return problem(401)  # the session ended while the form was open
        return problem(400, "The form is out of date, or was not sent from this console. Open the page again.")

    @app.errorhandler(NotFound)
    def not_found(error: NotFound) -> Response:
        return problem(404)

    @app.errorhandler(InputError)
    def bad_input(error: InputError) -> Response:
        return problem(400, str(error))

    @app.errorhandler(Conflict)
    def conflict(error: Conflict) -> Response:
        return problem(409, str(error))

    @app.errorhandler(DBAPIError)
    def database_error(error: DBAPIError) -> Response:
        if getattr(error.orig, "pgcode", None) == errorcodes.QUERY_CANCELED:
            return problem(503, "The database took longer than 5 s. Narrow the range, or choose one tenant.")
        _log((type(error), error, error.__traceback__))
        return problem(500)

    @app.errorhandler(HTTPException)
    def http_error(error: HTTPException) -> Any:
        if error.response is not None:
            return error.response
        own_words = error.description if error.description != type(error).description else None
        return problem(error.code or 500, own_words if (error.code or 500) in (400, 403, 409, 429) else None)


def _log(exc_info: tuple[type[BaseException], BaseException, TracebackType | None] | tuple[None, None, None]) -> None:
    lines = traceback.format_exception(exc_info[1])
    log.error("request_failed", path=request.path[:200], request_id=str(request_id()), traceback="".join(lines))


def _typed() -> dict[str, str]:
    """Return what a person wrote into a form that could not be sent, so that it is not lost."""
    hidden = ("csrf_token", "tenant", "password", "next", "code")
    return {name: text[:2000] for name, text in request.form.items() if name not in hidden and text.strip()}


def _shown_by_get() -> str | None:
    """Return the address of this page when a GET shows it: the page of a form, as it is now."""
    methods = request.url_rule.methods if request.url_rule is not None else None
    return way_back() if request.method == "GET" or "GET" in (methods or ()) else None


def problem(status: int, detail: str | None = None) -> Response:
    """Return an error page. When the session is over, the reason of a form is kept for its page after the sign-in.

    Args:
        status: the HTTP status.
        detail: what happened in one or two sentences; None uses the status's own text.
    """
    title, text = TEXTS.get(status, (HTTPStatus(status).phrase, "Nothing was changed."))
    detail = (detail or text)[:600]
    if request.routing_exception is not None and status == 400:
        # A foreign Host: nothing about this request may be used to build links.
        return Response(f"{title}. {detail}\n", status, mimetype="text/plain")
    if status == 401:
        keep_reason()
    # Not render_template: context processors of the extensions ask the database who is signed in.
    page = current_app.jinja_env.get_template("console/problem.html").render(
        status=status,
        title=title,
        detail=detail,
        request_id=request_id(),
        typed=_typed() if status == 401 else {},
        back=_shown_by_get() or "/admin/",
        env=settings().environment_name,
        colours=colours(),
    )
    return Response(page, status, mimetype="text/html")
