"""The sample of journeys: the public file when it is beside the repository, else a made one of the same shape."""

from __future__ import annotations

import csv
import os
import random
from datetime import datetime, timedelta
from pathlib import Path

LABELS = {
    "Direct Traffic": "direct",
    "Display Ads": "google_display_paid",
    "Email": "email",
    "Referral": "referral",
    "Search Ads": "google_search_paid",
    "Social Media": "facebook_brand",
}
CHANNELS = ",".join(f"{label}={code}" for label, code in LABELS.items())
MAP = "visitor=User_ID_Anon,occurred_at=Timestamp,channel=Channel,conversion=Conversion_Flag"
ARGUMENTS = ["--map", MAP, "--channels", CHANNELS, "--timezone", "UTC", "--set", "revenue_cents=100,currency=USD"]


def sample(folder: Path) -> Path:
    """Return the file: journeys.csv of the folder SKELDIR_SHARED, default ../shared/data, else made in `folder`."""
    beside = Path(__file__).parents[3] / "shared"
    shared = Path(os.environ.get("SKELDIR_SHARED", beside)) / "data" / "journeys.csv"
    return shared if shared.exists() else make_sample(folder / "journeys.csv", 10_000)


def make_sample(path: Path, row_count: int) -> Path:
    """Write a file of the sample's shape, the same each time, line by line."""
    chance = random.Random(20250210)
    start = datetime(2025, 2, 10)  # noqa: DTZ001 - the file has local times
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["User_ID_Anon", "Timestamp", "Step_Order", "Channel", "Conversion_Flag"])
        written = 0
        while written < row_count:
            user = f"{chance.getrandbits(32):08x}"
            times = sorted(start + timedelta(seconds=chance.randrange(2 * 86_400)) for _ in range(chance.randint(1, 7)))
            for step, at in enumerate(times[: row_count - written], 1):
                label = chance.choice(list(LABELS))
                writer.writerow([user, at.isoformat(" "), step, label, int(chance.random() < 0.49)])
                written += 1
    return path


def count_flags(path: Path) -> tuple[int, int]:
    """Return how many rows the file has, and how many are flagged."""
    with path.open(newline="", encoding="utf-8") as file:
        flags = [row["Conversion_Flag"] for row in csv.DictReader(file)]
    return len(flags), flags.count("1")
