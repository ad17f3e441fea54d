"""Array literals: what the server reads is what was given."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skeldir_huey.queue.arrays import array
from tests.conftest import Database

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)
KINDS = {
    "bigint": st.integers(-(2**63), 2**63 - 1),
    "float8": st.floats(allow_nan=False, allow_infinity=False),
    "uuid": st.uuids(),
    "text": st.one_of(TEXT, st.sampled_from(["NULL", "null", "", '"', "\\", "{}", "{a,b}", " a ", "'", "%s"])),
    "bytea": st.binary(max_size=20),
}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_read_is_what_was_given(database: Database, kind: str) -> None:
    @settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(st.one_of(st.none(), KINDS[kind]), max_size=8))
    def check(values: list[Any]) -> None:
        shown = database.value(f"select array_to_json(%s::{kind}[])", (array(values),))
        expected = [f"\\x{one.hex()}" if isinstance(one, bytes) else one for one in values]
        assert shown == [str(one) if isinstance(one, uuid.UUID) else one for one in expected]

    check()
