"""Whether all logins lead to one database: a URL that was copied from elsewhere works, and nothing fits together."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from skeldir_huey.db.engine import rows
from skeldir_huey.db.sqlfile import sql
from skeldir_huey.observability.checks import BAD, OK, Check

Place = tuple[str, float]


def place_of(connection: Connection) -> Place:
    """Return what tells the database of this connection from any other: its name, and when its server started."""
    row = rows(connection, sql("observability", "doctor_where"))[0]
    return row["name"], row["started_at"]


def place_at(url: str) -> Place:
    """Return the same for a URL that no engine is for."""
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args={"connect_timeout": 5})
    with engine.connect() as connection:
        return place_of(connection)


def same_place(found: dict[str, Place]) -> Check:
    """Compare the places of logins, by the variable that each comes from."""
    first = next(iter(found))
    strangers = [name for name, place in found.items() if place != found[first]]
    if not strangers:
        return Check("one database", OK, f"{' and '.join(found)} lead to the same")
    text = f"{' and '.join(strangers)} {'leads' if len(strangers) == 1 else 'lead'} to another database than {first}"
    return Check("one database", BAD, text, "correct the URLs: jobs, pages and migrations must meet in one database")
