"""The import's options and files: what is wrong is named, and nothing is written."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from skeldir_huey.ingest.tenants import create_tenant
from tests.cluster import Database
from tests.ingest.importing import HEADER, events, refusals, run_import, write
from tests.ingest.sample import ARGUMENTS, MAP, make_sample
from tests.waiting import until

MONEY = "revenue_cents=100,currency=USD"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--map", "visitor=User_ID_Anon"], "--map: occurred_at is missing"),
        (["--map", "visitor"], "--map: expected name=value pairs"),
        (["--map", "visitor=a,visitor=b"], "--map: 'visitor' stands there twice"),
        (["--map", MAP + ",money=x", "--set", MONEY], "--map: unknown field 'money'"),
        (["--map", MAP.replace("Timestamp", "Time"), "--set", MONEY], "--map occurred_at: no column 'Time'"),
        (["--map", MAP], "--revenue: conversions need a value"),
        (["--map", MAP, "--set", "revenue_cents=100"], "--set: currency is missing"),
        (["--map", MAP, "--set", "revenue_cents=1.5,currency=USD"], "--set revenue_cents: expected a whole number"),
        (["--map", MAP, "--set", "revenue_cents=-1,currency=USD"], "--set revenue_cents: expected a whole number"),
        (["--map", MAP, "--set", "revenue_cents=1,currency=usd"], "--set currency: expected three capital letters"),
        (["--map", MAP, "--set", "price=1"], "--set: unknown field 'price'"),
        (["--map", MAP, "--set", MONEY, "--revenue", "Step_Order"], "--revenue: given together with"),
        (["--map", MAP, "--set", "currency=USD", "--revenue", "Amount"], "--revenue: no column 'Amount'"),
        (["--map", MAP, "--set", MONEY, "--channels", "Email=mail"], "--channels: Email=mail: no such channel"),
        (["--map", MAP, "--set", MONEY, "--channels", "Email"], "--channels: expected name=value pairs"),
        (["--map", MAP, "--set", MONEY, "--timezone", "Mars/Base"], "--timezone: no time zone 'Mars/Base'"),
        (["--map", MAP, "--set", MONEY, "--timezone", "../etc"], "--timezone: no time zone"),
        (["--map", MAP, "--set", MONEY, "--tenant", "acne"], "--tenant: no tenant 'acne'; there are: acme;"),
        (["--map", MAP, "--set", MONEY, "--tenant", "A B", "--create-tenant"], "tenant: expected lower case letters"),
    ],
)
def test_bad_options_name_the_field_and_write_nothing(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    create_tenant("acme")
    path = write(tmp_path, HEADER + "u1,2025-02-10 09:00,1,Email,1\n")
    assert run_import(path, *arguments) == 2
    assert said in capsys.readouterr().err
    assert events(database, "1") == [] and refusals(database) == []
    assert database.value("select count(*) from tenants") == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "FILE: cannot open"),
        (b"", "FILE: expected column names"),
        (b"\xff\xfeU\x00s\x00", "FILE: expected column names in UTF-8"),
        (b"a,a,b\n", "FILE: has columns of the same name: a"),
        (b"{]\n", "FILE: expected one JSON object per line"),
    ],
)
def test_bad_file_is_refused(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: bytes | None, said: str
) -> None:
    create_tenant("acme")
    path = tmp_path / "missing" if text is None else write(tmp_path, text, "events")
    assert run_import(path, *ARGUMENTS) == 2
    assert said in capsys.readouterr().err


def test_command_in_a_process_of_its_own(env: dict[str, str], tmp_path: Path) -> None:
    path = write(tmp_path, HEADER + "u1,2025-02-10 09:00,1,Email,1\n")
    command = [sys.executable, "-m", "skeldir_huey", "import", str(path), "--tenant", "acme", *ARGUMENTS]
    refused = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert refused.returncode == 2
    assert refused.stderr == "skeldir: --tenant: no tenant 'acme'; there are: none yet; --create-tenant makes it\n"
    done = subprocess.run([*command, "--create-tenant"], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "added 1 touches and 1 conversions" in done.stdout


def test_progress_is_shown_at_a_terminal(env: dict[str, str], tmp_path: Path) -> None:
    path = make_sample(tmp_path / "long.csv", 5_000)
    command = [sys.executable, "-m", "skeldir_huey", "import", str(path), "--tenant", "acme", "--create-tenant"]
    ours, terminal = os.openpty()
    with subprocess.Popen([*command, *ARGUMENTS], env=env, stdout=subprocess.DEVNULL, stderr=terminal) as process:
        os.close(terminal)
        shown = b""
        with contextlib.suppress(OSError):  # how Linux says that the other end of a terminal is closed
            while part := os.read(ours, 4096):
                shown += part
    os.close(ours)
    assert process.returncode == 0
    assert b"%" in shown and b"B/s" in shown


def test_ctrl_c_keeps_whole_batches_and_says_how_to_go_on(
    database: Database, env: dict[str, str], tmp_path: Path
) -> None:
    path = write(tmp_path, HEADER + "".join(f"u{n},2025-02-10 09:00,1,Email,0\n" for n in range(40_000)))
    command = [sys.executable, "-m", "skeldir_huey", "import", str(path), "--tenant", "acme", *ARGUMENTS]
    count = "select count(*) from attribution_events"
    create_tenant("acme")
    with subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        until(lambda: database.value(count) > 0, 60)
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    assert told == "skeldir: stopped; what was added stays. Call it again: it goes on, and adds nothing twice\n"
    kept = database.value(count)
    assert 0 < kept < 40_000 and kept % 2_000 == 0
    assert subprocess.run(command, env=env, capture_output=True, check=False, timeout=120).returncode == 0
    assert database.value(count) == 40_000
