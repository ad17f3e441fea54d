"""Messages: JSON both ways without loss, and no input that a worker stumbles over."""

from __future__ import annotations

import datetime as dt
import pickle
from decimal import Decimal
from typing import Any
from uuid import UUID, uuid4

import pytest
from huey.utils import SKIPPED, Error
from hypothesis import given
from hypothesis import strategies as st

from skeldir_huey.errors import QueueError
from skeldir_huey.queue.messages import JsonSerializer, RemoteError

serializer = JsonSerializer()

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(st.characters(exclude_categories=["Cs"])),
    st.uuids(),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.dates(),
    st.timedeltas(),
    st.decimals(allow_nan=False),
    st.binary(),
)
VALUES = st.recursive(
    SCALARS,
    lambda part: st.one_of(
        st.lists(part),
        st.lists(part).map(tuple),
        st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), part),
        st.dictionaries(st.integers(), part),
        st.sets(st.integers()),
    ),
    max_leaves=8,
)


@given(VALUES)
def test_round_trip(value: Any) -> None:
    again = serializer.deserialize(serializer.serialize(value))
    assert again == value and type(again) is type(value)


def test_keys_that_look_like_tags_survive() -> None:
    for value in ({"$": "uuid", "v": "x"}, {"$": {"$": 1}}):
        assert serializer.deserialize(serializer.serialize(value)) == value


def test_hueys_own_values_survive() -> None:
    error = serializer.deserialize(serializer.serialize(Error({"error": "x", "retries": 0})))
    assert isinstance(error, Error) and error.metadata == {"error": "x", "retries": 0}
    assert serializer.deserialize(serializer.serialize(SKIPPED)) is SKIPPED


def test_an_exception_travels_as_text() -> None:
    try:
        raise KeyError("missing")
    except KeyError as raised:
        again = serializer.deserialize(serializer.serialize(raised))
    assert isinstance(again, RemoteError)
    assert (again.class_name, again.message) == ("KeyError", "'missing'")
    assert "test_messages.py" in again.traceback_text


@pytest.mark.parametrize("value", [object(), lambda: None, {"x": {1j}}, "\ud800", open])
def test_what_cannot_travel_is_refused(value: object) -> None:
    with pytest.raises(QueueError):
        serializer.serialize(value)


@given(st.binary(max_size=200))
def test_random_bytes_are_refused_and_nothing_else(data: bytes) -> None:
    try:
        serializer.deserialize(data)
    except QueueError:
        pass


@pytest.mark.parametrize(
    "text",
    [
        '{"v":2,"d":1}',
        '{"v":1}',
        '{"v":1,"d":{"$":"os.system","v":"x"}}',
        '{"v":1,"d":{"$":"uuid","v":"x"}}',
        '{"v":1,"d":{"$":["list"],"v":"x"}}',
        "[" * 100_000,
        "null",
    ],
)
def test_foreign_messages_are_refused(text: str) -> None:
    with pytest.raises(QueueError):
        serializer.deserialize(text.encode())


class Bomb:
    """Runs code where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (pytest.fail, ("a message ran code",))


def test_a_pickle_is_bytes_that_mean_nothing() -> None:
    with pytest.raises(QueueError):
        serializer.deserialize(pickle.dumps(Bomb()))


def test_types_are_kept_apart() -> None:
    identity: UUID = uuid4()
    assert serializer.deserialize(serializer.serialize([identity, str(identity)])) == [identity, str(identity)]
    assert serializer.deserialize(serializer.serialize(Decimal("1.10"))).as_tuple() == Decimal("1.10").as_tuple()
