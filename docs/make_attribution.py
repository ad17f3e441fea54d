"""Write the numbers and the picture of docs/attribution.md from the models themselves.

    python -m docs.make_attribution

Between the marks of the page stands what this prints; a test fails when the two differ.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from skeldir_huey.attribution.models import MODELS, model_of
from skeldir_huey.attribution.models.touches import Touch
from skeldir_huey.money import largest_remainder

HERE = Path(__file__).parent
PAGE, PICTURE = HERE / "attribution.md", HERE / "img" / "attribution-models.svg"
MARKS = re.compile(r"(<!-- begin numbers -->\n).*?(<!-- end numbers -->)", re.DOTALL)

DAY = 86_400 * 1_000_000
JOURNEY = [
    Touch("organic", 0),
    Touch("email", 3 * DAY),
    Touch("facebook_paid", 9 * DAY),
    Touch("email", 13 * DAY),
    Touch("direct", 14 * DAY),
]
CENTS = 10_000
CHANNELS = ["direct", "email", "facebook_paid", "organic"]
COLOURS = {"direct": "#6b7280", "email": "#2563eb", "facebook_paid": "#d97706", "organic": "#059669"}
PARAMS: dict[str, dict[str, Any]] = {
    "even_split": {"channels": CHANNELS},
    "markov_path": {
        "order": 1,
        "shares": {"direct": "0.15", "email": "0.40", "facebook_paid": "0.25", "organic": "0.20"},
    },
}


def results() -> dict[str, dict[str, int]]:
    """Return model -> channel -> cents for the journey of the page."""
    found = {}
    for name in MODELS:
        model = model_of(name)
        credit = model.credits(JOURNEY, model.check(PARAMS.get(name, {}), CHANNELS))
        found[name] = largest_remainder(CENTS, credit)
    return found


def table() -> str:
    """Return the numbers as a Markdown table."""
    lines = ["| model | " + " | ".join(CHANNELS) + " |", "|---|" + "---:|" * len(CHANNELS)]
    for name, cents in results().items():
        lines.append(f"| `{name}` | " + " | ".join(f"{cents.get(c, 0) / 100:.2f}" for c in CHANNELS) + " |")
    return "\n".join(lines) + "\n"


def picture() -> str:
    """Return one bar per model, in the colours of its channels."""
    width, bar, left = 760, 26, 150
    found = results()
    parts = []
    for row, (name, cents) in enumerate(found.items()):
        x, y = float(left), 40 + row * (bar + 8)
        parts.append(f'<text x="{left - 8}" y="{y + 18}" text-anchor="end">{name}</text>')
        for channel in CHANNELS:
            part = cents.get(channel, 0) / CENTS * (width - left - 20)
            if part:
                parts.append(f'<rect x="{x:.1f}" y="{y}" width="{part:.1f}" height="{bar}" fill="{COLOURS[channel]}"/>')
                if part > 40:
                    text = f'<text x="{x + part / 2:.1f}" y="{y + 18}" text-anchor="middle" fill="#fff">'
                    parts.append(f"{text}{cents[channel] / 100:.2f}</text>")
            x += part
    for number, channel in enumerate(CHANNELS):
        x = left + number * 140
        parts.append(f'<rect x="{x}" y="10" width="14" height="14" fill="{COLOURS[channel]}"/>')
        parts.append(f'<text x="{x + 20}" y="22">{channel}</text>')
    height = 48 + len(found) * (bar + 8)
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
    head += ' font-family="sans-serif" font-size="13"'
    title = "A sale of 100.00, split by each model"
    return f'{head} role="img" aria-label="{title}">\n<title>{title}</title>\n' + "\n".join(parts) + "\n</svg>\n"


def page(text: str) -> str:
    """Return the page with today's numbers in it."""
    return MARKS.sub(lambda marks: marks[1] + table() + marks[2], text)


if __name__ == "__main__":
    PICTURE.write_text(picture(), encoding="utf-8")
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
