"""Checks of the queue's own upkeep: is every running job held by somebody alive, do the roll-ups keep up?"""

from __future__ import annotations

from sqlalchemy.engine import Connection

from skeldir_huey.config import settings
from skeldir_huey.observability.asking import ask
from skeldir_huey.observability.checks import BAD, OK, QUESTIONS, WARN, Check, seconds

RESCUE_S = 10.0  # a consumer that is gone is found within this time after its lease ended
UNFOLDED_WARN_S = 900.0


def upkeep(connection: Connection) -> list[Check]:
    """How old is the oldest lease, and how far behind are the roll-ups?"""
    found = ask(connection, "doctor_queue")[0]
    return [_lease(found["silent_s"]), _roll_up(found["unfolded_s"])]


QUESTIONS[upkeep] = ("doctor_queue",)


def _lease(silent_s: float | None) -> Check:
    if silent_s is None:
        return Check("oldest lease", OK, "no job runs")
    text = f"the quietest holder of a running job gave a sign of life {seconds(silent_s)} ago"
    if silent_s > settings().frozen_after_s + RESCUE_S:
        return Check("oldest lease", BAD, f"{text}: nobody rescues its job", "start a consumer: each one rescues")
    return Check("oldest lease", OK, text)


def _roll_up(unfolded_s: float | None) -> Check:
    if unfolded_s is None:
        return Check("roll-up", OK, "every count is folded into its minute")
    text = f"the oldest count that is not folded yet is {seconds(unfolded_s)} old"
    if unfolded_s > UNFOLDED_WARN_S:
        advice = "nothing is lost, pages are only slower; start a consumer: each one folds"
        return Check("roll-up", WARN, text, advice)
    return Check("roll-up", OK, text)
