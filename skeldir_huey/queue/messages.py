"""Messages as JSON with a version and tagged types. Nothing is ever unpickled."""

from __future__ import annotations

import base64
import datetime as dt
import functools
import json
import traceback
from decimal import Decimal
from typing import Any
from uuid import UUID

from huey.registry import Message
from huey.serializer import Serializer
from huey.utils import SKIPPED, Error

from skeldir_huey.errors import QueueError

VERSION = 1
MAX_BYTES = 64 * 1024  # of one job's message
MAX_TEXT = 8000  # characters of each text of an exception that travels: its handler's message must not grow too large
_TAG = "$"  # an object with this key is a tagged value; a plain dict that has the key is tagged "dict"


class RemoteError(Exception):
    """An exception that travelled as text. It looks like the original, but is caught as RemoteError only.

    Args:
        class_name: qualified name of the original class.
        message: its text.
        traceback_text: its formatted traceback.
        shown: what `repr` of the original said.
    """

    def __init__(self, class_name: str, message: str, traceback_text: str = "", shown: str = "") -> None:
        super().__init__(class_name, message, traceback_text, shown)
        self.class_name = class_name
        self.message = message
        self.traceback_text = traceback_text
        self.shown = shown

    def __str__(self) -> str:
        return f"{self.class_name}: {self.message}"

    def __repr__(self) -> str:
        return self.shown or f"{type(self).__name__}({self.message!r})"


@functools.lru_cache(maxsize=256)
def _kind_named(class_name: str) -> type[RemoteError]:
    """Return a RemoteError whose `__name__` is the original's, so that logs and handlers show it."""
    name = class_name.rsplit(".", 1)[-1]
    return type(name, (RemoteError,), {}) if name.isidentifier() else RemoteError


def _remote_error(class_name: str, *rest: str) -> RemoteError:
    return _kind_named(class_name)(class_name, *rest)


def class_name(error: BaseException) -> str:
    """Return the qualified class name of an exception, builtins without their module."""
    if isinstance(error, RemoteError):
        return error.class_name
    kind = type(error)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def traceback_of(error: BaseException) -> str:
    """Return the traceback as text, as Python prints it."""
    if isinstance(error, RemoteError):
        return error.traceback_text
    return "".join(traceback.format_exception(type(error), error, error.__traceback__))


def _tagged(name: str, value: Any) -> dict[str, Any]:
    return {_TAG: name, "v": value}


def encode(value: Any) -> Any:
    """Turn a value into what `json` can write, without loss.

    Raises:
        QueueError: the value is of a type that a message does not carry.
    """
    if value is None or type(value) in _PLAIN:
        return value
    if isinstance(value, Message):
        # Most fields of most messages are None, as a missing one is when it is read.
        fields = zip(Message._fields, value, strict=True)
        return _tagged("message", {name: encode(part) for name, part in fields if part is not None})
    if isinstance(value, Error):
        return _tagged("error", encode(value.metadata))
    if value is SKIPPED:
        return _tagged("skipped", None)
    if isinstance(value, list):
        return [encode(part) for part in value]
    if isinstance(value, tuple):
        return _tagged("tuple", [encode(part) for part in value])
    if isinstance(value, (set, frozenset)):
        return _tagged("set", [encode(part) for part in sorted(value, key=repr)])
    if isinstance(value, dict):
        if all(type(key) is str for key in value):
            body = {key: encode(part) for key, part in value.items()}
            return _tagged("dict", body) if _TAG in body else body
        return _tagged("pairs", [[encode(key), encode(part)] for key, part in value.items()])
    if isinstance(value, UUID):
        return _tagged("uuid", str(value))
    if isinstance(value, dt.datetime):
        return _tagged("datetime", value.isoformat())
    if isinstance(value, dt.date):
        return _tagged("date", value.isoformat())
    if isinstance(value, dt.timedelta):
        return _tagged("timedelta", [value.days, value.seconds, value.microseconds])
    if isinstance(value, Decimal):
        return _tagged("decimal", str(value))
    if isinstance(value, (bytes, bytearray, memoryview)):
        return _tagged("bytes", base64.b64encode(bytes(value)).decode("ascii"))
    if isinstance(value, BaseException):
        parts = [_message_of(value)[:MAX_TEXT], traceback_of(value)[-MAX_TEXT:], repr(value)[:MAX_TEXT]]
        return _tagged("exception", [class_name(value), *parts])
    raise QueueError(
        f"a message cannot carry a {type(value).__module__}.{type(value).__qualname__}: "
        "use text, numbers, ids, dates, lists and dicts, or the id of what you store"
    )


_PLAIN = (bool, int, float, str)
_LEAVES = frozenset({*_PLAIN, type(None)})  # what needs no decoding, asked for each part of each message
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)
_DECODER = json.JSONDecoder()
_NOTHING = b'{"v":%d,"d":null}' % VERSION


def _message_of(error: BaseException) -> str:
    return error.message if isinstance(error, RemoteError) else str(error)


@functools.lru_cache(maxsize=1024)
def _uuid(text: str) -> UUID:
    return UUID(text)  # mostly a tenant's, the same ones again and again


def _message(parts: dict[str, Any]) -> Message:
    # Fields that a newer producer added are left out, those that an older one did not know are None.
    values = map(parts.get, Message._fields)
    return Message._make([value if type(value) in _LEAVES else decode(value) for value in values])


_DECODERS: dict[str, Any] = {
    "error": lambda v: Error(decode(v)),
    "skipped": lambda v: SKIPPED,
    "tuple": lambda v: tuple(decode(part) for part in v),
    "set": lambda v: {decode(part) for part in v},
    "dict": lambda v: {key: decode(part) for key, part in v.items()},
    "pairs": lambda v: {decode(key): decode(part) for key, part in v},
    "uuid": _uuid,
    "datetime": dt.datetime.fromisoformat,
    "date": dt.date.fromisoformat,
    "timedelta": lambda v: dt.timedelta(*v),
    "decimal": Decimal,
    "bytes": base64.b64decode,
    "exception": lambda v: _remote_error(*v),
    "message": _message,
}


def decode(value: Any) -> Any:
    """Undo `encode`.

    Raises:
        QueueError: an unknown tag, as a newer producer may write.
    """
    if isinstance(value, list):
        return [part if type(part) in _LEAVES else decode(part) for part in value]
    if isinstance(value, dict):
        if _TAG not in value:
            return {key: part if type(part) in _LEAVES else decode(part) for key, part in value.items()}
        try:
            decoder = _DECODERS[value[_TAG]]
        except (KeyError, TypeError):
            raise QueueError(f"unknown tag {value[_TAG]!r} in a message") from None
        return decoder(value["v"])
    return value


class JsonSerializer(Serializer):
    """Huey's serializer over tagged JSON: `{"v": 1, "d": ...}` in UTF-8."""

    def _serialize(self, data: Any) -> bytes:
        if data is None:  # what most tasks return
            return _NOTHING
        try:
            if type(data) is int:
                return b'{"v":%d,"d":%d}' % (VERSION, data)
            return _ENCODER.encode({"v": VERSION, "d": encode(data)}).encode("utf-8")
        except (RecursionError, UnicodeEncodeError, ValueError) as error:
            raise QueueError(f"a message cannot carry this value: {error}") from error

    def _deserialize(self, data: bytes) -> Any:
        try:
            envelope = _DECODER.decode(str(data, "utf-8"))
        except (ValueError, RecursionError) as error:
            raise QueueError(f"not a message: {error}") from error
        if not isinstance(envelope, dict) or envelope.get("v") != VERSION:
            raise QueueError(f"a message of an unknown version: {str(envelope)[:40]!r}")
        try:
            return decode(envelope["d"])
        except QueueError:
            raise
        except Exception as error:
            raise QueueError(f"a damaged message: {error}") from error


def message_bytes(serializer: Serializer, message: Message) -> bytes:
    """Return the bytes of a task's message.

    Raises:
        QueueError: it is larger than 64 KiB, or an argument, which the error names, cannot travel.
    """
    try:
        data = serializer.serialize(message)
    except QueueError as error:
        raise QueueError(f"{_blamed(serializer, message)}{message.name}: {error}") from error
    return check_size(data, message.name)


def _blamed(serializer: Serializer, message: Message) -> str:
    positional = enumerate(message.args) if isinstance(message.args, (tuple, list)) else ()
    for name, value in (*positional, *(message.kwargs or {}).items()):
        try:
            serializer.serialize(value)
        except QueueError:
            return f"argument {name!r} of "
    return ""


def check_size(message: bytes, task_name: str) -> bytes:
    """Return the message if it is small enough to queue.

    Raises:
        QueueError: it is larger than 64 KiB; pass an id of stored data instead.
    """
    if len(message) > MAX_BYTES:
        raise QueueError(
            f"the message of {task_name} has {len(message)} bytes, at most {MAX_BYTES} are allowed: "
            "store the data and pass its id"
        )
    return message
