"""One JSON object per line, with the job's fields, without secrets, nothing twice."""

from __future__ import annotations

import json
import logging
import re
import time
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from skeldir_huey.log import HIDDEN, bind, get_log, install, redact
from tests.conftest import JsonLog

log = get_log("skeldir_huey.tests")


def test_a_line_has_all_fields(json_log: JsonLog) -> None:
    log.info("run_succeeded", rows=6)
    (line,) = json_log.lines()
    assert list(line)[:8] == [
        "time",
        "level",
        "event",
        "logger",
        "task_name",
        "task_id",
        "tenant_id",
        "correlation_id",
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line.pop("time"))
    assert line == {
        "level": "info",
        "event": "run_succeeded",
        "logger": "skeldir_huey.tests",
        "task_name": None,
        "task_id": None,
        "tenant_id": None,
        "correlation_id": None,
        "rows": 6,
    }


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_level_names_are_lower_case(json_log: JsonLog, level: str) -> None:
    getattr(log, level)("event_name")
    assert [line["level"] for line in json_log.lines()] == [level]


def test_lines_below_the_level_are_not_written(json_log: JsonLog) -> None:
    install("WARNING", json_log.stream)
    log.info("quiet")
    log.warning("loud")
    assert [line["event"] for line in json_log.lines()] == ["loud"]


def test_bound_fields_end_with_their_block(json_log: JsonLog) -> None:
    with bind(task_id="t1", tenant_id="a"):
        with bind(tenant_id="b", lane="ingest"):
            log.info("inner", task_id="own")
        log.info("outer")
    with pytest.raises(ZeroDivisionError), bind(task_id="t2"):
        raise ZeroDivisionError
    log.info("after")
    inner, outer, after = json_log.lines()
    assert (inner["task_id"], inner["tenant_id"], inner["lane"]) == ("own", "b", "ingest")
    assert (outer["task_id"], outer["tenant_id"]) == ("t1", "a")
    assert "lane" not in outer
    assert (after["task_id"], after["tenant_id"]) == (None, None)


def test_a_field_cannot_replace_the_event(json_log: JsonLog) -> None:
    log.info("real", level="fake", time="fake", logger="fake")
    (line,) = json_log.lines()
    assert (line["event"], line["level"], line["logger"]) == ("real", "info", "skeldir_huey.tests")
    assert (line["level_"], line["time_"], line["logger_"]) == ("fake", "fake", "fake")


def test_an_exception_is_one_line(json_log: JsonLog) -> None:
    try:
        raise ValueError("cannot reach postgresql://app:hunter2@db/skeldir\nsecond line")
    except ValueError:
        log.exception("attempt_errored", attempt=2)
    (line,) = json_log.lines()
    assert (line["level"], line["error_class"], line["attempt"]) == ("error", "ValueError", 2)
    assert "second line" in line["error_message"] and "test_log.py" in line["traceback"]
    assert "hunter2" not in json_log.text()


def test_other_libraries_log_the_same_way_and_once(json_log: JsonLog) -> None:
    for name in ("huey", "huey.consumer", "some.library"):
        logging.getLogger(name).warning("50%% of %s, password=hunter2", name)
    assert [(line["event"], line["logger"], line["message"]) for line in json_log.lines()] == [
        ("log", name, f"50% of {name}, password={HIDDEN}") for name in ("huey", "huey.consumer", "some.library")
    ]


def test_a_handler_of_huey_itself_makes_nothing_twice(json_log: JsonLog) -> None:
    huey = logging.getLogger("huey")
    huey.addHandler(logging.StreamHandler(json_log.stream))
    huey.propagate = False
    install("INFO", json_log.stream)
    huey.info("started")
    assert [line["message"] for line in json_log.lines()] == ["started"]


def test_lines_go_to_stderr_unless_told(json_log: JsonLog, capsys: pytest.CaptureFixture[str]) -> None:
    install("INFO")
    log.info("here")
    captured = capsys.readouterr()
    assert json.loads(captured.err)["event"] == "here"
    assert captured.out == json_log.text() == ""


def test_lines_go_to_a_file(json_log: JsonLog, tmp_path: Any) -> None:
    path = tmp_path / "worker.log"
    install("INFO", path)
    log.info("grüße", text="zeile\numbruch")
    (text,) = path.read_text(encoding="utf-8").splitlines()
    assert (json.loads(text)["event"], json.loads(text)["text"]) == ("grüße", "zeile\numbruch")
    install("INFO", json_log.stream)  # closes the file


def test_any_value_can_be_logged(json_log: JsonLog) -> None:
    loop: list[Any] = []
    loop.append(loop)
    log.info(
        "odd",
        uuid=UUID(int=1),
        amount=Decimal("1.10"),
        raw=b"abc",
        some={3, 1},
        loop=loop,
        keys={("a", 1): 1, "fine": 2},
        error=ValueError("token=abc"),
    )
    (line,) = json_log.lines()
    assert (line["uuid"], line["amount"], line["raw"], line["some"]) == (str(UUID(int=1)), "1.10", "<3 bytes>", [1, 3])
    assert line["loop"] == ["[cycle]"]
    assert line["keys"] == {"fine": 2}
    assert line["error"] == f"token={HIDDEN}"


SECRETS = {
    "password": "hunter2",
    "db_password": "hunter2",
    "Secret": "hunter2",
    "access_token": "hunter2",
    "Authorization": "Bearer hunter2",
    "x-api-key": "hunter2",
    "apiKey": "hunter2",
    "Set-Cookie": "hunter2",
    "credentials": {"user": "hunter2"},
    "email": "hunter2",
    "customer_email": "hunter2",
    "phone_number": "hunter2",
    "ssn": 123456789,
    "ip": "hunter2",
    "client_ip": "hunter2",
    "ip_address": "hunter2",
    "first_name": "hunter2",
    "Given-Name": "hunter2",
    "surname": "hunter2",
    "customerName": "hunter2",
    "BILLING_ADDRESS": {"line": "hunter2"},
    "address": ["hunter2"],
    "postcode": "hunter2",
    "zip_code": "hunter2",
    "passport_no": "hunter2",
    "tax_id": "hunter2",
    "password_hashes": ["hunter2"],
}


@pytest.mark.parametrize("key", SECRETS)
@pytest.mark.parametrize(
    "wrap",
    [
        lambda d: d,
        lambda d: [d],
        lambda d: ({"deep": [{"er": (d,)}]},),
        lambda d: {"args": [1, {"kwargs": d}]},
    ],
)
def test_secrets_are_hidden_at_every_depth(key: str, wrap: Any) -> None:
    given = wrap({key: SECRETS[key], "kept": "visible"})
    text = repr(given)
    hidden = redact(given)
    assert "hunter2" not in repr(hidden) and "123456789" not in repr(hidden)
    assert "visible" in repr(hidden) and HIDDEN in repr(hidden)
    assert repr(given) == text, "the argument was changed"
    assert type(hidden) is type(given)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://u:p@h/db", f"postgresql://u:{HIDDEN}@h/db"),
        ("at postgresql+psycopg2://u:p@ss@h:5432/db?x=1 now", f"at postgresql+psycopg2://u:{HIDDEN}@h:5432/db?x=1 now"),
        ("redis://:p@h", f"redis://:{HIDDEN}@h"),
        ("host=h password=p dbname=d", f"host=h password={HIDDEN} dbname=d"),
        ("{'api_key': 'p', 'n': 1}", f"{{'api_key': {HIDDEN}, 'n': 1}}"),
        ('{"db-password": "two words", "n": 1}', f'{{"db-password": {HIDDEN}, "n": 1}}'),
        ("https://h/x?token=p&a=1", f"https://h/x?token={HIDDEN}&a=1"),
        ("Authorization: Bearer abc.def.ghi", f"Authorization: {HIDDEN}"),
        ("sent Bearer abcdefghij", f"sent Bearer {HIDDEN}"),
        ("Key (email)=(ann@example.org) exists", f"Key (email)=({HIDDEN}) exists"),
    ],
)
def test_secrets_are_hidden_in_text(text: str, shown: str) -> None:
    assert redact(text) == shown
    assert redact(redact(text)) == shown


@pytest.mark.parametrize(
    "value",
    [
        "linear@1.0.0",
        "even_split@1.0.0",
        "postgresql://app_user@/skeldir?host=/run/x",
        "http://127.0.0.1:5000/console",
        {"email": 3333, "direct": 3334},
        {"channel": "email", "event_type": "email_click"},
        {"input_tokens": 812},
        {"password": None, "token": False},
        {"idempotency_key": "abc", "tick_key": "x", "script": "y", "tip": "z"},
        {
            "task_name": "a",
            "campaign_name": "b",
            "view_name": "c",
            "addr": "127.0.0.1",
            "hostname": "h",
            "zip": "a.zip",
        },
        "2025-06-01T00:00:00Z/2025-06-02T00:00:00Z",
        ("a", 1, None, UUID(int=5)),
    ],
)
def test_what_is_no_secret_stays(value: Any) -> None:
    assert redact(value) == value


@pytest.mark.parametrize("piece", ["token=", "a-", "x" * 50 + "@", "://u:", "password", "b.", "Bearer ", '"secret":"'])
def test_hostile_text_costs_no_more_than_kind_text(piece: str) -> None:
    text = (piece * 65536)[:65536]
    began = time.process_time()
    redact(text)
    assert time.process_time() - began < 2
