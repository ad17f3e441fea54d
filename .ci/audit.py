"""Look for insecure code, and ask the vulnerability database about every installed package; say so when nobody answers.

Exit code 0: nothing was found, or there was nobody to ask about packages (CI may be offline). 1: something was found.
"""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

BANDIT = [sys.executable, "-m", "bandit", "--quiet", "--configfile", "pyproject.toml", "--recursive"]
CODE = ["skeldir_huey", "admin", "alembic"]
PIP_AUDIT = [sys.executable, "-m", "pip_audit", "--local", "--format", "json", "--progress-spinner", "off"]


def of_packages(report: dict[str, Any] | None) -> tuple[int, list[str]]:
    """Return the exit code and the lines to print for a report of pip-audit; None: it made none."""
    packages = report["dependencies"] if report else []
    known = [package for package in packages if "skip_reason" not in package]
    if not known:
        return 0, ["audit: packages NOT CHECKED: the vulnerability database cannot be reached"]
    holes = [
        f"{package['name']} {package['version']}: {hole['id']}, mended in {', '.join(hole['fix_versions']) or '?'}"
        for package in known
        for hole in package["vulns"]
    ]
    unknown = len(packages) - len(known)
    also = f", {unknown} NOT CHECKED: unknown to the database" if unknown else ""
    return int(bool(holes)), [*holes, f"audit: {len(known)} packages checked, {len(holes)} known holes{also}"]


def main() -> int:
    """Run both and return the worse exit code."""
    code = subprocess.run([*BANDIT, *CODE], stderr=subprocess.DEVNULL, check=False).returncode
    sys.stdout.write(f"audit: code {'has findings, see above' if code else 'checked, no findings'}\n")
    asked = subprocess.run(PIP_AUDIT, capture_output=True, text=True, check=False)
    try:
        report = json.loads(asked.stdout)
    except ValueError:
        report = None
        sys.stdout.write(f"audit: pip-audit: {(asked.stderr.strip() or 'said nothing').splitlines()[-1]}\n")
    holes, lines = of_packages(report)
    sys.stdout.write("\n".join(lines) + "\n")
    return max(code, holes)


if __name__ == "__main__":
    raise SystemExit(main())
