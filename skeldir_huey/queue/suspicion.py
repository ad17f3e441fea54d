"""Suspects: jobs whose consumer died. Poison shows itself when nothing else runs beside it, so a suspect begins alone.

Nobody can say after the death of a process which of its jobs killed it. All of them are suspects then; each begins in a
process that has nothing else to do, and only a suspect's death is surely its own. Whoever has run for ALONE_S seconds
does not hold the others back any longer: an hour's job that was rescued costs its consumer half a second. Only another
suspect waits for it, or goes to another consumer: with two of them in a process nobody could say which one it was.
"""

from __future__ import annotations

from collections.abc import Iterable

from skeldir_huey.queue.claims import Claim

ALONE_S = 0.5

# What a claim does with a suspect; see claim.sql.
TAKE = "take"  # take it, and nothing else, when it is its turn
WAIT = "wait"  # take what comes before it: the process is to become empty for it
PASS = "pass"  # take what comes after it, too


def suspects_now(waiting: Iterable[Claim], running: Iterable[tuple[Claim, float]]) -> str | None:
    """Return what the process's next claim does with suspects; None means that it claims nothing now.

    There is never more than one suspect in a process, and for its first ALONE_S seconds no younger job beside it.

    Args:
        waiting: claims that no worker has begun.
        running: the other claims, each with the number of seconds for which it has run.
    """
    waiting, running = list(waiting), list(running)
    suspects = [seconds for claim, seconds in running if claim.suspect]
    if any(claim.suspect for claim in waiting) or any(seconds < ALONE_S for seconds in suspects):
        return None
    if suspects:
        return PASS
    return WAIT if waiting or any(seconds < ALONE_S for _, seconds in running) else TAKE
