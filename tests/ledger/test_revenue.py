"""Money per channel, converted at the rate of each event's day: to the cent, from rates that are stored and stay."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg2
import pytest

from skeldir_huey import cli
from skeldir_huey.money import digits_of
from tests.attribution.runner import make_version, run_window
from tests.cluster import Database
from tests.factories import DAY, make_event, make_tenant
from tests.ledger.test_retry import ask, records

WINDOW = ["--tenant", "acme", "--from", "2025-06-01", "--to", "2025-06-11"]
Output = Callable[[], str]


@pytest.fixture
def tenant(database: Database, huey: Any) -> UUID:
    return make_tenant(database)


@pytest.fixture
def out(capsys: pytest.CaptureFixture[str]) -> Output:
    return lambda: capsys.readouterr().out


def rates(folder: Path, *lines: str, options: tuple[str, ...] = ("--base", "EUR")) -> int:
    path = folder / "rates.csv"
    path.write_text("day,currency,rate\n" + "".join(f"{line}\n" for line in lines))
    return cli.main(["import-rates", str(path), "--tenant", "acme", *options])


def sell(database: Database, tenant: UUID, day: int, cents: int, currency: str, *channels: str) -> UUID:
    visitor = uuid4()
    for minute, channel in enumerate(channels):
        minutes = day * 1440 + minute
        make_event(database, tenant, kind="touch", visitor=visitor, minutes=minutes, channel=channel)
    return make_event(database, tenant, visitor=visitor, minutes=day * 1440 + 60, cents=cents, currency=currency)


def compute(tenant: UUID) -> None:
    run_window(tenant, make_version(tenant, "linear", publish=True), DAY, DAY + timedelta(days=40))


def test_each_day_has_its_own_rate_and_lines_add_up(
    database: Database, tenant: UUID, tmp_path: Path, out: Output
) -> None:
    sales = [
        sell(database, tenant, 0, 1_001, "USD", "email", "direct"),
        sell(database, tenant, 1, 1_001, "USD", "email"),
    ]
    sell(database, tenant, 1, 1_690, "JPY", "email")
    sell(database, tenant, 2, 500, "EUR", "direct")
    sell(database, tenant, 5, 7_777, "KWD", "organic")  # no rate of that day: the newest before it
    make_event(database, tenant, kind="adjustment", minutes=2 * 1440, cents=-333, parent_event_id=str(sales[0]))
    compute(tenant)
    stored = {("USD", 0): "1.25", ("USD", 1): "1.10", ("USD", 2): "1.12", ("JPY", 1): "160.95", ("KWD", 3): "0.351"}
    lines = [f"{DAY + timedelta(days=day):%Y-%m-%d},{currency},{rate}" for (currency, day), rate in stored.items()]
    assert rates(tmp_path, *lines) == 0
    out()
    assert cli.main(["revenue", *WINDOW, "--in", "EUR", "--json"]) == 0
    told = json.loads(out())
    expected: dict[str, int] = {}
    for line in told["days"]:
        day, currency = (int(line["day"][-2:]) - 1), line["currency"]
        key = (currency, 3 if currency == "KWD" else day)
        rate = Decimal(stored.get(key, "1"))
        digits = 2 - digits_of(currency)
        exact = (Decimal(line["cents"]) / rate).scaleb(digits)
        assert line["converted_cents"] == int(exact.quantize(Decimal(1), ROUND_HALF_UP)), line
        assert Decimal(line["rate"]) == (1 / rate).quantize(Decimal("1e-12"))
        assert line["rate_day"] == ("2025-06-04" if currency == "KWD" else line["day"])
        channel = line["channel_code"]
        expected[channel] = expected.get(channel, 0) + line["converted_cents"]
    assert {line["channel_code"]: line["cents"] for line in told["channels"]} == expected
    assert len(told["days"]) == 8 and {line["currency"] for line in told["channels"]} == {"EUR"}
    assert [line["cents"] for line in told["days"] if line["cents"] < 0] == [-167, -166], "refunds at their own day's"

    assert cli.main(["revenue", *WINDOW, "--in", "EUR", "--days"]) == 0
    shown = out()
    assert f"{Decimal(sum(expected.values())) / 100:,.2f} EUR, converted day by day" in shown
    assert "  0.8             2025-06-01" in shown
    assert cli.main(["revenue", *WINDOW, "--csv"]) == 0
    own = {(row["currency"], row["channel_code"]): int(row["cents"]) for row in csv.DictReader(io.StringIO(out()))}
    assert own == {("EUR", "direct"): 500, ("JPY", "email"): 1_690, ("KWD", "organic"): 7_777,
                   ("USD", "direct"): 334, ("USD", "email"): 1_335}  # fmt: skip


def test_between_two_currencies_that_are_not_the_base(
    database: Database, tenant: UUID, tmp_path: Path, out: Output
) -> None:
    sell(database, tenant, 0, 10_000, "USD", "email")
    compute(tenant)
    rates(tmp_path, "2025-06-01,USD,1.25", "2025-05-31,GBP,0.8")
    out()
    assert cli.main(["revenue", *WINDOW, "--in", "GBP", "--json"]) == 0
    (line,) = json.loads(out())["days"]
    assert (line["converted_cents"], line["rate"], line["rate_day"]) == (6_400, "0.640000000000", "2025-05-31")


@pytest.mark.parametrize(("rate_day", "exit_code"), [("2025-05-25", 0), ("2025-05-24", 1), ("2025-06-02", 1)])
def test_a_rate_counts_for_seven_days_and_never_backwards(
    database: Database, tenant: UUID, tmp_path: Path, capsys: pytest.CaptureFixture[str], rate_day: str, exit_code: int
) -> None:
    sell(database, tenant, 0, 10_000, "USD", "email")
    compute(tenant)
    rates(tmp_path, f"{rate_day},USD,1.25")
    assert cli.main(["revenue", *WINDOW, "--in", "EUR"]) == exit_code
    if exit_code:
        said = capsys.readouterr()
        assert "no rate of USD on 2025-06-01, nor of the 7 days before: add it with" in said.err
        assert "EUR, converted" not in said.out, "no total that leaves money out"


def test_rates_are_added_once_and_a_correction_stands_beside(
    database: Database, tenant: UUID, tmp_path: Path, out: Output
) -> None:
    line = "2025-06-01,USD,1.25"
    assert rates(tmp_path, line, line) == 0
    assert "2 rows; added 1 rates; 1 were there already; 0 refused" in out()
    assert rates(tmp_path, "2025-06-01,USD,1.26") == 0
    assert [row[:2] for row in records(database)] == [("pending", "rate")]
    assert "USD is 1.25 on 2025-06-01 already; --correct puts another rate beside it" in records(database)[0][2]
    assert rates(tmp_path, "2025-06-01,USD,1.26", options=("--base", "EUR", "--correct")) == 0
    stored = "select rate from exchange_rates order by rate_seq"
    assert database.query(stored) == [(Decimal("1.25"),), (Decimal("1.26"),)]
    sell(database, tenant, 0, 12_600, "USD", "email")
    compute(tenant)
    out()
    assert cli.main(["revenue", *WINDOW, "--in", "EUR", "--json"]) == 0
    assert json.loads(out())["channels"][0]["cents"] == 10_000
    for change in ("update exchange_rates set rate = 2", "delete from exchange_rates", "truncate exchange_rates"):
        with pytest.raises(psycopg2.Error, match="append-only"):
            database.query(change)


@pytest.mark.parametrize(
    ("line", "field"),
    [
        ("2025-06-31,USD,1.1", "day"),
        ("1 June,USD,1.1", "day"),
        ("2025-06-01,ABC,1.1", "currency"),
        ("2025-06-01,EUR,1.1", "currency"),
        ("2025-06-01,USD,0", "rate"),
        ("2025-06-01,USD,-1.1", "rate"),
        ("2025-06-01,USD,1.1e1", "rate"),
        ('2025-06-01,USD,"1,1"', "rate"),
        ("2025-06-01,USD,1.1234567890123", "rate"),
        ("2025-06-01,USD,", "rate"),
    ],
)
def test_bad_rate_is_kept_with_its_field(
    database: Database, tenant: UUID, tmp_path: Path, line: str, field: str
) -> None:
    assert rates(tmp_path, line) == 0
    assert [row[:2] for row in records(database)] == [("pending", field)]
    assert database.value("select count(*) from exchange_rates") == 0


def test_another_base_is_refused_and_a_corrected_record_is_added(
    database: Database, tenant: UUID, tmp_path: Path, run_all: Callable[[], int], out: Output
) -> None:
    rates(tmp_path, "2025-06-01,USD,1.25")
    rates(tmp_path, "2025-06-02,GBP,0.8", options=("--base", "USD"))
    assert records(database) == [("pending", "base", "the rates of this tenant are per EUR, not USD")]
    database.query('update dead_events set payload = payload || \'{"base": "EUR"}\'')
    ask(database, tenant, line=2)
    run_all()
    assert [row[0] for row in records(database)] == ["resolved"]
    assert database.query("select currency, rate from exchange_rates order by rate_seq")[1] == ("GBP", Decimal("0.8"))
    out()
    assert rates(tmp_path, "2025-06-02,GBP,0.8", options=("--base", "EUR", "--json")) == 0
    assert json.loads(out())["there_count"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--in", "euro"], "--in: expected three capital letters"),
        (["--in", "ABC"], "--in: unknown currency"),
        (["--model", "linear@9"], "model_version: unknown version"),
        ([], "--model: acme has published no version"),
    ],
)
def test_bad_report_names_its_option(
    tenant: UUID, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.main(["revenue", *WINDOW, *arguments]) == 2
    assert said in capsys.readouterr().err


def test_window_that_ends_before_it_begins(tenant: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["revenue", "--tenant", "acme", "--from", "2025-06-02", "--to", "2025-06-01"]) == 2
    assert "--to: must be after --from" in capsys.readouterr().err
