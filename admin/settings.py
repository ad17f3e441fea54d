"""How pages look to one person: theme, time zone, seconds between live updates. Kept with the account."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any
from zoneinfo import ZoneInfo, available_timezones

from flask_security import current_user
from werkzeug.wrappers import Response

from admin import security
from skeldir_huey.errors import InputError

THEMES = {"": "as the system", "light": "light", "dark": "dark"}
REFRESH_S = {2: "2 s", 5: "5 s", 15: "15 s", 60: "60 s", 0: "never"}


@dataclass(frozen=True)
class Settings:
    """What a person chose.

    Args:
        theme: light, dark, or None for that of the system.
        time_zone: name of the zone in which instants are written.
        refresh_s: seconds between live updates, 0 for none.
    """

    theme: str | None
    time_zone: str
    refresh_s: int

    @classmethod
    def of_form(cls, form: Mapping[str, str]) -> Settings:
        """Return what a form says.

        Raises:
            InputError: a value is none of those offered.
        """
        theme, zone, refresh = form.get("theme", ""), form.get("time_zone", ""), form.get("refresh_s", "")
        if theme not in THEMES:
            raise InputError("theme", "expected light, dark, or nothing")
        if zone not in zones():
            raise InputError("time_zone", "expected a zone such as Europe/Berlin")
        if refresh not in {str(seconds) for seconds in REFRESH_S}:
            raise InputError("refresh_s", f"expected one of {', '.join(map(str, REFRESH_S))}")
        return cls(theme or None, zone, int(refresh))

    def as_dict(self) -> dict[str, Any]:
        """Return the values by name."""
        return asdict(self)

    def remembered_by(self, response: Response) -> Response:
        """Put the theme into this browser's cookie as well: error pages read it without the database."""
        return security.remember_theme(response, self.theme)


@functools.cache
def zones() -> tuple[str, ...]:
    """Return the names of all time zones, UTC first."""
    return ("UTC", *sorted(name for name in available_timezones() if "/" in name and not name.startswith("Etc/")))


def zone_of_user() -> ZoneInfo:
    """Return the zone in which the signed-in person reads instants; UTC for everybody else."""
    name = getattr(current_user, "time_zone", None) if current_user else None
    return ZoneInfo(name) if name in zones() else ZoneInfo("UTC")
