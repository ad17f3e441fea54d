"""Overview: what needs you now, then the figures behind it. Every number is measured; a dash where it is not."""

from __future__ import annotations

from typing import Any

from flask_admin import expose

from admin import charts, params, scope
from admin.attention import WAITING_TOO_LONG, Figures, needs_you_now
from admin.panels import Panels
from admin.reads import errors, minutes
from admin.reads import overview as reads
from admin.reads.ledger import ledger, total
from admin.show import last_word, number, seconds
from admin.views.base import ConsoleView
from skeldir_huey.config import settings
from skeldir_huey.reports.status import read_status

BY = {"queue": "by queue", "tenant": "by tenant", "task": "by task"}
COLOURS = ("c1", "c2", "c3", "c4", "c5", "c-mute")
CHARTS = ("throughput", "failures", "run-times", "waits")
ERRORS_SHOWN = 5


class OverviewView(ConsoleView):
    """The first page."""

    @expose("/")
    def index(self) -> str:
        span = reads.SPANS[params.choice("range", reads.SPANS, "24h")]
        by = params.choice("by", BY, "queue")
        data = params.choice("data", CHARTS, "")
        is_all = scope.current().tenant_id is None
        with scope.reading() as connection:
            panels = Panels(connection)
            service = panels.read(reads.service)
            now = service.now if service else reads.now(connection)
            found = Figures(
                now=now,
                frozen_after_s=settings().frozen_after_s,
                lanes=panels.read(reads.lanes),
                letters=panels.read(errors.waiting, ERRORS_SHOWN),
                consumers=service.consumers if service else None,
                ledger=panels.read(ledger),
                jumps=panels.read(minutes.jumps, now),
                views=panels.read(read_status),
                trouble=panels.read(reads.trouble),
            )
            ended = panels.read(minutes.minutes, span, now, by)
        alive = None
        if found.consumers is not None:
            limit_s = found.frozen_after_s
            alive = [one for one in found.consumers if (now - one.heartbeat_at).total_seconds() <= limit_s]
        return self.render(
            "console/overview.html",
            now=now,
            span=span,
            spans=reads.SPANS.values(),
            by=by,
            data=data,
            by_words=BY,
            is_all=is_all,
            lanes=found.lanes,
            now_in=reads.totals(found.lanes) if found.lanes is not None else None,
            drained={lane for one in alive for lane in one.lanes} if alive is not None else None,
            ended=ended,
            per_minute=ended.total.counts["done"] / (span.length.total_seconds() / 60) if ended else None,
            charts=_charts(ended, by, span) if ended else None,
            by_lane=ended.lanes if ended else None,
            by_tenant=ended.tenants if ended else None,
            spark=charts.spark,
            letters=found.letters,
            runs=found.trouble.runs if found.trouble else None,
            consumers=found.consumers,
            alive=alive,
            no_worker_since=reads.silence_s(found.consumers, now, found.frozen_after_s),
            frozen_after_s=found.frozen_after_s,
            views=found.views,
            ledger=found.ledger,
            ledger_sum=total(found.ledger) if found.ledger is not None else None,
            needs=needs_you_now(found),
        )


def _charts(ended: minutes.Minutes, by: str, span: reads.Span) -> dict[str, charts.Chart]:
    per = f"per {seconds(span.step.total_seconds())}"
    names = {key: _name(key, by) for key in ended.by_key}
    colours = dict(zip(ended.by_key, COLOURS, strict=False))

    def stacked(title: str, kind: str, unit: str) -> charts.Chart:
        series = [
            charts.Series(names[key], colours[key], ended.series(kind, key), number(sums.counts[kind]))
            for key, sums in ended.by_key.items()
        ]
        return charts.bars(title, f"{unit} {per}", ended.times, series)

    return {
        "throughput": stacked(f"Throughput {BY[by]}", "done", "jobs done"),
        "failures": stacked(f"Failures {BY[by]}", "dead", "jobs dead"),
        "run-times": charts.lines(
            "Run time",
            "seconds",
            ended.times,
            [
                _line("median", "c1", [bar.run_s(0.5) for bar in ended.bars], ended.total.run_s(0.5)),
                _line("95 % within", "c2", [bar.run_s(0.95) for bar in ended.bars], ended.total.run_s(0.95)),
            ],
        ),
        "waits": charts.lines(
            "Time waiting",
            "seconds",
            ended.times,
            [_line("95 % within", "c1", [bar.wait_s(0.95) for bar in ended.bars], ended.total.wait_s(0.95))],
            target=WAITING_TOO_LONG.total_seconds(),
        ),
    }


def _line(name: str, css: str, values: list[float | None], whole: float | None) -> charts.Series:
    return charts.Series(name, css, [None if value is None else round(value, 3) for value in values], seconds(whole))


def _name(key: Any, by: str) -> str:
    if key == minutes.OTHER:
        return minutes.OTHER
    if by == "tenant":
        return (scope.current().name_of(key) or str(key)[:8]) if key else "no tenant"
    return last_word(key) if by == "task" else str(key)
