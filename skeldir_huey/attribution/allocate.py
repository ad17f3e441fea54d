"""The one statement that allocates a window: the credits of one or more models inside the exact split of money."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from skeldir_huey.attribution.journeys import AT_ONCE
from skeldir_huey.attribution.models import model_of
from skeldir_huey.attribution.types import ModelSpec
from skeldir_huey.db.sqlfile import sql

# Each file is a whole statement by itself: the block between the marks gives no rows, and is what we replace.
_BLOCK = r"  -- begin {0}\n.*?  -- end {0}\n"
_PARAMETER = re.compile(r"%\(([a-z_]+)\)s")
# Of the window and the tenant: the same for each version.
_COMMON = frozenset(("tenant_id", "window_start", "window_end"))


# Models whose weights are counts: machine integers share these out. Those with one channel share nothing out.
_ROUNDING = dict.fromkeys(("even_split", "linear", "shapley_set"), "rounded_whole") | dict.fromkeys(
    ("first_touch", "last_touch", "last_non_direct"), "rounded_one"
)


def statement(
    specs: Sequence[ModelSpec], into: str = "allocate", *, is_long: bool = False
) -> tuple[str, dict[str, Any]]:
    """Return a statement that writes allocations with those of the models set in, and the parameters of these.

    Versions that agree on which touches count share one build of the journeys; version number n, from 1, is the nth.

    Args:
        into: allocate, or allocate_first where none of the versions has allocations in the window.
        is_long: the window is a good part of all, see `journeys.is_long`.
    """
    builds: dict[tuple[tuple[str, ...], str], int] = {}
    parts: list[str] = []
    values: dict[str, Any] = {}
    for number, spec in enumerate(specs, 1):
        model = model_of(spec.model_type)
        *journeys, credits = model.statements(spec.params)
        own = model.values(spec.params)
        if is_long:
            journeys = [AT_ONCE.get(name, name) for name in journeys]
        if journeys:
            kept = {name: value for name, value in own.items() if name in _names(journeys)}
            build = builds.setdefault((tuple(journeys), repr(sorted(kept.items()))), len(builds) + 1)
            values |= {f"{name}_j{build}": value for name, value in kept.items()}
            own_journeys = f"  select * from journeys_{build}\n"  # a number of ours  # nosec B608
            inner = fill(sql("attribution", credits), "journeys", own_journeys)
        else:
            inner = sql("attribution", credits)
        values |= {f"{name}_v{number}": value for name, value in own.items()}
        rounding = _ROUNDING.get(credits, "rounded")
        renamed = _rename(fill(sql("attribution", rounding), "credits", inner), f"v{number}")
        parts.append(f"select {number} as version_no, v{number}.* from (\n{renamed}) v{number}\n")  # as above  # nosec B608
    shared = [
        # Used once, it is better part of the query around it; used by several, it is to be built once.
        f"journeys_{build} as {'materialized' if _users(parts, build) > 1 else 'not materialized'} (\n"
        f"{_rename(nested(files), f'j{build}')})"
        for (files, _), build in builds.items()
    ]
    head = "with " + ",\n".join(shared) + "\n" if shared else ""
    return fill(sql("attribution", into), "computed", head + " union all\n".join(parts)), values


def nested(names: Sequence[str]) -> str:
    """Return the statements of journeys, each set into the next one, the innermost first."""
    inner = ""
    for name in names:
        inner = fill(sql("attribution", name), "journeys", inner) if inner else sql("attribution", name)
    return inner


def _names(files: Sequence[str]) -> set[str]:
    return {name for file in files for name in sql("attribution", file).names}


def _users(parts: Sequence[str], build: int) -> int:
    return sum(f"from journeys_{build}\n" in part for part in parts)


def _rename(text: str, suffix: str) -> str:
    return _PARAMETER.sub(lambda m: m[0] if m[1] in _COMMON else f"%({m[1]}_{suffix})s", text)


def fill(outer: str, block: str, inner: str) -> str:
    """Return a statement with the block of that name replaced.

    Raises:
        ValueError: it has not exactly one.
    """
    filled, count = re.subn(_BLOCK.format(block), lambda _: inner, outer, flags=re.DOTALL)
    if count != 1:
        raise ValueError(f"expected one block {block!r}, found {count}")
    return filled
