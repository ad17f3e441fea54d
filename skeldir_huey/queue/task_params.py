"""What a task's function declares: names, types and defaults of its arguments, and how a typed text becomes a value."""

from __future__ import annotations

import inspect
import json
import types
import typing
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from skeldir_huey.errors import InputError
from skeldir_huey.queue.messages import decode, encode
from skeldir_huey.tenancy import parse_uuid

FIXED = ("tenant_id",)  # whose job it is never changes
_KINDS: dict[Any, str] = {str: "text", int: "whole number", float: "number", bool: "yes or no", UUID: "id"}


@dataclass(frozen=True)
class Param:
    """One argument. `kind` is text, whole number, number, yes or no, id or JSON; `default` is None when required."""

    name: str
    kind: str
    required: bool
    nullable: bool
    default: Any = None

    def shown(self, value: Any) -> str:
        """Return a value as the text of a field; an absent one is empty."""
        if value is None:
            return ""
        if self.kind == "JSON":
            return json.dumps(encode(value), ensure_ascii=False)
        return str(value).lower() if isinstance(value, bool) else str(value)

    def parse(self, text: str) -> Any:
        """Return the value of a typed text; an empty one is None where that is allowed.

        Raises:
            InputError: the field is the argument's name.
        """
        if text == "" and self.kind != "text":
            if self.nullable:
                return None
            raise InputError(self.name, f"expected a {self.kind}")
        if self.kind == "text":
            return None if text == "" and self.nullable else text
        if self.kind == "yes or no":
            if text not in ("true", "false"):
                raise InputError(self.name, "expected true or false")
            return text == "true"
        if self.kind == "id":
            return parse_uuid(text.strip(), self.name)
        if self.kind == "JSON":
            try:
                return decode(json.loads(text))
            except Exception as error:
                raise InputError(self.name, f"not JSON: {error}") from None
        try:
            return int(text) if self.kind == "whole number" else float(text)
        except ValueError:
            raise InputError(self.name, f"expected a {self.kind}, got {text[:80]!r}") from None

    def check(self, value: Any) -> Any:
        """Return a value from JSON if it is of the declared type, an id as a uuid.

        Raises:
            InputError: the field is the argument's name.
        """
        if value is None and self.nullable:
            return None
        wanted: Any = {"text": str, "whole number": int, "number": (int, float), "yes or no": bool}.get(self.kind)
        if self.kind == "id":
            return parse_uuid(value, self.name)
        if wanted is not None and (not isinstance(value, wanted) or (isinstance(value, bool) and wanted is not bool)):
            raise InputError(self.name, f"expected a {self.kind}, got {json.dumps(encode(value))[:80]}")
        return value


def params_of(function: Callable[..., Any]) -> list[Param]:
    """Return what a task function declares, in its order, without the tenant.

    Raises:
        InputError: it takes arguments without names: they cannot be checked.
    """
    try:
        hints = typing.get_type_hints(inspect.unwrap(function))
    except Exception:
        hints = {}
    found = []
    for name, one in inspect.signature(function).parameters.items():
        if one.kind in (one.VAR_POSITIONAL, one.VAR_KEYWORD, one.POSITIONAL_ONLY):
            raise InputError(name, "this task does not declare its arguments, so they cannot be edited here")
        if name in FIXED:
            continue
        kind, nullable = _kind(hints.get(name, Any))
        required = one.default is one.empty
        found.append(Param(name, kind, required, nullable, None if required else one.default))
    return found


def _kind(hint: Any) -> tuple[str, bool]:
    options = typing.get_args(hint) if typing.get_origin(hint) in (typing.Union, types.UnionType) else (hint,)
    rest = [option for option in options if option is not type(None)]
    nullable = len(rest) < len(options) or hint is Any
    return (_KINDS.get(rest[0], "JSON") if len(rest) == 1 else "JSON"), nullable


def named(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the arguments of a call by name.

    Raises:
        InputError: the function does not take them (any more).
    """
    try:
        return dict(inspect.signature(function).bind_partial(*args, **kwargs).arguments)
    except TypeError as error:
        raise InputError("arguments", f"the task does not take what was stored: {error}") from None
