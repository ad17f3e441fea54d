"""The import: what becomes of each row, that a second import adds nothing, and that nothing is lost."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid5

import pytest

from skeldir_huey.ingest.tenants import create_tenant
from tests.attribution.reference_linear import cents_per_channel
from tests.attribution.runner import make_version, run_window
from tests.cluster import Database
from tests.ingest.importing import HEADER, events, refusals, run_import, write
from tests.ingest.sample import ARGUMENTS, LABELS, MAP, count_flags, sample


def test_sample_is_allocated_like_the_independent_script_says(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = sample(tmp_path)
    row_count, flag_count = count_flags(path)
    if "shared" in path.parts:
        assert (row_count, flag_count) == (10_000, 4_944)
    assert run_import(path, *ARGUMENTS, "--create-tenant") == 0
    said = capsys.readouterr()
    assert (
        f"added {row_count:,} touches and {flag_count:,} conversions; 0 events were there already; 0 rows" in said.out
    )
    assert said.err == "", "no progress bar where nobody looks"

    tenant_id = UUID(str(database.value("select id from tenants")))
    version = make_version(tenant_id, "linear", publish=True)
    ((start, end),) = database.query("select min(range_start), max(range_end) from attribution_dirty_ranges")
    run = run_window(tenant_id, version, start, end)
    assert run.conversion_count == flag_count
    assert database.value("select count(*) from attribution_dirty_ranges") == 0
    found = database.query("select channel_code, sum(allocated_revenue_cents)::bigint from attribution_allocations"
                           " group by 1 order by 1")  # fmt: skip
    assert dict(found) == cents_per_channel(str(path), LABELS, 100)
    assert sum(cents for _, cents in found) == flag_count * 100

    assert run_import(path, *ARGUMENTS) == 0
    assert f"added 0 touches and 0 conversions; {row_count + flag_count:,} events were there" in capsys.readouterr().out
    assert database.value("select count(*) from attribution_events") == row_count + flag_count
    assert database.value("select count(*) from attribution_dirty_ranges") == 0


def test_flagged_row_is_a_touch_then_a_conversion(database: Database, tmp_path: Path) -> None:
    tenant_id = create_tenant("acme")
    rows = "u1,2025-02-10 09:00:00,1,Email,0\nu1,2025-02-10T10:00:00+01:00,2,Search Ads,true\n"
    assert run_import(write(tmp_path, HEADER + rows), *ARGUMENTS) == 0
    journey = str(uuid5(tenant_id, "u1"))
    assert events(database, "event_type, kind, channel, revenue_cents, currency, session_id::text, visitor_id") == [
        ("landing", "touch", "email", None, None, journey, None),
        ("landing", "touch", "google_search_paid", None, None, journey, None),
        ("purchase", "conversion", "google_search_paid", 100, "USD", journey, None),
    ]
    assert len({row[0] for row in events(database, "occurred_at")}) == 1
    assert len({row[0] for row in events(database, "correlation_id")}) == 1


def test_visitor_id_is_kept_only_where_the_policy_allows_it(database: Database, tmp_path: Path) -> None:
    own = "6f1c9a52-4b7e-4f0e-9a51-8d1c2b3a4f5e"
    path = write(tmp_path, HEADER + f"{own},2025-02-10 09:00,1,Email,0\nu1,2025-02-10 09:00,1,Email,0\n")
    consented = create_tenant("consented", identity_policy="consented")
    run_import(path, *ARGUMENTS, tenant="consented")
    assert events(database, "visitor_id::text, journey_key::text") == [
        (own, own),
        (str(uuid5(consented, "u1")), str(uuid5(consented, "u1"))),
    ]
    other = create_tenant("acme")
    run_import(path, *ARGUMENTS)
    assert events(database, "visitor_id::text, journey_key::text")[2:] == [(None, own), (None, str(uuid5(other, "u1")))]


def test_equal_rows_are_different_events_and_stay_so(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_tenant("acme")
    row = "u1,2025-02-10 09:00:00,1,Email,1\n"
    run_import(write(tmp_path, HEADER + row * 3), *ARGUMENTS)
    assert len(events(database, "1")) == 6
    run_import(write(tmp_path, HEADER + row * 4), *ARGUMENTS)
    assert len(events(database, "1")) == 8
    assert "added 1 touches and 1 conversions; 6 events were there already" in capsys.readouterr().out


def test_times_without_a_zone_have_that_of_the_option_else_of_the_tenant(database: Database, tmp_path: Path) -> None:
    create_tenant("acme", timezone="America/New_York")
    path = write(tmp_path, HEADER + "u1,2025-07-01 12:00:00,1,Email,0\n")
    arguments = ["--map", MAP, "--set", "revenue_cents=1,currency=USD"]
    run_import(path, *arguments, "--timezone", "Europe/Berlin")
    assert database.value("select occurred_at = '2025-07-01T10:00Z' from attribution_events")
    path.write_text(path.read_text().replace("u1", "u2"))
    run_import(path, *arguments)
    assert database.value("select count(*) from attribution_events where occurred_at = '2025-07-01T16:00Z'") == 1


def test_unmapped_channels_become_unknown_counted_and_listed(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_tenant("acme")
    labels = ["Email", "Print", "Print", "email", "", "direct", '"Radio, local"']
    rows = "".join(f"u{n},2025-02-10 09:00,1,{label},0\n" for n, label in enumerate(labels))
    run_import(write(tmp_path, HEADER + rows), *ARGUMENTS)
    assert [row[0] for row in events(database, "channel")] == (
        ["email", "unknown", "unknown", "email", "unknown", "direct", "unknown"]
    )
    assert "became unknown, 4 rows: Print (2), (empty) (1), Radio, local (1)" in capsys.readouterr().out


def test_bad_rows_are_kept_with_line_field_and_reason_and_redacted(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_tenant("acme")
    path = write(
        tmp_path,
        b"id,at,flag,amount,email\n"
        b"u1,2025-02-10 09:00,1,12.50,a@example.com\n"
        b",2025-02-10 09:00,0,,b@example.com\n"  # 3
        b"u2,yesterday,0,,c@example.com\n"
        b'"u3\nlong",2025-02-10 09:00,maybe,,\n'  # 5, over two lines
        b"u4,2025-02-10 09:00,1,1.005,\n"  # 7
        b"u5,2025-02-10 09:00,1,-1,\n"
        b"u6,2025-02-10 09:00,1\n"
        b"\n"
        b"u\xff,2025-02-10 09:00,0,,\n"  # 11
        b"u7,2025-02-10 09:00,0,,\x00\n"
        b'u8,"2025-02-10" 09:00,0,,\n'
        b"u\x009,2025-02-10 09:00,0,,\n"  # 14
        b"u10,0001-01-01T00:00:00+14:00,0,,\n"
        b"u11,2025-02-10 09:00,,,\n",
    )
    arguments = ["--map", "visitor=id,occurred_at=at,conversion=flag", "--revenue", "amount", "--set", "currency=EUR"]
    assert run_import(path, *arguments) == 0
    assert events(database, "kind, revenue_cents, currency") == [
        ("touch", None, None), ("conversion", 1250, "EUR"), ("touch", None, None), ("touch", None, None),
    ]  # fmt: skip
    found = refusals(database)
    assert [row[:2] for row in found] == [
        (3, "id"), (4, "at"), (5, "flag"), (7, "amount"), (8, "amount"), (9, None), (11, None), (13, None), (14, "id"),
        (15, "at"),
    ]  # fmt: skip
    reasons = [str(row[2]) for row in found]
    assert reasons[0] == "is empty"
    assert reasons[3] == "'1.005' has 3 decimal digits, EUR has 2"
    assert reasons[5] == "has 3 values, the file has 5 columns"
    assert reasons[6] == "is not UTF-8"
    payload = found[0][3]
    assert isinstance(payload, dict) and payload["at"] == "2025-02-10 09:00"
    assert "example.com" not in json.dumps([row[3] for row in found])
    said = capsys.readouterr().out
    assert "13 rows; added 3 touches and 1 conversions; 0 events were there already; 10 rows refused" in said
    assert "10 of them new; the first: line 3: id: is empty" in said

    assert run_import(path, *arguments) == 0
    assert len(refusals(database)) == 10 and len(events(database, "1")) == 4
    assert "0 of them new" in capsys.readouterr().out


def test_json_lines(database: Database, tmp_path: Path) -> None:
    create_tenant("acme")
    lines = [
        '{"who": 17, "when": "2025-02-10T09:00:00Z", "where": "email", "sold": true, "amount": 0.10, "order": "A-1"}',
        '{"who": "u2", "when": "2025-02-10T09:00:00Z"}',
        "not json",
        "[1, 2]",
        '{"who": ["u3"], "when": "2025-02-10T09:00:00Z"}',
        '{"who": "u4", "when": "2025-02-10T09:00:00Z", "sold": true, "amount": NaN}',
        '{"who": "u5\\u0000", "when": "2025-02-10T09:00:00Z"}',
        '{"who": "u6", "when": "2025-02-10T09:00:00Z", "where": "\\ud800"}',
        "[" * 100_000,
        "",
        '{"who": "u7", "when": "2025-02-10T09:00:00Z", "sold": 1, "amount": "3", "money": "JPY"}',
    ]
    path = write(tmp_path, "\n".join(lines), "events.jsonl")
    code = run_import(
        path, "--map", "visitor=who,occurred_at=when,channel=where,conversion=sold,order_id=order,currency=money",
        "--revenue", "amount", "--set", "currency=KWD",
    )  # fmt: skip
    assert code == 0
    assert events(database, "kind, channel, revenue_cents, currency, order_id") == [
        ("touch", "email", None, None, None),
        ("conversion", "email", 100, "KWD", "A-1"),
        ("touch", "unknown", None, None, None),
        ("touch", "unknown", None, None, None),
        ("conversion", "unknown", 3, "JPY", None),
    ]
    assert [row[:2] for row in refusals(database)] == [
        (3, None), (4, None), (5, "who"), (6, None), (7, "who"), (8, "where"), (9, None)
    ]  # fmt: skip


def test_line_without_end_is_refused_in_flat_memory(database: Database, tmp_path: Path) -> None:
    create_tenant("acme")
    path = write(tmp_path, HEADER + "u1," + "x" * 3_000_000 + "\nu2,2025-02-10 09:00,1,Email,0\n")
    assert run_import(path, *ARGUMENTS) == 0
    assert [row[0] for row in refusals(database)] == [2]
    assert len(events(database, "1")) == 1
    unclosed = write(tmp_path, HEADER + 'u3,"' + "2025\n" * 50_000 + "u4,2025-02-10 09:00,1,Email,0\n", "two.csv")
    assert run_import(unclosed, *ARGUMENTS) == 0
    assert len(events(database, "1")) == 2
    assert database.value("select max(octet_length(payload::text)) from dead_events") < 10_000


def test_dirty_ranges_are_merged_and_reach_as_far_as_the_longest_lookback(database: Database, tmp_path: Path) -> None:
    tenant_id = create_tenant("acme")
    path = write(
        tmp_path,
        HEADER
        + "u1,2025-02-10 09:00:00,1,Email,0\nu2,2025-02-20 09:00:00,1,Email,0\nu3,2025-06-01 00:00:00,1,Email,0\n",
    )
    run_import(path, *ARGUMENTS)
    spans = "select range_start::text, (range_end - range_start) from attribution_dirty_ranges order by 1"
    microsecond = timedelta(microseconds=1)
    assert database.query(spans) == [
        ("2025-02-10 09:00:00+00", timedelta(days=40) + microsecond),
        ("2025-06-01 00:00:00+00", timedelta(days=30) + microsecond),
    ]
    make_version(tenant_id, "linear", lookback_s=60 * 86_400)
    run_import(write(tmp_path, HEADER + "u4,2025-09-01 00:00:00,1,Email,1\n"), *ARGUMENTS)
    assert database.query(spans)[2:] == [("2025-09-01 00:00:00+00", timedelta(days=60) + microsecond)]


def test_kinds_come_from_the_tenants_table(
    database: Database, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    create_tenant("acme")
    database.query("update event_kinds set needs_channel = true where event_type = 'landing'")
    path = write(tmp_path, HEADER + "u1,2025-02-10 09:00,1,Print,0\nu1,2025-02-10 09:00,1,Email,0\n")
    run_import(path, *ARGUMENTS)
    assert events(database, "kind") == [("other",), ("touch",)]
    database.query("update event_kinds set kind = 'other' where event_type = 'purchase'")
    path.write_text(path.read_text().replace("u1", "u2"))
    assert run_import(path, *ARGUMENTS) == 2
    assert "--tenant: event type 'purchase' is no conversion" in capsys.readouterr().err
    assert len(events(database, "1")) == 2
