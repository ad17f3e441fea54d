"""Edit and replay: a dead letter's job once more with other arguments. Its task and its tenant are never editable."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import sqlalchemy as sa
from flask import request
from werkzeug.exceptions import Forbidden

from admin.actions import LETTER, acting
from admin.guard import note_refusal
from admin.params import form_choice
from admin.trail import record
from skeldir_huey.db.tables import FailedJob
from skeldir_huey.errors import InputError, NotFound, QueueError
from skeldir_huey.log import HIDDEN, redact
from skeldir_huey.main import huey
from skeldir_huey.queue import dead_letters
from skeldir_huey.queue.messages import decode, encode
from skeldir_huey.queue.task_params import FIXED, Param, named, params_of

MAX_CHARACTERS = 20_000


@dataclass(frozen=True)
class Editable:
    """What can be edited of a letter.

    Attributes:
        params: what the task declares.
        original: the stored arguments by name, secrets and all; never shown.
        shown: the same for people, secrets hidden.
    """

    params: list[Param]
    original: dict[str, Any]
    shown: dict[str, Any]

    def text_of(self, param: Param) -> str:
        """Return what the field of an argument shows at first."""
        if param.name in self.shown:
            value = self.shown[param.name]
            return HIDDEN if value == HIDDEN else param.shown(value)
        return "" if param.required else param.shown(param.default)

    def as_json(self) -> str:
        """Return what the JSON view shows at first."""
        values = {name: value for name, value in self.shown.items() if name not in FIXED}
        return json.dumps(encode(values), indent=2, ensure_ascii=False, sort_keys=True)


def editable(task_name: str, message: bytes) -> Editable:
    """Return what can be edited of a letter.

    Raises:
        InputError: its task does not exist any more, or cannot be edited.
    """
    function = huey._registry.function_of(task_name)
    if function is None:
        raise InputError("task", f"{task_name} no longer exists, so nothing can be made of it")
    try:
        args, kwargs = dead_letters.arguments_of(message)
    except QueueError as error:
        raise InputError("message", f"the stored message is not understood: {error}") from None
    original = named(function, args, kwargs)
    return Editable(params_of(function), original, redact(original))


def arguments_of_form(letter: Any, found: Editable) -> dict[str, Any]:
    """Return the arguments that the form asks for.

    Raises:
        Forbidden: it names another task or tenant; that is recorded.
        InputError: the field is the argument that is wrong.
    """
    own_tenant = str(letter.tenant_id or "none")
    fields = {name.removeprefix("arg-") for name in request.form if name.startswith("arg-")}
    as_json = form_choice("view", ("form", "json"), "form") == "json"
    typed = _typed(request.form.get("json", "")) if as_json else {}
    named_tenants = {request.form.get("tenant"), *(str(typed[name]) for name in FIXED if name in typed)} - {None}
    if named_tenants != {own_tenant} or request.form.get("task") != letter.task_name or fields & set(FIXED):
        note_refusal("edit_replay", letter.tenant_id)
        raise Forbidden("The task and the tenant of a job cannot be edited. Nothing was changed.")
    known = {param.name for param in found.params}
    for name in sorted((set(typed) - set(FIXED) if as_json else fields) - known):
        raise InputError(name, "the task has no such argument")
    values = _of_json(typed, found) if as_json else _of_fields(found)
    values |= {name: found.original[name] for name in FIXED if name in found.original}
    check = getattr(huey._registry.string_to_task(letter.task_name), "check_call", None)
    if check is not None:
        check(values)
    return values


def _typed(text: str) -> dict[str, Any]:
    if len(text) > MAX_CHARACTERS:
        raise InputError("json", f"at most {MAX_CHARACTERS} characters")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError("json", f"not JSON: {error}") from None
    if not isinstance(found, dict):
        raise InputError("json", "expected one JSON object: argument -> value")
    return found


def _of_json(typed: dict[str, Any], found: Editable) -> dict[str, Any]:
    values = {}
    for param in found.params:
        if param.name in typed:
            kept = typed[param.name] == encode(found.shown.get(param.name)) and param.name in found.original
            try:
                values[param.name] = found.original[param.name] if kept else param.check(decode(typed[param.name]))
            except QueueError as error:
                raise InputError(param.name, str(error)) from None
        elif param.required:
            raise InputError(param.name, "is needed")
    return values


def _of_fields(found: Editable) -> dict[str, Any]:
    values = {}
    for param in found.params:
        text = request.form.get(f"arg-{param.name}", "")
        if len(text) > MAX_CHARACTERS:
            raise InputError(param.name, f"at most {MAX_CHARACTERS} characters")
        if text == found.text_of(param) and param.name in found.original:
            values[param.name] = found.original[param.name]  # not touched: a hidden secret stays what it is
        elif text == found.text_of(param) and not param.required:
            continue
        elif text == "" and param.required:
            raise InputError(param.name, "is needed")
        else:
            values[param.name] = param.parse(text)
    return values


def difference(found: Editable, values: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    """Return what changes: argument, what it was, what it becomes; None where it is absent. Secrets are hidden."""
    new = redact(values)
    changed = []
    for name in sorted({*found.original, *values}):
        old_is, new_is = found.original.get(name), values.get(name)
        if (name in found.original) != (name in values) or old_is != new_is or type(old_is) is not type(new_is):
            was = json.dumps(encode(found.shown[name]), ensure_ascii=False) if name in found.original else None
            becomes = json.dumps(encode(new[name]), ensure_ascii=False) if name in values else None
            changed.append((name, was, becomes))
    return changed


def stored_message(connection: Any, letter_id: UUID) -> bytes:
    """Return a letter's message, which no page shows.

    Raises:
        NotFound: no such letter in this scope.
    """
    message = connection.scalar(sa.select(FailedJob.message).where(FailedJob.id == letter_id))
    if message is None:
        raise NotFound("no such dead letter")
    return bytes(message)


def replay_edited(user: Any, letter: Any, values: dict[str, Any], changed: list[str], reason: str) -> str:
    """Enqueue the job with these arguments, once; returns the new job's task id.

    Raises:
        Forbidden: the user may look but not do this.
        NotFound, Conflict: as `actions.replay_letter`.
        InputError: the message would be too large.
    """
    with acting(user, "edit_replay", letter.tenant_id) as connection:
        try:
            task_id = dead_letters.replay_edited(connection, letter.id, values)
        except QueueError as error:
            raise InputError("json", str(error)) from None
        detail = {"task_id": task_id, "changed": changed}
        record(
            connection, user.email, "edit_replay", LETTER, str(letter.id), tenant_id=letter.tenant_id, reason=reason,
            detail=detail,
        )  # fmt: skip
    return task_id
