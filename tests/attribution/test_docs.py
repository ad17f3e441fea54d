"""The numbers and the picture of docs/attribution.md are those that the models give today, in Python and in a run."""

from __future__ import annotations

import re
from datetime import timedelta
from uuid import uuid4

from docs import make_attribution as made
from skeldir_huey.attribution.models import MODELS
from tests.attribution.runner import make_version, run_windows_together
from tests.cluster import Database
from tests.conftest import ROOT
from tests.factories import DAY, make_event, make_tenant


def test_page_and_picture_are_current() -> None:
    text = made.PAGE.read_text(encoding="utf-8")
    assert text == made.page(text), "run `python -m docs.make_attribution`"
    assert made.PICTURE.read_text(encoding="utf-8") == made.picture(), "run `python -m docs.make_attribution`"
    assert all(f"**{name}**" in text and f"| `{name}` |" in text for name in MODELS)


def test_each_model_has_its_paragraph() -> None:
    text = made.PAGE.read_text(encoding="utf-8")
    for name in MODELS:
        (paragraph,) = re.findall(rf"^\*\*{name}\*\*.*?(?:\n\n)", text, re.DOTALL | re.MULTILINE)
        for part in ("Formula", "*Example*", "*Misleads*"):
            assert part in paragraph, f"{name}: {part}"


def test_a_run_gives_the_numbers_of_the_page(database: Database) -> None:
    tenant_id, visitor = make_tenant(database), uuid4()
    for touch in made.JOURNEY:
        at = DAY + timedelta(microseconds=touch.at_us)
        make_event(database, tenant_id, kind="touch", visitor=visitor, channel=touch.channel, occurred_at=at)
    sold_at = DAY + timedelta(microseconds=made.JOURNEY[-1].at_us)
    make_event(database, tenant_id, visitor=visitor, cents=made.CENTS, occurred_at=sold_at)
    versions = [make_version(tenant_id, name, **made.PARAMS.get(name, {})) for name in MODELS]
    run_windows_together(tenant_id, versions, DAY, sold_at + timedelta(days=1))
    stored: dict[str, dict[str, int]] = {}
    for model, channel, cents in database.query(
        "select model_type, channel_code, allocated_revenue_cents from attribution_allocations"
    ):
        stored.setdefault(model, {})[channel] = cents
    assert stored == made.results()


def test_the_tests_that_the_page_names_are_there() -> None:
    named = re.findall(r"`(test_[a-z0-9_]+)`", made.PAGE.read_text(encoding="utf-8"))
    there = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    assert len(named) > 15
    assert [name for name in named if f"def {name}(" not in there] == []
