"""Full tables, made by the server itself: tenants, events, allocations, runs, dead letters, attempts, waiting jobs.

Everything is added twice: a tenth of the rows first, the rest later, so that the same pages can be timed on both.
"""

from __future__ import annotations

from typing import Any, Protocol

from admin.reads.cron import known
from bench.console.seed_desk import ALWAYS, SHARES
from skeldir_huey.db.sqlfile import sql

TENANTS, DAYS = 8, 90
# Two channels or three under linear, of which first_touch names all but one and last_touch one, or each third time all.
ROWS_PER_CONVERSION = 5.5
PIECE = 20_000

START = """
insert into tenants (id, name, display_name)
select md5('tenant' || i)::uuid, 'tenant-' || i, 'Tenant ' || i from generate_series(1, $tenants) i;
insert into attribution_models (tenant_id, model_version, name, version, model_type, params, params_hash)
select t.id, m.name || '@1.0.0', m.name, '1.0.0', m.name, params::jsonb, sha256(params::bytea)
  from tenants t cross join (values
    ('linear', '{"dedupe": "none", "fallback": "own", "lookback_s": 2592000, "repeat": "window"}'),
    ('first_touch', '{"dedupe": "none", "fallback": "own", "lookback_s": 2592000, "repeat": "window"}'),
    ('last_touch', '{"dedupe": "none", "fallback": "own", "lookback_s": 2592000, "repeat": "window"}')
  ) as m(name, params);
insert into attribution_published (tenant_id, model_version) select id, 'linear@1.0.0' from tenants;
insert into attribution_recompute_jobs (tenant_id, id, window_start, window_end, model_version, status, run_count,
  conversion_count, allocation_count, changed_count, checksum, created_at, started_at, finished_at)
select t.id, md5(t.name || day || v)::uuid, day, day + interval '1 day', v,
  case when extract(doy from day)::int % 17 = 0 then 'failed' else 'succeeded' end, 1, 100, 500, 0, sha256(v::bytea),
  day + interval '26 hours',
  day + interval '26 hours', day + interval '26 hours 3 seconds'
  from tenants t cross join unnest(array['linear@1.0.0', 'first_touch@1.0.0', 'last_touch@1.0.0']) v
  cross join generate_series(date_trunc('day', now(), 'UTC') - interval '90 days',
                             date_trunc('day', now(), 'UTC') - interval '1 day', interval '1 day') day;
select app.rotate_job_attempts((now() at time zone 'UTC')::date - 2, 30, 4);
insert into huey.consumer (id, host, pid, worker_type, worker_count, lanes, version, heartbeat_at)
values (gen_random_uuid(), 'bench', 1, 'thread', 4, '{housekeeping,maintenance,attribution,llm,ingest}', '0', now());
"""

# %(first)s to %(last)s number the conversions; each has three touches in the two days before it.
EVENTS = """
create temporary table sale as
select i, md5('sale' || i)::uuid as id, md5('tenant' || 1 + i %% $tenants)::uuid as tenant_id,
  md5('journey' || i)::uuid as journey,
  date_trunc('day', now(), 'UTC') - interval '1 second' * (1 + (hashint8(i)::bigint + 2147483648) %% (90 * 86400 - 1))
    as at,
  1000 + (i * 7919) %% 20000 as cents, 2 + i %% 2 as n
  from generate_series(%(first)s::bigint, %(last)s::bigint) i;
insert into attribution_events (tenant_id, id, occurred_at, event_type, kind, journey_key, session_id, channel,
  idempotency_key)
select s.tenant_id, md5('touch' || s.i || '-' || p.place)::uuid, s.at - p.place * interval '11 hours', 'ad_click',
  'touch', s.journey, s.journey, p.channel, sha256(('touch' || s.i || '-' || p.place)::bytea)
  from sale s cross join (values ('organic', 3), ('google_search_paid', 2), ('email', 1)) as p(channel, place)
 where p.place <= s.n;
insert into attribution_events (tenant_id, id, occurred_at, event_type, kind, journey_key, session_id, channel,
  revenue_cents, currency, idempotency_key)
select tenant_id, id, at, 'purchase', 'conversion', journey, journey, 'direct', cents,
  case when i %% 16 = 0 then 'JPY' else 'USD' end, sha256(('sale' || i)::bytea)
  from sale;
insert into attribution_allocations (tenant_id, event_id, model_version, channel_code, allocation_ratio,
  allocated_revenue_cents, currency, is_fallback, model_type, run_id, converted_at)
select s.tenant_id, s.id, v.name || '@1.0.0', p.channel,
  case when v.name = 'linear'
       then round(1.0 / n, 10) + case when p.place = 1 then 1 - n * round(1.0 / n, 10) else 0 end
       else (p.place = case when v.name = 'last_touch' then 1 else n end)::int end,
  case when v.name = 'linear' then cents / n + (p.place <= cents %% n)::int
       else cents * (p.place = case when v.name = 'last_touch' then 1 else n end)::int end,
  case when i %% 16 = 0 then 'JPY' else 'USD' end, false, v.name,
  md5('tenant-' || 1 + i %% $tenants || date_trunc('day', at, 'UTC') || v.name || '@1.0.0')::uuid, at
  from sale s cross join (values ('linear'), ('first_touch'), ('last_touch')) as v(name)
  cross join (values ('organic', 3), ('google_search_paid', 2), ('email', 1)) as p(channel, place)
 where p.place <= s.n
   and (v.name <> 'first_touch' or p.place > 1) and (v.name <> 'last_touch' or p.place = 1 or i %% 3 = 0);
drop table sale;
"""

LETTERS = """
insert into worker_failed_jobs (tenant_id, task_id, task_name, queue, worker, task_kwargs, error_type, exception_class,
  error_message, traceback, fingerprint, status, resolved_at, correlation_id, failed_at, message)
select md5('tenant' || 1 + i %% $tenants)::uuid, 'letter-' || i,
  (array['skeldir.attribution.recompute_window', 'skeldir.ingest.file', 'skeldir.reports.refresh_all'])[1 + kind %% 3],
  (array['attribution', 'ingest', 'maintenance'])[1 + kind %% 3], 'host:1:1',
  jsonb_build_object('window_start', '2025-06-01', 'number', i), 'permanent', 'ValueError',
  'row ' || i || ' of file ' || kind || ' is not understood',
  repeat('  File "tasks.py", line 1, in work' || chr(10), 20),
  substr(md5('kind' || kind), 1, 16), (array['pending', 'pending', 'pending', 'resolved', 'abandoned'])[1 + i %% 5],
  case when i %% 5 = 3 then now() end, md5('journey' || i)::uuid,
  now() - interval '1 second' * ((i * 7919) %% (7 * 86400)), '{}'
  from (select i, (i %% 97) %% 40 as kind from generate_series(%(first)s::bigint, %(last)s::bigint) i) made;
"""

ATTEMPTS = """
insert into huey.job_attempt (task_id, task_name, lane, tenant_id, correlation_id, attempt, outcome, ended, worker,
  enqueued_at, claimed_at, ended_at, wait_ms, run_ms, error_class, error_message)
select 'attempt-' || i, 'skeldir.' || lane || '.task', lane, md5('tenant' || 1 + i %% $tenants)::uuid,
  md5('journey' || i)::uuid, 1, outcome, outcome <> 'errored', 'host:1:1', at - interval '2 seconds',
  at - interval '1 second', at,
  (i * 31) %% 4000, (i * 17) %% 9000, case when outcome <> 'done' then 'TimeoutError' end, null
  from (select i, now() - interval '1 millisecond' * ((i * 7919) %% 86400000) as at,
          (array['attribution', 'attribution', 'ingest', 'maintenance', 'housekeeping'])[1 + i %% 5] as lane,
          case when i %% 50 = 0 then 'dead' when i %% 25 = 0 then 'errored' else 'done' end as outcome
          from generate_series(%(first)s::bigint, %(last)s::bigint) i) made;
"""

# Jobs in line do not grow with history: a thousand, whatever the scale.
JOBS = """
insert into huey.job (task_id, lane, task_name, tenant_id, message, state, run_at, rank)
select 'job-' || i, 'attribution', 'skeldir.attribution.recompute_window', md5('tenant' || 1 + i % $tenants)::uuid,
  '{}', 'waiting', now() - i * interval '1 second', i from generate_series(1, 1000) i;
insert into huey.flow (lane, tenant_id, kind, job_count)
select lane, tenant_id, 'enqueued', count(*) from huey.job group by 1, 2;
"""


class Runs(Protocol):
    """What runs statements."""

    def run(self, statement: str, parameters: Any = None) -> list[tuple[Any, ...]]: ...


FOLDS = (("fold_runs", "huey.run_delta"), ("fold_errors", "huey.error_delta"), ("fold_flow", "huey.flow"))


class Seeder:
    """Adds rows to a place until its tables have a scale.

    Args:
        place: a migrated, empty database, or whatever runs statements in one as superuser.
        tenants: how many there are, default 8.
    """

    def __init__(self, place: Runs, tenants: int = TENANTS) -> None:
        self._place, self._tenants, self._scale = place, tenants, 0
        # The exact-sum checks of 1.5 million rows are the attribution benchmark's matter.
        self._run(START)
        self._run(JOBS)

    def _run(self, text: str, parameters: dict[str, Any] | None = None, role: str = "replica") -> None:
        self._place.run(
            f"set session_replication_role = {role}; " + text.replace("$tenants", str(self._tenants)), parameters
        )

    def _fold(self) -> None:
        # As consumers do each second: pages read what is folded, and the little that is not yet.
        for name, deltas in FOLDS:
            self._place.run(f"analyze {deltas}")
            while self._place.run(f"select exists (select from {deltas})")[0][0]:
                self._place.run(sql("queue", name).replace("%%", "%"))

    def _sum_up(self) -> None:
        # The summaries by day, as their refresh makes them.
        for name in ("allocation_days", "revenue_days"):
            self._run(f"select app.recount_{name}(true)", role="origin")
        self._run("delete from report_changes")

    def grow(self, scale: int) -> dict[str, int]:
        """Add rows up to this many allocations, and return how many each big table has."""
        if not self._scale:
            self._run(ALWAYS, {"periodic": sorted(known())}, role="origin")
        # What pages read is counted by triggers of letters and attempts, and the audit log is chained by one.
        replica = ((EVENTS, 1 / ROWS_PER_CONVERSION),)
        for role, parts in (("replica", replica), ("origin", ((LETTERS, 2 / 15), (ATTEMPTS, 7 / 15), *SHARES))):
            for text, share in parts:
                first, last = int(self._scale * share) + 1, int(scale * share)
                # In pieces: Ctrl-C is heard between two statements only.
                for start in range(first, last + 1, PIECE):
                    self._run(text, {"first": start, "last": min(start + PIECE - 1, last)}, role)
        self._scale = scale
        self._fold()
        self._sum_up()
        self._place.run("vacuum (analyze)")  # as autovacuum does, which would disturb what is measured
        self._place.run("checkpoint")
        return {
            table: self._place.run(f"select count(*) from {table}")[0][0]
            for table in ("attribution_allocations", "worker_failed_jobs", "huey.job_attempt", "attribution_events")
        }
