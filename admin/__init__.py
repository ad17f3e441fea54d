"""The console: Flask-Admin carries menu, access and structure; pages, look and verbs are ours.

`create_app()` is what `flask --app admin run` and waitress call. The map:

    auth permissions users   who is signed in, what they may do, how accounts are made
    scope params panels      one tenant or all from the URL, every other value from the URL, slow panels
    actions                  the verbs: check, act and audit in one transaction
    reads/ views/            selects on db/tables.py, and one file per page
    security problems health headers and cookies, error pages, /healthz /readyz /metrics
    access                   one log line per request, and the id that its jobs carry
    show charts frames       numbers, times and money as text, charts as SVG, tracebacks as frames
"""

from __future__ import annotations

import sys

from flask import Flask, redirect
from flask_admin import Admin
from flask_admin.theme import Bootstrap4Theme
from werkzeug.wrappers import Response

from admin import access, auth, health, permissions, problems, scope, security, show
from admin.views import all_views
from skeldir_huey import log
from skeldir_huey.config import ROOT, settings
from skeldir_huey.db import urls
from skeldir_huey.errors import ConfigError, DatabaseError

NAME = "Skeldir Huey"


def create_app() -> Flask:
    """Return the console, ready to serve.

    Raises:
        SystemExit: code 2 for a wrong setting, 1 for a database that cannot be used; the reason is one line on stderr.
    """
    try:
        given = settings()
        log.install(given.log_level, service=True)
        urls.check_ready("console")
    except (ConfigError, DatabaseError) as error:
        print(error, file=sys.stderr)  # noqa: T201  the person at the terminal reads this, not the log
        raise SystemExit(2 if isinstance(error, ConfigError) else 1) from None

    app = Flask(__name__, template_folder=str(ROOT / "templates"), static_folder=str(ROOT / "static"))
    security.install(app, given)
    problems.install(app)
    health.install(app, given)
    auth.install(app)
    show.install(app)
    scope.install(app)
    permissions.install(app)
    access.install(app)

    index, *views = all_views()
    console = Admin(
        app,
        name=NAME,
        url="/admin",
        index_view=index,
        theme=Bootstrap4Theme(base_template="console/base.html"),
    )
    for view in views:
        console.add_view(view)

    @app.get("/")
    def home() -> Response:
        return redirect("/admin/")

    return app
