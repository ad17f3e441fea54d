"""Logs: one JSON object per line, with the job it belongs to, and without secrets."""

from __future__ import annotations

import functools
import json
import logging
import os
import re
import sys
import traceback
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import IO, Any, TextIO
from uuid import UUID

import orjson

HIDDEN = "[redacted]"
CONTEXT = ("task_name", "task_id", "tenant_id", "correlation_id")

_SECRET = r"passw(?:or)?d|passphrase|pwd|secret|token|authorization|api[_-]?key|access[_-]?key|private[_-]?key|cookie"
_SECRET_KEY = re.compile(rf"{_SECRET}|credential|cvv|cvc|iban|card[_-]?number", re.IGNORECASE)
_PERSONAL_KEY = re.compile(
    r"e[_-]?mail|phone|mobile|ssn|social[_-]?security|(?:^|_)ip(?:$|_|v[46])|(?:client|remote|source)[_-]?(?:ip|addr)"
    r"|(?:first|last|full|given|family|middle|maiden|sur|customer|recipient|card[_-]?holder)[_-]?name|birth|^dob$"
    r"|street|postal|post[_-]?code|zip[_-]?code|^(?:(?:billing|shipping|home|mailing|delivery)[_-]?)?address$"
    r"|passport|tax[_-]?id|licen[cs]e[_-]?plate",
    re.IGNORECASE,
)
# Repetitions are bounded, so that a hostile text of 64 KiB costs no more than a kind one.
_IN_TEXT = (
    (re.compile(r"(://[^\s:/@?#]{0,200}:)[^\s/]{0,500}@"), rf"\1{HIDDEN}@"),
    (
        re.compile(
            rf"""((?:\b|(?<=_))[\w-]{{0,40}}(?:{_SECRET})[\w-]{{0,40}}["']?\s{{0,5}}[=:]\s{{0,5}})"""
            rf"""(?!["']?\[redacted\])(?:(?:bearer|basic)\s+)?("[^"]{{0,2000}}"|'[^']{{0,2000}}'|[^\s,;&"'}})\]]+)""",
            re.IGNORECASE,
        ),
        rf"\1{HIDDEN}",
    ),
    (re.compile(r"\b(bearer|basic)\s+[\w.~+/=-]{8,}", re.IGNORECASE), rf"\1 {HIDDEN}"),
    # linear@1.0.0 is a model version, no address.
    (re.compile(r"(?<![\w.+/-])[\w.+-]{1,64}@(?!\d+\.\d)[\w-]{1,63}(?:\.[\w-]{1,63}){0,5}\.[A-Za-z]{2,24}\b"), HIDDEN),
)
# Ids, names and dates, most of what is logged: nothing in them can be a key with its value, or an address.
_HARMLESS = re.compile(r"[\w.-]{0,64}")
_bound: ContextVar[dict[str, Any]] = ContextVar("bound")
_service = False


def redact_text(text: str) -> str:
    """Return the text without passwords in URLs, values of secret keys, credentials and mail addresses."""
    if _HARMLESS.fullmatch(text):
        return text
    for pattern, replacement in _IN_TEXT:
        text = pattern.sub(replacement, text)
    return text


def redact(value: Any) -> Any:
    """Return the value with secrets and personal data hidden at every depth; the argument is not changed.

    Hidden is what stands under a telling key (password, token, email, ip, …), whole, and such parts of any text.
    Numbers under personal keys stay when they are counts of a channel ("email": 12). Types are kept: a tuple stays one.
    """
    return _redact(value, ())


def _redact(value: Any, above: tuple[int, ...]) -> Any:
    if isinstance(value, str):
        return redact_text(value)
    if not isinstance(value, Mapping | list | tuple | set | frozenset):
        return value
    if id(value) in above:
        return "[cycle]"
    if len(above) >= 100:
        return "[too deep]"
    path = (*above, id(value))
    if isinstance(value, Mapping):
        return {key: HIDDEN if _hides(key, item) else _redact(item, path) for key, item in value.items()}
    items = [_redact(item, path) for item in value]
    if isinstance(value, list):
        return items
    if isinstance(value, tuple):
        return tuple(items)
    return type(value)(items)


def _hides(key: object, value: object) -> bool:
    if not isinstance(key, str) or value is None or isinstance(value, bool):
        return False
    secret, personal = _kind_of(key)
    if secret:
        return not (isinstance(value, int | float) and key.lower().endswith("tokens"))  # a language model's usage
    return personal and not (isinstance(value, int | float) and "mail" in key.lower())


@functools.lru_cache(maxsize=4096)
def _kind_of(key: str) -> tuple[bool, bool]:
    return bool(_SECRET_KEY.search(key)), bool(_PERSONAL_KEY.search(key))


class bind:
    """Add these fields to every line that this thread or context logs inside the block."""

    __slots__ = ("_fields", "_token")

    def __init__(self, **fields: Any) -> None:
        self._fields = fields

    def __enter__(self) -> None:
        self._token = _bound.set(_bound.get({}) | self._fields)

    def __exit__(self, *_: object) -> None:
        _bound.reset(self._token)


def bound_correlation() -> UUID | None:
    """Return the correlation id that is bound here, to be taken over by what is enqueued; None when there is none."""
    found = _bound.get({}).get("correlation_id")
    if isinstance(found, UUID):
        return found
    try:
        return UUID(found)
    except (TypeError, ValueError, AttributeError):
        return None


class Log:
    """Writes events of one module. An event is a short constant name; what varies goes into fields."""

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **fields: Any) -> None:
        self._write(logging.DEBUG, event, fields)

    def info(self, event: str, **fields: Any) -> None:
        self._write(logging.INFO, event, fields)

    def warning(self, event: str, **fields: Any) -> None:
        self._write(logging.WARNING, event, fields)

    def error(self, event: str, **fields: Any) -> None:
        self._write(logging.ERROR, event, fields)

    def exception(self, event: str, **fields: Any) -> None:
        """Log an error with the exception that is being handled."""
        self._write(logging.ERROR, event, fields, exc_info=True)

    def info_each(self, event: str, lines: list[dict[str, Any]]) -> None:
        """Log one line for each of these fields, all written at once: for what happens thousands of times a second.

        The fields are written as they are, without looking for secrets: the caller vouches for them.
        """
        self._write(logging.INFO, event, lines)

    def _write(
        self, level: int, event: str, fields: dict[str, Any] | list[dict[str, Any]], exc_info: bool = False
    ) -> None:
        if self._logger.isEnabledFor(level):
            # Logger.log would first search the stack for the calling line, which nobody is shown.
            info = sys.exc_info() if exc_info else None
            record = logging.LogRecord(self._logger.name, level, "", 0, event, None, info)
            record.skeldir = (event, fields)
            self._logger.handle(record)


def get_log(name: str) -> Log:
    """Return the log of a module; pass `__name__`."""
    return Log(name)


class JsonFormatter(logging.Formatter):
    """Turns any record into one line; records of other libraries are the event "log" with their text as `message`."""

    def format(self, record: logging.LogRecord) -> str:
        event, fields = getattr(record, "skeldir", ("log", None))
        if fields is None:
            fields = {"message": record.getMessage()}
        core: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": event,
            "logger": record.name,
        }
        if isinstance(fields, list):
            start = core | _NO_CONTEXT | _bound.get({})
            return "\n".join([_encode(start | one) for one in fields])
        return self._line(record, core, fields)

    @staticmethod
    def _line(record: logging.LogRecord, core: dict[str, Any], fields: dict[str, Any]) -> str:
        line = core | _NO_CONTEXT
        given = _bound.get({}) | fields
        line |= redact({f"{name}_" if name in core else name: value for name, value in given.items()})
        if record.exc_info and record.exc_info[0] is not None:
            kind, error, trace = record.exc_info
            line["error_class"] = kind.__qualname__
            line["error_message"] = redact_text(str(error))
            line["traceback"] = redact_text("".join(traceback.format_exception(kind, error, trace)))
        return _encode(line)


def _encode(line: dict[str, Any]) -> str:
    try:
        return orjson.dumps(line, default=_plain).decode()
    except TypeError:  # numbers above 64 bits, broken text, keys that are no text
        return _ENCODER.encode(line)


def _plain(value: Any) -> Any:
    if isinstance(value, bytes | bytearray | memoryview):
        return f"<{len(value)} bytes>"
    if isinstance(value, set | frozenset):
        return sorted(value, key=str)
    if isinstance(value, datetime):
        return value.isoformat()
    return redact_text(str(value))


_NO_CONTEXT = dict.fromkeys(CONTEXT)
_ENCODER = json.JSONEncoder(default=_plain, ensure_ascii=False, skipkeys=True)


class _Stderr(logging.StreamHandler[TextIO]):
    # sys.stderr is looked up for each line: tests and daemons replace it.
    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        return sys.stderr


def is_service() -> bool:
    """Return whether this process is a worker or the console: then whatever it tells is a line of its log."""
    return _service


def install(
    level: str | int = "INFO", target: str | os.PathLike[str] | IO[str] | None = None, service: bool = False
) -> None:
    """Make JSON lines of everything that this process logs, in place of whatever handlers there were.

    Args:
        service: this process is a worker or the console, and no command that a person waits for.
        level: the least level that is written, a name or number of `logging`.
        target: a file to append to, or an open stream; None means stderr.
    """
    global _service  # noqa: PLW0603  one per process, as the handlers are
    _service = service
    handler: logging.Handler
    if target is None:
        handler = _Stderr()
    elif isinstance(target, str | os.PathLike):
        handler = logging.FileHandler(target, encoding="utf-8")
    else:
        handler = logging.StreamHandler(target)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    root.setLevel(level)
    # Huey's consumer gives its logger a handler of its own: every line would come twice.
    huey = logging.getLogger("huey")
    huey.handlers.clear()
    huey.setLevel(logging.NOTSET)
    huey.propagate = True
