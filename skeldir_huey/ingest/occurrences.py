"""How often a row was seen before, in flat memory: equal rows of one file are different events, and stay so."""

from __future__ import annotations

import sqlite3


class Occurrences:
    """Counts rows by their hash, in a temporary file that SQLite makes and deletes.

    A table in memory would grow with the file, and one in Postgres would cost a round trip per batch and rights to make
    tables. This takes about 60 bytes of disk per row, and 4 MB of memory for any file.
    """

    def __init__(self) -> None:
        self._database = sqlite3.connect("", isolation_level=None)  # "": on disk, without a name
        self._database.execute("pragma journal_mode = off")
        self._database.execute("pragma cache_size = -4096")
        self._database.execute("create table seen (hash blob primary key, number integer not null) without rowid")
        self._database.execute("begin")

    def number(self, digest: bytes) -> int:
        """Count this hash once more; return 1 at the first time, then 2, 3 and so on."""
        added = self._database.execute("insert or ignore into seen values (?, 1)", (digest,))
        if added.rowcount:
            return 1
        self._database.execute("update seen set number = number + 1 where hash = ?", (digest,))
        found: tuple[int] = self._database.execute("select number from seen where hash = ?", (digest,)).fetchone()
        return found[0]

    def close(self) -> None:
        """Delete the temporary file."""
        self._database.close()
