"""What `make test` runs: the suite in two processes, what must run alone, and on PostgreSQL 16 what depends on it.

Every part runs whatever became of the one before; the last lines say how each ended. Exit code 0: passed; 2: Ctrl-C.

    python -m tests [FOLDER_OR_FILE ...]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time

TWO = ["-n", "2", "--dist", "worksteal", "-m", "not alone"]
ALONE = ["-m", "alone"]
ON_16 = ("tests/db", "tests/queue", "tests/attribution")
NOTHING_FOUND = 5


def parts(paths: list[str]) -> list[tuple[str, list[str], str]]:
    """Return name, arguments of pytest and version of PostgreSQL of each part."""
    found = [
        ("two processes", [*TWO, *paths], "18"),
        ("alone", [*ALONE, *paths], "18"),
    ]
    on_16 = list(ON_16) if paths == ["tests"] else [path for path in paths if path.startswith(ON_16)]
    if on_16:
        found.append(("PostgreSQL 16", [*TWO, *on_16], "16"))
    return found


def run(arguments: list[str], version: str) -> int:
    """Run pytest to its end and return its exit code; Ctrl-C reaches it too, and it is waited for."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", *arguments], env=os.environ | {"SKELDIR_TEST_PG": version}
    )
    while True:
        try:
            return process.wait()
        except KeyboardInterrupt:
            continue  # pytest got it as well, and stops its servers


def main(paths: list[str]) -> int:
    """Run the parts and return the exit code."""
    said, worst = [], 0
    for name, arguments, version in parts(paths):
        sys.stdout.write(f"\ntests: {name}: pytest {' '.join(arguments)}\n")
        sys.stdout.flush()
        began = time.monotonic()
        code = run(arguments, version)
        ended = {0: "passed", 2: "interrupted", NOTHING_FOUND: "no tests"}.get(code, "FAILED")
        said.append(f"tests: {name}: {ended} in {time.monotonic() - began:.0f} s\n")
        if code == 2:
            worst = 2
            break
        worst = worst or (0 if code == NOTHING_FOUND else code)
    if all("no tests" in line for line in said):
        worst = NOTHING_FOUND
    sys.stdout.write("\n" + "".join(said))
    return worst


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:] or ["tests"]))
