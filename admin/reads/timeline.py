"""The time line of a sale: where its touches stand, drawn on the server, and what each of them earned."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from sqlalchemy.engine import Row

from skeldir_huey.attribution.explain import Explanation

WIDTH, HEIGHT = 600, 56
MARGIN = 14


@dataclass(frozen=True)
class Mark:
    """A touch: its number, its place in the drawing, weight and credit under the version; None: it does not count."""

    number: int
    touch: Row
    x: float
    radius: float
    weight: Fraction | None
    credit: Fraction | None

    @property
    def counts(self) -> bool:
        return self.credit is not None


@dataclass(frozen=True)
class Timeline:
    """Marks in order of time; the sale itself stands at the right end."""

    marks: Sequence[Mark]
    span_s: float

    width = WIDTH
    height = HEIGHT
    middle = HEIGHT / 2
    left = MARGIN
    right = WIDTH - MARGIN


def draw(sale: Row, touches: Sequence[Row], explanation: Explanation | None) -> Timeline:
    """Return the time line of a sale and the touches of its journey, oldest first.

    Args:
        explanation: of the version whose weights are shown; None shows the touches alone.
    """
    counted: Mapping[int, tuple[Fraction, Fraction]] = {
        touch.ingest_seq: (touch.weight, touch.credit) for touch in (explanation.touches if explanation else ())
    }
    span_s = (sale.occurred_at - touches[0].occurred_at).total_seconds() if touches else 0.0
    most = max((credit for _, credit in counted.values()), default=Fraction(0))
    marks = []
    for number, touch in enumerate(touches, 1):
        weight, credit = counted.get(touch.ingest_seq, (None, None))
        part = (touch.occurred_at - touches[0].occurred_at).total_seconds() / span_s if span_s else 0.0
        radius = 4.0 + 7.0 * float(credit / most) ** 0.5 if credit and most and credit > 0 else 4.0
        # The last touch may be at the instant of the sale: it must not lie under it.
        marks.append(Mark(number, touch, MARGIN + part * (WIDTH - 4 * MARGIN), radius, weight, credit))
    return Timeline(marks, span_s)
