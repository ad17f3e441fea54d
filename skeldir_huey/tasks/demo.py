"""The demo's own task, registered only where SKELDIR_DEMO=1: a job that really fails, and whose replay succeeds.

The story: a bank publishes each day's exchange rates as a file, on request. The first job of a day finds no file, asks
the bank for it, and dies. By the time that an operator replays it from the dead letters, the file is there.
"""

from __future__ import annotations

import csv
import os
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from skeldir_huey.config import settings
from skeldir_huey.errors import SkeldirError
from skeldir_huey.tasks.base import tenant_task

NAME = "skeldir.demo.import_rates"
_PUBLISHED = "currency,per_usd\nEUR,0.9200\nGBP,0.7900\nJPY,151.3000\n"


class RatesNotPublished(SkeldirError):
    """The bank has no file for that day yet."""


@tenant_task(name=NAME, lane="ingest")
def import_rates(day: str, *, tenant_id: UUID) -> dict[str, Any]:
    """Read the exchange rates of one day.

    Args:
        day: as 2025-06-01.
        tenant_id: whose day it is.

    Returns:
        The day and each currency's units per US dollar, as text.

    Raises:
        RatesNotPublished: there is no file yet; it has been requested.
    """
    path = rates_file(day)
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rates = {row["currency"]: str(Decimal(row["per_usd"])) for row in csv.DictReader(file)}
    except FileNotFoundError:
        _request(path)
        raise RatesNotPublished(
            f"{path.name} is not there: the bank had not published the rates of {day}; requested now, replay this job"
        ) from None
    return {"day": day, "rates": rates}


def rates_file(day: str) -> Path:
    """Return where the bank puts the rates of a day."""
    return settings().data_dir / "demo" / f"rates-{day}.csv"


def _request(path: Path) -> None:
    # The demo's bank answers at once; the job that asked has failed all the same.
    path.parent.mkdir(parents=True, exist_ok=True)
    half = path.with_suffix(".part")
    half.write_text(_PUBLISHED, encoding="utf-8")
    os.replace(half, path)
