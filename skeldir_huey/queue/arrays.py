"""Arrays as one literal: the server reads it in one go, where ARRAY[…] makes an expression of every element."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def array(values: Iterable[Any]) -> str:
    """Return the literal of a PostgreSQL array of these numbers, texts, uuids, bytes and nulls."""
    texts: list[str] = []
    last, last_text = object(), ""
    for value in values:
        if value is not last:  # the claims of one batch share their token, and its worker its name
            last, last_text = value, _element(value)
        texts.append(last_text)
    return "{" + ",".join(texts) + "}"


def _element(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f'"\\\\x{value.hex()}"'
    if isinstance(value, str):
        return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return str(value)
