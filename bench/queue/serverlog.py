"""What the server's statement log says: statements and transactions of one database."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_LINE = re.compile(r"^(\d+\.\d+)\|(\d+)\|([^|]*)\|(\w+):  ?(.*)$")
_STATEMENT = re.compile(r"(?:statement|execute [^:]*): ?(.*)", re.DOTALL)
_PIECE = re.compile(r"'(?:[^']|'')*'|\"[^\"]*\"|(\$\w*\$).*?\1|--[^\n]*|/\*.*?\*/|;|[^'\"$;/-]+|.", re.DOTALL)
_BEGIN = re.compile(r"(begin|start\s+transaction)\b", re.IGNORECASE)
_COMMIT = re.compile(r"(commit|end)\b", re.IGNORECASE)
_ROLLBACK = re.compile(r"(rollback|abort)\b(?!\s+to\b)", re.IGNORECASE)
_OTHER_CONTROL = re.compile(r"(savepoint|release|rollback\s+to|set|reset|show|discard|deallocate)\b", re.IGNORECASE)
_SET_CALL = re.compile(r"select\s+set_config\s*\(", re.IGNORECASE)
_LAZY = re.compile(r"synchronous_commit\s*(to|=)\s*'?(off|false)", re.IGNORECASE)
_WRITES = re.compile(r"\b(insert\s+into|update\s+\S+|delete\s+from)\b", re.IGNORECASE)


@dataclass
class Entry:
    """One message of a client: one or more statements. `detail` has the text of a prepared statement."""

    at: float
    pid: int
    text: str
    detail: str = ""
    statements: list[str] = field(default_factory=list)

    @property
    def work(self) -> list[str]:
        """The statements that are not BEGIN, COMMIT, SET and the like."""
        return [one for one in self.statements if not is_control(one)]

    def says(self, words: str) -> bool:
        """Whether these words are in the statement or in what was prepared under its name."""
        return words in self.text or words in self.detail


@dataclass(frozen=True)
class Transaction:
    """One that was committed; `lazy` ones do not wait for the disk, `writes` says that a statement of it may write."""

    pid: int
    lazy: bool
    writes: bool


def is_control(statement: str) -> bool:
    """Whether a statement only manages transactions or settings."""
    patterns = (_BEGIN, _COMMIT, _ROLLBACK, _OTHER_CONTROL, _SET_CALL)
    return any(pattern.match(statement) for pattern in patterns)


def split(text: str) -> list[str]:
    """Return the statements of a text without comments; quotes of every kind are respected."""
    pieces: list[list[str]] = [[]]
    for match in _PIECE.finditer(text):
        piece = match[0]
        if piece == ";":
            pieces.append([])
        elif not piece.startswith(("--", "/*")):
            pieces[-1].append(piece)
    return [joined for part in pieces if (joined := "".join(part).strip())]


def read(path: Path, offset: int, database: str) -> list[Entry]:
    """Return the statements that clients of a database sent, from a byte of the log on, in their order."""
    entries: list[Entry] = []
    last: dict[int, Entry] = {}
    for at, pid, where, level, text in _records(path, offset):
        if where != database:
            continue
        found = _STATEMENT.match(text) if level == "LOG" else None
        if found:
            entry = Entry(at, pid, found[1])
            entry.statements = split(found[1])
            entries.append(entry)
            last[pid] = entry
        elif level == "DETAIL" and pid in last:
            last[pid].detail += text
    return entries


def _records(path: Path, offset: int) -> Iterator[tuple[float, int, str, str, str]]:
    with path.open("rb") as file:
        file.seek(offset)
        lines = file.read().decode(errors="replace").split("\n")
    head: tuple[float, int, str, str] | None = None
    text: list[str] = []
    for line in lines:
        match = _LINE.match(line)
        if match:
            if head:
                yield (*head, "\n".join(text))
            head, text = (float(match[1]), int(match[2]), match[3], match[4]), [match[5]]
        else:
            text.append(line.removeprefix("\t"))
    if head:
        yield (*head, "\n".join(text))


def committed(entries: Iterable[Entry]) -> list[Transaction]:
    """Return the transactions that end with a commit in these entries; a message outside BEGIN is one of its own."""
    found: list[Transaction] = []
    begun: dict[int, list[Entry]] = {}
    for entry in entries:
        implicit = entry.pid not in begun
        for statement in entry.statements:
            if _BEGIN.match(statement):
                begun[entry.pid], implicit = [], False
            elif _COMMIT.match(statement):
                found.append(_transaction(entry.pid, [*begun.pop(entry.pid, []), entry]))
                implicit = False
            elif _ROLLBACK.match(statement):
                begun.pop(entry.pid, None)
                implicit = False
        if entry.pid in begun:
            begun[entry.pid].append(entry)
        elif implicit and entry.work:
            found.append(_transaction(entry.pid, [entry]))
    return found


def _transaction(pid: int, entries: list[Entry]) -> Transaction:
    texts = [text for entry in entries for text in (entry.text, entry.detail)]
    return Transaction(pid, any(_LAZY.search(text) for text in texts), any(_WRITES.search(text) for text in texts))
