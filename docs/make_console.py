"""Write docs/console.md and its pictures from seeded data; needs Chromium.

python -m docs.make_console
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.e2e import showcase

HERE = Path(__file__).parent
PAGE, PICTURES = HERE / "console.md", HERE / "img"
LOOK = ((1280, 860), "light")
BY_HAND = "\n## The 47 checks\n"

# Name of the page in tests.e2e.showcase.paths, its heading, and what it is for.
PAGES = (
    ("overview", "Overview", "What needs you now, the figures behind it, and the ledger that turns red on a gap."),
    ("queues", "Queues", "The lanes of the settings, called queues here: what waits, since when, and who drains them."),
    (
        "queue",
        "One queue",
        "Why jobs wait, tenants and tasks in it; pause and resume, run what is scheduled now, cancel what waits.",
    ),
    (
        "jobs",
        "In flight",
        "Jobs that run against their timeout (yellow from 80 % on) and their consumer's heartbeat (red when late)."
        " Ask to cancel one, or give it to another worker: whatever the first one still writes is undone.",
    ),
    ("job-dead", "One job", "Its attempts, traceback, redacted arguments, and the same error."),
    ("search-wrong", "Search", "One syntax in every box; what was not understood is pointed at."),
    ("dead", "Dead letters", "By error: 2,000 failures are 3 errors."),
    ("letter", "One dead letter", "Replay, edit, abandon, reopen."),
    ("recompute", "Recompute", "Tenant x day, and what each run changed."),
    ("allocations", "Allocations", "Models side by side; every column sums up to the revenue."),
    ("sale", "One sale", "Its touches, credits and cents."),
    ("tenants", "Tenants", "Failures, waiting, freshness and reconciliation of each; reconcile some days now."),
    ("matviews", "Materialized views", "Age against target, refreshes and who asked for them."),
    ("cron", "Cron", "When each periodic task is due, what its last runs did; pause several, run one now."),
    (
        "cron-task",
        "One periodic task",
        "Each due minute: had it a job, how late did that begin? Backfill gives those without one theirs, each once.",
    ),
    ("audit", "Audit log", "Who did what, and why; append-only, each row holds the hash of the one before."),
    ("health", "Health", "The checks of `python -m skeldir_huey doctor`, as the console can make them."),
)

TEXT = """# The console

`make run` prints its address. Every page carries its scope and filters in the URL, works without script, in light and
dark, on 390 and 1280 pixels; live pages are refreshed every 5 seconds and leave alone what you use.

Keys: `g` and then `o` overview, `q` queues, `j` in flight, `d` dead letters, `b` bulk operations, `r` recompute,
`a` allocations; `/` search, `r` pause live updates, `t` theme, `?` this list.

**Search** understands a whole id (of a job, letter, run, sale, correlation or tenant), and words that must all be true:
`id:`, `correlation:`, `task:`, `queue:`, `tenant:`, `status:`, `error:"timed out"`, `tries:>3`,
`args.window_start:2026-11-19`.

**Every verb** asks for a reason and leaves an audit row in the same transaction. Dangerous ones ask for the password
again when it was given more than 5 minutes ago, and above 1,000 jobs for the number, typed. What somebody else changed
meanwhile is said with who and when. A reason that could not be sent is offered again after the sign-in.
`SKELDIR_SECOND_FACTOR` says who may act only with a second factor: in production operators and admins, else nobody.

**What is shown** of arguments, records and errors is a copy in which secrets and personal data were replaced when it
was written; no page shows a message as it is stored. Sign-ins, refusals and exports are in the audit log as well.

The pictures are made from seeded data by `python -m docs.make_console`.
"""


def text() -> str:
    """Return the page: what is made here, then the table of checks, which is written by hand and stays."""
    parts = [TEXT]
    for name, title, words in PAGES:
        parts.append(f"## {title}\n\n{words}\n\n![{title}](img/console-{name}.png)\n")
    _, heading, by_hand = PAGE.read_text(encoding="utf-8").partition(BY_HAND)
    return "\n".join(parts) + heading + by_hand


def main() -> None:
    """Write the page and its pictures."""
    PAGE.write_text(text(), encoding="utf-8")
    with tempfile.TemporaryDirectory() as folder:
        showcase.main(Path(folder), {name for name, _, _ in PAGES}, (LOOK,))
        for name, _, _ in PAGES:
            (PICTURES / f"console-{name}.png").write_bytes((Path(folder) / f"{name}-1280-light.png").read_bytes())


if __name__ == "__main__":
    main()
