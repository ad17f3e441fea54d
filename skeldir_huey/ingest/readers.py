"""Rows of a CSV or JSON lines file, one at a time. A row that cannot be read is handed on as such: none is dropped."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from skeldir_huey.errors import InputError

MAX_LINE_BYTES = 1024 * 1024
_SHOWN = 2000  # characters of an unreadable row that are kept


@dataclass
class Row:
    """A row as it stands in the file.

    Args:
        line: where it begins, counted from 1.
        values: column -> value; None when it cannot be read.
        text: what identifies it: equal rows have equal text.
        size: bytes of the file that it takes.
        problem: why it cannot be read.
    """

    line: int
    values: dict[str, Any] | None
    text: str
    size: int
    problem: str | None = None


class _LineTooLong(Exception):
    pass


class _Lines:
    """The lines of a file as text, with those taken since the last `begin` remembered."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self.number = 0
        self.begin()

    def begin(self) -> None:
        self.first = self.number + 1
        self.taken: list[str] = []
        self.size = 0
        self.is_utf8 = True

    def __iter__(self) -> _Lines:
        return self

    def __next__(self) -> str:
        line = self._file.readline(MAX_LINE_BYTES)
        if not line:
            raise StopIteration
        self.number += 1
        self.size += len(line)
        if self.number == 1:
            line = line.removeprefix(b"\xef\xbb\xbf")
        try:
            text = line.decode("utf-8")
        except UnicodeDecodeError:
            self.is_utf8 = False
            text = line.decode("utf-8", "backslashreplace")
        self.taken.append(text)
        if len(line) >= MAX_LINE_BYTES - 3 and not line.endswith(b"\n"):
            while rest := self._file.readline(MAX_LINE_BYTES):
                self.size += len(rest)
                if rest.endswith(b"\n"):
                    break
            raise _LineTooLong
        return text

    def unreadable(self, problem: str) -> Row:
        return Row(self.first, None, "".join(self.taken)[:_SHOWN], self.size, problem)


class Source:
    """An open file of rows. A context manager, which closes it.

    Args:
        path: a CSV or JSON lines file.
        form: csv or jsonl; None means what the name ends with, else what the first byte looks like.

    Attributes:
        rows: read as they are asked for.
        columns: the names in the first line, or in the first object.

    Raises:
        InputError: there is no such file, or it has no columns or no rows.
    """

    def __init__(self, path: Path, form: str | None = None) -> None:
        try:
            self._file = path.open("rb")
            self.size = path.stat().st_size
        except OSError as error:
            raise InputError("FILE", f"cannot open {path}: {error.strerror}") from None
        try:
            first = self._file.peek(64).lstrip()[:1]
            suffixes = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}
            self.form = form or suffixes.get(path.suffix.lower(), "jsonl" if first == b"{" else "csv")
            read = _read_csv if self.form == "csv" else _read_json
            self.rows, self.columns = read(_Lines(self._file))
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Source:
        return self

    def __exit__(self, *error: object) -> None:
        self._file.close()


def _read_csv(lines: _Lines) -> tuple[Iterator[Row], list[str]]:
    reader = csv.reader(lines, strict=True)
    try:
        header = [name.strip() for name in next(reader)]
    except (StopIteration, csv.Error, _LineTooLong):
        raise InputError("FILE", "expected column names in its first line") from None
    if not lines.is_utf8 or not any(header):
        raise InputError("FILE", "expected column names in UTF-8 in its first line")
    twice = {name for name in header if header.count(name) > 1}
    if twice:
        raise InputError("FILE", f"has columns of the same name: {', '.join(sorted(twice))}")
    order = sorted(range(len(header)), key=header.__getitem__)

    def rows() -> Iterator[Row]:
        while True:
            lines.begin()
            try:
                values = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                yield lines.unreadable(f"cannot be read as CSV: {error}")
                continue
            except _LineTooLong:
                yield lines.unreadable(f"a line is longer than {MAX_LINE_BYTES} bytes")
                continue
            if not values:
                continue
            if not lines.is_utf8:
                yield lines.unreadable("is not UTF-8")
            elif len(values) != len(header):
                yield lines.unreadable(f"has {len(values)} values, the file has {len(header)} columns")
            else:
                text = json.dumps([(header[at], values[at]) for at in order])
                yield Row(lines.first, dict(zip(header, values, strict=True)), text, lines.size)

    return rows(), header


def _read_json(lines: _Lines) -> tuple[Iterator[Row], list[str]]:
    def rows() -> Iterator[Row]:
        while True:
            lines.begin()
            try:
                line = next(lines)
            except StopIteration:
                return
            except _LineTooLong:
                yield lines.unreadable(f"a line is longer than {MAX_LINE_BYTES} bytes")
                continue
            if not line.strip():
                continue
            try:
                # Numbers stay as they are written, so that 0.10 is no float on the way to cents.
                values = json.loads(line, parse_float=str, parse_constant=_refuse_constant)
            except (ValueError, RecursionError) as error:
                yield lines.unreadable(f"cannot be read as JSON: {error}"[:200])
                continue
            if not lines.is_utf8:
                yield lines.unreadable("is not UTF-8")
            elif not isinstance(values, dict):
                yield lines.unreadable("expected a JSON object")
            else:
                yield Row(lines.first, values, json.dumps(values, sort_keys=True), lines.size)

    made = rows()
    held: list[Row] = []
    for row in made:
        held.append(row)
        if row.values is not None or len(held) == 100:
            break
    columns = next((list(row.values) for row in held if row.values is not None), None)
    if columns is None:
        raise InputError("FILE", "expected one JSON object per line")

    def all_rows() -> Iterator[Row]:
        yield from held
        yield from made

    return all_rows(), columns


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")
