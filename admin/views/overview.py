"""Overview: what needs you now, then the figures behind it. Every number is measured; a dash where it is not."""

from __future__ import annotations

from flask_admin import expose

from admin import charts, params, scope
from admin.attention import needs_you_now
from admin.panels import Panels
from admin.reads import overview as reads
from admin.reads.ledger import ledger, total
from admin.show import number, seconds
from admin.views.base import ConsoleView
from skeldir_huey.config import settings

RETRIED = ("errored", "worker_lost", "released")


class OverviewView(ConsoleView):
    """The first page."""

    @expose("/")
    def index(self) -> str:
        span = reads.SPANS[params.choice("range", reads.SPANS, "24h")]
        with scope.reading() as connection:
            panels = Panels(connection)
            now = reads.now(connection)
            lanes = panels.read(reads.lanes)
            attempts = panels.read(reads.attempts, span, now)
            run_times = panels.read(reads.run_times, span, now)
            letters = panels.read(reads.open_letters)
            runs = panels.read(reads.runs_by_state)
            consumers = panels.read(reads.consumers, now)
            views = panels.read(reads.materialized_views, scope.current().tenant_id is None)
            lines = panels.read(ledger)
            refreshed_at = panels.read(reads.last_refresh, now)
        frozen_after_s = settings().frozen_after_s
        alive = None
        if consumers is not None:
            alive = [one for one in consumers if (now - one.heartbeat_at).total_seconds() <= frozen_after_s]
        return self.render(
            "console/overview.html",
            now=now,
            span=span,
            spans=reads.SPANS.values(),
            lanes=lanes,
            now_in=reads.totals(lanes) if lanes is not None else None,
            drained={lane for one in alive for lane in one.lanes} if alive is not None else None,
            attempts=attempts,
            attempts_chart=_attempts_chart(attempts, span) if attempts else None,
            run_times=run_times,
            run_times_chart=_run_times_chart(run_times, attempts) if run_times and attempts else None,
            spark=charts.spark,
            retried=RETRIED,
            letters=letters,
            runs=runs,
            consumers=consumers,
            alive=alive,
            frozen_after_s=frozen_after_s,
            views=views,
            refreshed_at=refreshed_at,
            ledger=lines,
            ledger_sum=total(lines) if lines is not None else None,
            needs=needs_you_now(now, lanes, letters, runs, consumers, frozen_after_s, lines),
        )


def _attempts_chart(attempts: reads.Attempts, span: reads.Span) -> charts.Chart:
    series = [
        charts.Series(name, css, attempts.series(*outcomes), number(attempts.total(*outcomes)))
        for name, css, outcomes in (
            ("done", "c-ok", ("done",)),
            ("tried again", "c-warn", RETRIED),
            ("dead", "c-bad", ("dead",)),
            ("cancelled", "c-mute", ("cancelled",)),
        )
    ]
    return charts.bars("Attempts", f"attempts per {seconds(span.step.total_seconds())}", attempts.times, series)


def _run_times_chart(run_times: reads.RunTimes, attempts: reads.Attempts) -> charts.Chart:
    series = [
        charts.Series("median", "c1", run_times.p50, seconds(run_times.p50_all)),
        charts.Series("95th percentile", "c2", run_times.p95, seconds(run_times.p95_all)),
    ]
    return charts.lines("Run time", "seconds", attempts.times, series)
