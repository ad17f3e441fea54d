"""Takes one protection of the console out, in a copy of the source, and runs the test that must notice.

`python -m tests.mutants` tries all, `python -m tests.mutants NAME…` some of them. A mutant that no test notices is an
error: exit code 1. The six that tests/test_mutants.py runs each time are marked `named`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.conftest import ROOT

KEYSET = "            sa.tuple_(at, row_id) < sa.tuple_(sa.literal(after.at, at.type), sa.literal(key, row_id.type))\n"
NOT_SOURCE = shutil.ignore_patterns(".*", "__pycache__", "out", "img", "evidence", "node_modules")


@dataclass(frozen=True)
class Mutant:
    """A protection that is taken out.

    Args:
        name: what is taken out.
        path: the file that is changed.
        changes: text that stands there once, and what takes its place.
        test: the test that must turn red.
        named: whether issue and plan name it, so that the suite tries it each time.
    """

    name: str
    path: str
    changes: tuple[tuple[str, str], ...]
    test: str
    named: bool = False


MUTANTS = (
    Mutant(
        "live-guard",
        "static/live.js",
        (("if (old && !inUse(old) && !same(old, fresh))", "if (old && !same(old, fresh))"),),
        "tests/e2e/test_letters_browser.py::test_ticked_rows_stay_ticked_while_the_page_is_live",
        named=True,
    ),
    Mutant(
        "offset",
        "admin/reads/pages.py",
        (
            (
                f"        statement = statement.where(\n{KEYSET}        )\n",
                "        statement = statement.offset(OFFSETS[str(key)])\n",
            ),
            ("PAGE_SIZE = 25\n", "PAGE_SIZE = 25\nOFFSETS = {}\n"),
            (
                "    more = len(rows) > size\n",
                "    more = len(rows) > size\n"
                "    if more:\n"
                "        before = OFFSETS[str(key)] if after is not None else 0\n"
                "        OFFSETS[str(rows[size - 1].page_id)] = before + size\n",
            ),
        ),
        "tests/admin/test_checks_lists.py::test_rows_that_arrive_while_somebody_pages",
        named=True,
    ),
    Mutant(
        "tenant-of-the-session",
        "admin/scope.py",
        (
            (
                '    wanted = params.text("tenant")\n',
                '    session = __import__("flask").session\n'
                '    if request.method == "GET" and "tenant" in request.args:\n'
                '        session["tenant"] = params.text("tenant")\n'
                '    wanted = session.get("tenant", "")\n',
            ),
        ),
        "tests/admin/test_wall.py::test_two_tabs_of_two_tenants_do_not_meet",
        named=True,
    ),
    Mutant(
        "markup",
        "admin/show.py",
        (
            (
                "    return json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str)\n",
                '    markup = __import__("markupsafe").Markup\n'
                "    return markup(json.dumps(value, indent=2, ensure_ascii=False, sort_keys=True, default=str))\n",
            ),
        ),
        "tests/admin/test_pages.py::test_texts_from_outside_stay_text",
        named=True,
    ),
    Mutant(
        "status-guard",
        "skeldir_huey/queue/sql/letter_take.sql",
        ((" where id = %(id)s and status = 'pending'", " where id = %(id)s"),),
        "tests/admin/test_actions.py::test_eight_at_once_replay_once",
        named=True,
    ),
    Mutant(
        "unsafe-inline",
        "admin/security.py",
        (("script-src 'self'; style-src", "script-src 'self' 'unsafe-inline'; style-src"),),
        "tests/admin/test_security.py::test_headers_on_every_route",
        named=True,
    ),
    Mutant(
        "tie-breaker",
        "admin/reads/pages.py",
        (
            (
                KEYSET,
                "            at < sa.literal(after.at, at.type)\n",
            ),
        ),
        "tests/admin/test_pages.py::test_paging_by_key_shows_rows_of_one_instant_once_each",
    ),
    Mutant(
        "hidden-tab",
        "static/live.js",
        (("live && !document.hidden &&", "live &&"),),
        "tests/e2e/test_access.py::test_a_hidden_tab_asks_for_nothing",
    ),
    Mutant(
        "typing",
        "static/console.js",
        (("  if (typing || event", "  if (event"),),
        "tests/e2e/test_access.py::test_keys_do_not_fire_while_something_is_typed",
    ),
    Mutant(
        "formula",
        "admin/export.py",
        (('return "\'" + text if', "return text if"),),
        "tests/admin/test_audit_page.py::test_the_export_has_plain_values_and_no_formula",
    ),
)


def apply(mutant: Mutant, copy: Path) -> None:
    """Change the copy.

    Raises:
        AssertionError: the text to change does not stand there once: the mutant is out of date.
    """
    path = copy / mutant.path
    text = path.read_text(encoding="utf-8")
    for old, new in mutant.changes:
        assert text.count(old) == 1, f"{mutant.name}: {mutant.path} has {text.count(old)} times {old!r}"
        text = text.replace(old, new)
    path.write_text(text, encoding="utf-8")


def verdict(mutant: Mutant, timeout_s: float = 240) -> str:
    """Return "red" when the test fails on the mutant; else what happened instead."""
    with tempfile.TemporaryDirectory(prefix="skeldir-mutant-") as folder:
        copy = Path(folder) / "source"
        shutil.copytree(ROOT, copy, ignore=NOT_SOURCE)
        apply(mutant, copy)
        # With a folder of its own: else it would close the common one to the user as whom a server of a test runs.
        own = ["-p", "no:cacheprovider", "--basetemp", str(Path(folder) / "tmp")]
        command = [sys.executable, "-m", "pytest", "-qx", *own, "--show-capture=no", mutant.test]
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
        done = subprocess.run(
            command, cwd=copy, env=environment | {"PYTHONPATH": str(copy)}, capture_output=True, text=True,
            timeout=timeout_s, check=False,
        )  # fmt: skip
    last = (done.stdout.strip().splitlines() or [done.stderr[-500:]])[-1]
    # 1: tests ran and some failed. An error outside the test itself would say nothing about it.
    if done.returncode == 1 and " failed" in last and "error" not in last:
        return "red"
    return f"exit code {done.returncode}: {last}\n{done.stdout[-3000:]}"


def main(names: list[str]) -> int:
    """Try mutants and print a line for each."""
    unknown = set(names) - {mutant.name for mutant in MUTANTS}
    if unknown:
        sys.stderr.write(f"mutants: unknown {', '.join(sorted(unknown))}\n")
        return 2
    survivors = 0
    for mutant in MUTANTS:
        if not names or mutant.name in names:
            found = verdict(mutant)
            survivors += found != "red"
            sys.stdout.write(f"{mutant.name}: {found} by {mutant.test}\n")
            sys.stdout.flush()
    return int(survivors > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
