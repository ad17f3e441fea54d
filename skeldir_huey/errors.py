"""The tree of errors. Each carries the fields that a person needs to act on it."""

from __future__ import annotations


class SkeldirError(Exception):
    """Base of every error raised on purpose. Its text is one line that says what to do."""


class ConfigError(SkeldirError):
    """A setting is missing, unknown or contradictory; commands end with exit code 2."""


class DatabaseError(SkeldirError):
    """The database cannot be used as it is: out of reach, not migrated, or a role is too powerful."""


class InputError(SkeldirError):
    """Input is refused before anything is written; exit code 2 for commands, 400 for pages.

    Args:
        field: the name of the offending field, as the user wrote it.
        reason: what is wrong and what would be accepted.
    """

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}")
        self.field = field
        self.reason = reason


class TenantRequired(InputError):
    """A tenant task was called without a tenant_id, or with one that is no uuid."""

    def __init__(self, task_name: str, value: object) -> None:
        super().__init__("tenant_id", f"{task_name} needs the uuid of a tenant, got {value!r}")


class NotFound(SkeldirError):
    """The row is not there, or belongs to another tenant: the two look the same on purpose."""


class NoResult(SkeldirError):
    """The numbers that were asked for do not exist: there is nothing to divide by. Says what is missing."""


class Conflict(SkeldirError):
    """Somebody else changed the row first; nothing was written.

    Args:
        task_id: the job that is there already, for a page to link to.
    """

    def __init__(self, message: str, task_id: str | None = None) -> None:
        super().__init__(message)
        self.task_id = task_id


class FenceLost(SkeldirError):
    """This claim is no longer ours: the job was rescued or released. All its work is rolled back."""


class QueueError(SkeldirError):
    """The queue refuses a message, a lane or a mode."""
