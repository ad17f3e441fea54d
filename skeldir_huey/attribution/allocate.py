"""The one statement that allocates a window: the model's credits inside the exact split of money."""

from __future__ import annotations

import re

from skeldir_huey.attribution.models import model_of
from skeldir_huey.attribution.types import ModelSpec
from skeldir_huey.db.sqlfile import sql

# Each file is a whole statement by itself: the block between the marks gives no rows, and is what we replace.
_BLOCK = r"  -- begin {0}\n.*?  -- end {0}\n"


def statement(spec: ModelSpec) -> str:
    """Return allocate.sql with the statements of the model set in."""
    inner = ""
    for name in model_of(spec.model_type).statements(spec.params):
        inner = _fill(sql("attribution", name), "journeys", inner) if inner else sql("attribution", name)
    return _fill(sql("attribution", "allocate"), "credits", inner)


def _fill(outer: str, block: str, inner: str) -> str:
    filled, count = re.subn(_BLOCK.format(block), lambda _: inner, outer, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"expected one block {block!r}, found {count}")
    return filled
