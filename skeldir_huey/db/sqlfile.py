"""Statements kept in `.sql` files beside the package that uses them."""

from __future__ import annotations

import functools
import re
from pathlib import Path

_PLACEHOLDER = re.compile(r"(?<!%)%\(([a-z_]+)\)s")


class Statement(str):
    """The text of one statement. `names` are its `%(name)s` parameters."""

    names: frozenset[str]


@functools.cache
def sql(package: str, name: str) -> Statement:
    """Return the statement in `skeldir_huey/<package>/sql/<name>.sql`, read once.

    The first line must be a comment that says what the statement promises and which index serves it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file does not begin with a comment.
    """
    path = Path(__file__).parents[1] / package / "sql" / f"{name}.sql"
    text = path.read_text(encoding="utf-8")
    if not text.startswith("--"):
        raise ValueError(f"{path.name}: the first line must be a comment with the statement's promise")
    statement = Statement(text)
    statement.names = frozenset(_PLACEHOLDER.findall(text))
    return statement
