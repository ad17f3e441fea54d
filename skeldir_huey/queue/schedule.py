"""When a periodic task is due, and its crontab in plain words. Asked of the task itself, so any rule can be told."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

MINUTE = dt.timedelta(minutes=1)
DAY = dt.timedelta(days=1)
AHEAD = 40  # days that are looked at for the next or the last due minute
YEAR = 366
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


def is_due(task: Any, at: dt.datetime) -> bool:
    """Return whether a periodic task is due in the minute of `at`; crontabs are read in UTC."""
    return bool(task.validate_datetime(at.astimezone(dt.UTC).replace(tzinfo=None)))


def next_due(task: Any, after: dt.datetime) -> dt.datetime | None:
    """Return the first due minute after an instant; None when there is none within 40 days."""
    return _first_due(task, after, 1)


def last_due(task: Any, at: dt.datetime) -> dt.datetime | None:
    """Return the last due minute that began at or before an instant; None when there is none within 40 days."""
    minute = at.astimezone(dt.UTC).replace(second=0, microsecond=0)
    return minute if is_due(task, minute) else _first_due(task, at, -1)


def _first_due(task: Any, start: dt.datetime, direction: int) -> dt.datetime | None:
    minute = start.astimezone(dt.UTC).replace(second=0, microsecond=0)
    for _ in range(AHEAD * 24 * 60):
        minute += direction * MINUTE
        if is_due(task, minute):
            return minute
    return None


def words(task: Any, today: dt.date) -> str:
    """Say when a task is due, as in "every 5 minutes" or "every day at 02:15 UTC".

    Args:
        today: a year from this day on is looked at.
    """
    start = dt.datetime.combine(today, dt.time(), dt.UTC)
    times: list[tuple[int, int]] = []
    for days in range(YEAR):
        times = _times(task, start + days * DAY)
        if times:
            break
    if not times:
        return "never within a year"
    at = dt.timedelta(hours=times[0][0], minutes=times[0][1])
    due_days = [day.date() for day in (start + n * DAY for n in range(YEAR)) if is_due(task, day + at)]
    return _join(_time_words(times), _day_words(due_days, today))


def _times(task: Any, day: dt.datetime) -> list[tuple[int, int]]:
    moments = (day + n * MINUTE for n in range(24 * 60))
    return [(at.hour, at.minute) for at in moments if is_due(task, at)]


def _join(time_words: str, day_words: str) -> str:
    if time_words.startswith("at "):
        return f"{day_words or 'every day'} {time_words}"
    return f"{time_words} {day_words}".strip()


def _time_words(times: Sequence[tuple[int, int]]) -> str:
    hours, minutes = sorted({h for h, _ in times}), sorted({m for _, m in times})
    if len(times) == 1440:
        return "every minute"
    if len(times) == len(hours) * len(minutes) and len(hours) == 24:
        step = _step(minutes, 60)
        if step:
            return f"every {step} minutes"
        return "every hour at " + ", ".join(f":{minute:02d}" for minute in minutes[:6])
    if len(minutes) == 1 and len(hours) > 1 and (step := _step(hours, 24)):
        return f"every {step} hours at :{minutes[0]:02d} UTC"
    shown = ", ".join(f"{hour:02d}:{minute:02d}" for hour, minute in times[:4])
    return f"at {shown} UTC" + (f" and {len(times) - 4} times more" if len(times) > 4 else "")


def _step(values: Sequence[int], whole: int) -> int | None:
    step = whole // len(values)
    return step if len(values) > 1 and list(values) == list(range(0, whole, step)) else None


def _day_words(days: Sequence[dt.date], today: dt.date) -> str:
    if len(days) >= YEAR:
        return ""
    all_days = [today + n * DAY for n in range(YEAR)]
    weekdays = {day.weekday() for day in days}
    if set(days) == {day for day in all_days if day.weekday() in weekdays}:
        if weekdays == {0, 1, 2, 3, 4}:
            return "on weekdays"
        return "on " + ", ".join(f"{WEEKDAYS[day]}s" for day in sorted(weekdays))
    numbers = {day.day for day in days}
    if set(days) == {day for day in all_days if day.day in numbers}:
        return f"on day {', '.join(map(str, sorted(numbers)))} of each month"
    return f"on {len(days)} days of a year"
