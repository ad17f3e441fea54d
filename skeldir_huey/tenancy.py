"""Tenant ids: read from anything that may hold one, refused with the field named."""

from __future__ import annotations

from uuid import UUID

from skeldir_huey.errors import InputError


def parse_uuid(value: object, field: str) -> UUID:
    """Return `value` as a uuid.

    Args:
        value: a UUID or its text.
        field: the name used in the error.

    Raises:
        InputError: it is neither.
    """
    if isinstance(value, UUID):
        return value
    if isinstance(value, str):
        try:
            return UUID(value)
        except ValueError:
            pass
    raise InputError(field, f"expected a uuid, got {value!r}")
