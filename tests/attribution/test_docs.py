"""The numbers and the picture of docs/attribution.md are those that the models give today."""

from __future__ import annotations

from docs import make_attribution as made
from skeldir_huey.attribution.models import MODELS


def test_page_and_picture_are_current() -> None:
    text = made.PAGE.read_text(encoding="utf-8")
    assert text == made.page(text), "run `python -m docs.make_attribution`"
    assert made.PICTURE.read_text(encoding="utf-8") == made.picture(), "run `python -m docs.make_attribution`"
    assert all(f"**{name}**" in text and f"| `{name}` |" in text for name in MODELS)
