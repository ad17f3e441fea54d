"""The words of the search box, read once for every page that has one: `task:recompute status:dead tries:>3`."""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from skeldir_huey.config import LANES
from skeldir_huey.errors import InputError
from skeldir_huey.tenancy import parse_uuid

JOB_STATES = ("waiting", "scheduled", "running")
OUTCOMES = ("done", "errored", "dead", "cancelled", "released", "worker_lost")
LETTER_STATUSES = ("pending", "in_progress", "resolved", "abandoned")
STATUSES = JOB_STATES + OUTCOMES + LETTER_STATUSES

KEYS = ("id", "correlation", "task", "queue", "tenant", "status", "error", "tries", "args.<name>")
OPERATORS = (">=", "<=", ">", "<", "=")

_WORD = re.compile(r'(?:"[^"]*"?|[^\s"])+')
_PATH = re.compile(r"args((?:\.[A-Za-z0-9_\-]{1,64}){1,8})")


@dataclass(frozen=True)
class Term:
    """One condition.

    Attributes:
        key: one of KEYS; for an argument "args".
        value: what was typed after the colon, without quotes.
        number: of `tries`.
        operator: of `tries`, one of OPERATORS.
        path: names of an argument, outermost first.
    """

    key: str
    value: str
    number: int = 0
    operator: str = "="
    path: tuple[str, ...] = ()

    def contained(self) -> list[dict[str, Any]]:
        """Return the JSON values of which stored arguments must contain one: 3 is a number or the text "3"."""
        values: list[Any] = [self.value]
        try:
            read = json.loads(self.value)
        except ValueError:
            pass
        else:
            if read is None or isinstance(read, bool | int | float):
                values.append(read)
        try:
            values.append({"$": "uuid", "v": str(parse_uuid(self.value, "q"))})  # as messages.encode tags it
        except InputError:
            pass
        return [functools.reduce(lambda inner, name: {name: inner}, reversed(self.path), value) for value in values]


@dataclass(frozen=True)
class Query:
    """A text that was understood: a bare uuid, or terms that all must hold. An empty text is neither."""

    text: str = ""
    uuid: UUID | None = None
    terms: tuple[Term, ...] = ()

    def of(self, key: str) -> tuple[Term, ...]:
        """Return the terms of one key."""
        return tuple(term for term in self.terms if term.key == key)


class SearchError(InputError):
    """A word that was not understood.

    Attributes:
        text: the whole text.
        start, length: which characters of it are wrong.
    """

    def __init__(self, reason: str, text: str, start: int, length: int) -> None:
        super().__init__("q", reason)
        self.text = text
        self.start = start
        self.length = max(length, 1)

    @property
    def pointer(self) -> str:
        """Return a line that points at the wrong characters, for a line of text above it."""
        return " " * self.start + "^" * self.length


def parse(text: str) -> Query:
    """Read the text of a search box.

    Raises:
        SearchError: says which word is wrong, and what would be right.
    """
    words = list(_WORD.finditer(text))
    if len(words) == 1 and ":" not in text:
        try:
            return Query(text, uuid=parse_uuid(text.strip(), "q"))
        except InputError:
            pass
    return Query(text, terms=tuple(_term(text, word) for word in words))


def _term(text: str, word: re.Match[str]) -> Term:
    key, colon, raw = word[0].partition(":")
    start = word.start() + len(key) + 1

    def wrong(reason: str, *, at: int = start, length: int = len(raw)) -> SearchError:
        return SearchError(reason, text, at, length)

    if not colon:
        raise wrong(
            f"say where to look, as in error:{word[0]} or task:{word[0]}; a bare word can only be a whole id",
            at=word.start(),
            length=len(word[0]),
        )
    if raw.count('"') % 2:
        raise wrong('a quotation mark " is missing')
    value = raw.replace('"', "")
    path = _PATH.fullmatch(key)
    if key not in KEYS and path is None:
        raise wrong(f"unknown word; known are {', '.join(KEYS)}", at=word.start(), length=len(key))
    if not value:
        raise wrong(f"say what {key} must be", at=word.start(), length=len(word[0]))
    if path is not None:
        return Term("args", value, path=tuple(path[1].split(".")[1:]))
    if key == "correlation":
        try:
            return Term(key, str(parse_uuid(value, key)))
        except InputError:
            raise wrong("a correlation id is a whole uuid") from None
    if key == "queue" and value not in LANES:
        raise wrong(f"no such queue; there are {', '.join(LANES)}")
    if key == "status" and value not in STATUSES:
        raise wrong(f"no such status; there are {', '.join(STATUSES)}")
    if key == "tries":
        return _tries(value, wrong("expected a number, as in tries:>3"))
    return Term(key, value)


def _tries(value: str, wrong: SearchError) -> Term:
    operator = next((one for one in OPERATORS if value.startswith(one)), "=")
    digits = value.removeprefix(operator)
    if not re.fullmatch(r"[0-9]{1,6}", digits):
        raise wrong
    return Term("tries", value, number=int(digits), operator=operator)
