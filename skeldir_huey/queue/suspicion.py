"""Suspects: jobs whose consumer died. Poison shows itself when nothing else runs beside it, so a suspect begins alone.

Nobody can say after the death of a process which of its jobs killed it. All of them are suspects then; each begins in a
process that has nothing else to do, and only a suspect's death is surely its own. Whoever has run for ALONE_S seconds
does not hold the others back any longer, suspects included: an hour's job that was rescued costs its consumer half a
second, and four of them run side by side again. When suspects die together, no death counts, and each is set apart:
from then on no other suspect is beside it, however long that takes.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from skeldir_huey.queue.claims import Claim

ALONE_S = 0.5

# What a claim does with a suspect; see claim.sql.
TAKE = "take"  # take it, and nothing else, when it is its turn
WAIT = "wait"  # take what comes before it: the process is to become empty for it
PASS = "pass"  # take what comes after it, too


class Suspects(NamedTuple):
    """What a claim does with suspects."""

    rule: str
    apart: bool = True  # also with those that are set apart; else it passes them


IDLE = Suspects(TAKE)  # for a process that has nothing to do


def suspects_now(waiting: Iterable[Claim], running: Iterable[tuple[Claim, float]]) -> Suspects | None:
    """Return what the process's next claim does with suspects; None means that it claims nothing now.

    For the first ALONE_S seconds of a suspect nothing younger is beside it, and one that is set apart meets no other.

    Args:
        waiting: claims that no worker has begun.
        running: the other claims, each with the number of seconds for which it has run.
    """
    waiting, running = list(waiting), list(running)
    suspects = [claim for claim, _ in running if claim.suspect]
    young = [claim for claim, seconds in running if seconds < ALONE_S]
    if any(claim.suspect for claim in (*waiting, *young)):
        return None
    if any(claim.apart for claim in suspects):
        return Suspects(PASS)
    return Suspects(WAIT if waiting or young else TAKE, apart=not suspects)
