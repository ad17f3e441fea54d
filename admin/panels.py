"""Parts of a page that are read one by one: a slow one is given up, and the page lives."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

from psycopg2 import errorcodes
from sqlalchemy.engine import Connection
from sqlalchemy.exc import DBAPIError

from admin.scope import STATEMENT_TIMEOUT_S
from skeldir_huey.log import get_log

PAGE_BUDGET_S = 10.0

P = ParamSpec("P")
T = TypeVar("T")

log = get_log("console")


class Panels:
    """Reads the parts of one page in one transaction.

    Args:
        connection: of `scope.reading`.
        budget_s: seconds for all parts together, default 10: six slow parts must not make a page of 30 seconds.
    """

    def __init__(self, connection: Connection, budget_s: float = PAGE_BUDGET_S) -> None:
        self._connection = connection
        self._end = time.monotonic() + budget_s

    def read(self, part: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Return what a part reads; None when it took too long, which the template says in its place."""
        left_s = min(STATEMENT_TIMEOUT_S, self._end - time.monotonic())
        if left_s < 0.05:
            return None
        try:
            with self._connection.begin_nested():
                self._connection.exec_driver_sql(f"set local statement_timeout = {int(left_s * 1000)}")
                return part(self._connection, *args, **kwargs)
        except DBAPIError as error:
            if getattr(error.orig, "pgcode", None) != errorcodes.QUERY_CANCELED:
                raise
            log.warning("panel_too_slow", panel=part.__name__, limit_s=round(left_s, 1))
            return None
