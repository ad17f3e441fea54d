"""Reading the file of notes while it grows, each byte once."""

from __future__ import annotations

from pathlib import Path


class Tail:
    """Follows one file from its beginning; a file that is not there yet is empty.

    Args:
        path: the notes.
        skip: leave out what is there already.
    """

    def __init__(self, path: str | Path, skip: bool = False) -> None:
        self._path = Path(path)
        self._offset = self._path.stat().st_size if skip and self._path.exists() else 0
        self._rest = b""
        self.count = 0  # lines seen so far

    def new_lines(self) -> list[bytes]:
        """Return the whole lines that were written since the last call."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._offset)
                text = self._rest + file.read()
                self._offset = file.tell()
        except FileNotFoundError:
            return []
        *lines, self._rest = text.split(b"\n")
        self.count += len(lines)
        return lines
