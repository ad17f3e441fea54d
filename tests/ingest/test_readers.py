"""Reading is flat in memory: a file ten times as long needs no more of it."""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from skeldir_huey.errors import InputError
from skeldir_huey.ingest.occurrences import Occurrences
from skeldir_huey.ingest.options import parse_pairs
from skeldir_huey.ingest.readers import Source
from tests.ingest.sample import make_sample


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def test_memory_does_not_grow_with_the_file(tmp_path: Path, traced: None) -> None:
    peaks = []
    for row_count in (3_000, 30_000):
        path = make_sample(tmp_path / f"{row_count}.csv", row_count)
        tracemalloc.reset_peak()
        before = tracemalloc.get_traced_memory()[0]
        with Source(path) as source, closing(Occurrences()) as occurrences:
            assert sum(occurrences.number(row.text.encode()) for row in source.rows) >= row_count
        peaks.append(tracemalloc.get_traced_memory()[1] - before)
    assert peaks[1] < peaks[0] + 100_000


def test_sizes_of_rows_add_up_to_the_file(tmp_path: Path) -> None:
    path = make_sample(tmp_path / "x.csv", 100)
    with Source(path) as source:
        header = len(path.read_bytes().splitlines(keepends=True)[0])
        assert sum(row.size for row in source.rows) + header == source.size


def test_byte_order_mark_and_windows_line_ends_are_no_part_of_names(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(b"\xef\xbb\xbfid,at\r\n1,2\r\n")
    with Source(path) as source:
        assert source.columns == ["id", "at"]
        assert [row.values for row in source.rows] == [{"id": "1", "at": "2"}]


def test_pairs_may_hold_commas_and_equal_signs() -> None:
    assert parse_pairs(["a=b", '"Radio, local=radio",c=d'], "--x") == {"a": "b", "Radio, local": "radio", "c": "d"}
    assert parse_pairs(["k=v=w"], "--x") == {"k=v": "w"}
    for bad in ("a", "=b", "a=", "a=b,,"):
        with pytest.raises(InputError):
            parse_pairs([bad], "--x")
