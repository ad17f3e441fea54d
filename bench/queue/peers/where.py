"""Where a peer finds its database."""

from __future__ import annotations

import os

SOCKET = "BENCH_SOCKET"  # the folder of the server's unix socket
DATABASE = "BENCH_DATABASE"


def url(scheme: str = "postgresql") -> str:
    """Return the URL of this run's database; peers log in as the superuser, without row security."""
    return f"{scheme}://postgres@/{os.environ[DATABASE]}?host={os.environ[SOCKET]}&port=5432"
