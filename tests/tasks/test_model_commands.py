"""The commands about models: tables for people, JSON and CSV for programs; and the tasks that train."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from uuid import UUID, uuid4

import pytest

from skeldir_huey import cli
from skeldir_huey.queue.executor import SkeldirHuey
from skeldir_huey.tasks import training
from tests.attribution.runner import make_version, run_windows_together
from tests.cluster import Database
from tests.factories import make_event, make_tenant

WINDOW = ["--start", "2025-06-01T00:00Z", "--end", "2025-06-02T00:00Z"]
OF = ["--tenant", "acme"]


@pytest.fixture
def tenant(database: Database, huey: SkeldirHuey) -> UUID:
    return make_tenant(database)


@pytest.fixture
def event(database: Database, tenant: UUID) -> UUID:
    visitor = uuid4()
    for minutes, channel in enumerate(("email", "email", "direct")):
        make_event(database, tenant, kind="touch", visitor=visitor, minutes=minutes, channel=channel)
    return make_event(database, tenant, visitor=visitor, minutes=9, cents=123_450, currency="KWD", order_id="A1")


Output = Callable[[], str]


@pytest.fixture
def out(capsys: pytest.CaptureFixture[str]) -> Output:
    return lambda: capsys.readouterr().out


def test_create_list_publish(tenant: UUID, out: Output) -> None:
    made = ["position_based@1.0.0", "--param", "preset=j", "--param", "lookback_s=3600"]
    assert cli.main(["models", "create", *OF, *made]) == 0
    assert '"first":20' in out()
    assert (
        cli.main(["models", "create", *OF, "house@1", "--type", "even_split", "--param", "channels=email,direct"]) == 0
    )
    assert cli.main(["models", "publish", *OF, "house@1"]) == 0
    out()
    assert cli.main(["models", "list", *OF, "--json"]) == 0
    first, position = json.loads(out())
    assert (first["published"], first["model_type"], first["params"]) == (
        True,
        "even_split",
        {"channels": ["direct", "email"]},
    )
    assert (position["published"], position["params"]["lookback_s"]) == (False, 3600)
    assert cli.main(["models", "list", *OF, "--csv"]) == 0
    assert [line["model_version"] for line in csv.DictReader(io.StringIO(out()))] == ["house@1", "position_based@1.0.0"]
    assert cli.main(["models", "list", *OF]) == 0
    assert "house@1               even_split      yes        " in out()


def test_compare_and_explain(database: Database, tenant: UUID, event: UUID, out: Output) -> None:
    versions = [make_version(tenant, "first_touch"), make_version(tenant, "linear", publish=True)]
    assert cli.main(["explain", *OF, str(event)]) == 1  # nothing stored yet
    assert "never computed under this version: ask for a run" in out()
    run_windows_together(tenant, versions)
    asked = ["compare", *OF, *WINDOW, "--a", "first_touch@1.0.0", "--b", "linear@1.0.0"]
    assert cli.main(asked) == 0
    said = out()
    assert "conversions: 1 by a, 1 by b, 1 by both, 1 of these split differently" in said
    assert "direct   KWD           0.00      0.33    0.000   41.150   41.150" in said
    assert cli.main([*asked, "--json"]) == 0
    assert json.loads(out())["conversions"][0]["channels"][0]["cents_b"] == 41_150
    assert cli.main([*asked, "--csv"]) == 0
    assert out().splitlines()[1] == "direct,KWD,0,0.3333333333,0,41150,41150"

    assert cli.main(["explain", *OF, str(event)]) == 0
    said = out()
    for part in ("order A1: 123.450 KWD", "linear@1.0.0", "33.3333%", "82.300", "the stored rows agree"):
        assert part in said
    assert cli.main(["explain", *OF, str(event), "--model", "first_touch@1.0.0", "--json"]) == 0
    found = json.loads(out())
    assert found["agrees"] is True and found["touches"][0]["credit"] == "1"
    assert found["run"]["status"] == "succeeded" and len(found["run"]["checksum"]) == 64
    assert cli.main(["explain", *OF, str(event), "--csv"]) == 0
    assert out().splitlines()[2].startswith("email,2/3,82300,82300,0,False,82300,0.6666666667,")


def test_training_as_command_and_as_job(
    database: Database, tenant: UUID, event: UUID, run_all: Callable[[], int], out: Output
) -> None:
    days = ["--train-from", "2025-06-01", "--train-to", "2025-06-30"]
    assert cli.main(["models", "create", *OF, "markov_path@1", *days, "--json", "--param", "order=2"]) == 0
    shares = json.loads(out())[0]["params"]["shares"]
    assert shares == {"direct": "0.500000000000000", "email": "0.500000000000000"}
    training.train_markov(
        tenant_id=tenant, name="markov_path", version="2", first_day="2025-06-01", last_day="2025-06-30"
    )
    assert run_all() == 1
    assert database.query("select model_version from attribution_models order by 1") == [
        ("markov_path@1",),
        ("markov_path@2",),
    ]


def test_channel_report(database: Database, tenant: UUID, event: UUID, out: Output) -> None:
    make_event(database, tenant, kind="touch", minutes=5, channel="organic")
    asked = ["models", "report", *OF, "markov_global", "--from", "2025-06-01", "--to", "2025-07-30", "--order", "2"]
    assert cli.main([*asked, "--json"]) == 0
    told = json.loads(out())
    assert (told["order"], told["conversion_count"], told["null_count"]) == (2, 1, 1)
    assert {row["channel"]: row["share"] for row in told["shares"]} == {
        "direct": "0.500000000000000", "email": "0.500000000000000", "organic": "0.000000000000000",
    }  # fmt: skip
    assert cli.main(asked) == 0
    said = out()
    assert "markov_global of order 2: 1 journeys converted, 1 did not; from and to hold 95 %" in said
    assert "email    0.5000" in said
    assert cli.main([*asked[:3], "acme", "shapley_set", *asked[5:-2], "--csv"]) == 0
    assert out().splitlines()[0] == "channel,share,low,high,removal_effect"
    assert database.value("select count(distinct report_id) from attribution_channel_reports") == 3, "each is kept"


def test_paths_are_counted_at_night_where_events_came(
    database: Database, tenant: UUID, event: UUID, run_all: Callable[[], int]
) -> None:
    training.count_dirty_paths()
    assert run_all() == 2
    assert database.query("select path, conversion_count, cents from attribution_path_counts") == [
        ("email>email>direct", 1, {"KWD": 123_450})
    ]
    training.count_dirty_paths()
    assert run_all() == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["models", "create", *OF, "magic@1"], "model_type: unknown model 'magic'"),
        (["models", "create", *OF, "linear"], "version: expected a version"),
        (["models", "create", *OF, "linear@1", "--param", "lookback_s=0"], "params.lookback_s: expected 60"),
        (
            ["models", "create", *OF, "time_decay@1", "--param", "half_life_s=-1"],
            "params.half_life_s: expected",
        ),
        (["models", "create", *OF, "even_split@1", "--param", "channels="], "params.channels: expected a list"),
        (["models", "create", *OF, "position_based@1", "--param", "preset=w"], "params.preset: expected one of u, j"),
        (["models", "create", *OF, "markov_path@1"], "params.order: expected a whole number from 1 to 3"),
        (["models", "create", *OF, "linear@1", "--param", "lookback_s"], "--param: expected NAME=VALUE"),
        (["models", "create", *OF, "linear@1", "--train-from", "2025-06-01"], "--train-from: only markov_path"),
        (["models", "report", *OF, "shapley_set", "--from", "June", "--to", "2025-06-30"], "--from: expected a day"),
        (["models", "report", *OF, "shapley_set", "--from", "2025-06-02", "--to", "2025-06-01"], "last_day: must not"),
        (
            ["models", "report", *OF, "markov_global", "--from", "2025-06-01", "--to", "2025-06-30", "--order", "4"],
            "--order: expected",
        ),
        (["models", "create", *OF, "markov_path@1", "--train-from", "June"], "--train-from: expected a day"),
        (["models", "create", *OF, "markov_path@1", "--train-from", "2025-06-01"], "--train-to: expected a day"),
        (["models", "publish", *OF, "linear@1"], "model_version: unknown version 'linear@1'"),
        (["models", "list", "--tenant", "acne"], "--tenant: no tenant 'acne'"),
        (["explain", *OF, "x"], "EVENT_ID: expected a uuid"),
        (["explain", *OF, str(UUID(int=1))], "--model: acme has published no version"),
        (["compare", *OF, *WINDOW, "--a", "a@1", "--b", "b@1"], "model_version: unknown version 'a@1'"),
        (["compare", *OF, *WINDOW, "--a", "a@1", "--b", "b@1", "--limit", "x"], "--limit: expected a whole number"),
    ],
)
def test_bad_input_is_exit_code_2(
    database: Database, tenant: UUID, capsys: pytest.CaptureFixture[str], arguments: list[str], said: str
) -> None:
    assert cli.main(arguments) == 2
    assert said in capsys.readouterr().err
    assert database.value("select count(*) from attribution_models") == 0


def test_nothing_to_train_on_is_exit_code_1(tenant: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    days = ["--train-from", "2025-06-01", "--train-to", "2025-06-30"]
    assert cli.main(["models", "create", *OF, "markov_path@1", *days]) == 1
    assert "no journey in these days" in capsys.readouterr().err
