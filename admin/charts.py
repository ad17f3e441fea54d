"""Charts drawn on the server as SVG paths: they need no script, and take their colours from CSS classes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

# Units of the drawing; a page has thousands of marks, and whole numbers are short.
STEP, HEIGHT = 10, 120
MAX_BUCKETS = 120


@dataclass(frozen=True)
class Series:
    """One row of values: name, CSS class, a value per bucket (None: not measured), figure of the legend."""

    name: str
    css: str
    values: Sequence[float | None]
    total: str


@dataclass(frozen=True)
class Chart:
    """What the macro `chart` draws. `data` is what the script reads for the pointer and the arrow keys."""

    title: str
    unit: str
    series: Sequence[Series]
    paths: Sequence[tuple[str, str]]
    ticks: Sequence[str]
    times: Sequence[datetime]
    labels: Sequence[str]
    label_step: int

    height = HEIGHT

    @property
    def width(self) -> int:
        return STEP * max(len(self.times), 1)

    @property
    def data(self) -> dict[str, Any]:
        return {
            "times": ",".join(self.labels),
            "names": [series.name for series in self.series],
            "values": [list(series.values) for series in self.series],
        }

    @property
    def is_empty(self) -> bool:
        return not any(value for series in self.series for value in series.values)


def bars(title: str, unit: str, times: Sequence[datetime], series: Sequence[Series]) -> Chart:
    """Return stacked bars, one per bucket, the first series at the bottom."""
    totals = [sum(one.values[i] or 0 for one in series) for i in range(len(times))]
    top = nice(max(totals, default=0))
    base = [0.0] * len(times)
    paths = []
    for one in series:
        path = []
        for i, value in enumerate(one.values):
            if value:
                # A bar is a thick upright stroke.
                tall = value / top * HEIGHT
                path.append(f"M{i * STEP + STEP // 2} {HEIGHT - base[i] / top * HEIGHT:.4g}v-{tall:.3g}")
                base[i] += value
        paths.append((f"{one.css} bars", "".join(path)))
    return _chart(title, unit, times, series, paths, top)


def lines(
    title: str, unit: str, times: Sequence[datetime], series: Sequence[Series], target: float | None = None
) -> Chart:
    """Return one line per series, broken where nothing was measured; a lone value is a short dash.

    Args:
        target: drawn as a dashed line where it lies within the values, and told in the unit.
    """
    top = nice(max((value for one in series for value in one.values if value is not None), default=0))
    paths = []
    for one in series:
        path, drawing = [], False
        for i, value in enumerate(one.values):
            if value is None:
                drawing = False
                continue
            x, y = i * STEP + STEP // 2, HEIGHT - value / top * HEIGHT
            path.append(f"L{x} {y:.4g}" if drawing else f"M{x - 3} {y:.4g}H{x}")
            drawing = True
        paths.append((f"{one.css} line", "".join(path)))
    if target is not None:
        unit = f"{unit}, target {tick(target)}"
        if target <= top:
            paths.append(("target", f"M0 {HEIGHT - target / top * HEIGHT:.1f}H{STEP * len(times)}"))
    return _chart(title, unit, times, series, paths, top)


def spark(values: Sequence[int], width: int = 96, height: int = 24) -> dict[str, Any]:
    """Return small bars for a table cell: upright strokes, one per ten units."""
    top = max([*values, 1])
    path = "".join(
        f"M{i * STEP + STEP // 2} {height}v-{max(value / top * height, 0.8):.3g}" for i, value in enumerate(values)
    )
    label = f"{sum(values)} in all, at most {max(values, default=0)} in one bar"
    return {"width": width, "height": height, "path": path, "label": label, "span": STEP * max(len(values), 1)}


def nice(value: float) -> float:
    """Return the next of 1, 2, 2.5, 5 x 10^n at or above a value; 1 for zero."""
    if value <= 0:
        return 1
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 2.5, 5, 10) if step * power >= value)


def tick(value: float) -> str:
    """Return an axis figure: 2.5k instead of 2500."""
    for size, letter in ((1e6, "M"), (1e3, "k")):
        if value >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


def _chart(
    title: str,
    unit: str,
    times: Sequence[datetime],
    series: Sequence[Series],
    paths: Sequence[tuple[str, str]],
    top: float,
) -> Chart:
    assert len(times) <= MAX_BUCKETS, len(times)
    day_long = bool(times) and (times[-1] - times[0]).total_seconds() > 90_000
    form = "%b %d %H:%M" if day_long else "%H:%M"
    return Chart(
        title=title,
        unit=unit,
        series=series,
        paths=paths,
        ticks=[tick(top), tick(top / 2), "0"],
        times=times,
        labels=[at.strftime(form) for at in times],
        label_step=max(len(times) // 4, 1),
    )
