"""The catalog has no fault, and each question that says so finds the faults that are planted for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from psycopg2.extensions import cursor as Cursor

from tests.cluster import Database
from tests.db.catalog import (
    Check,
    excessive_privileges,
    foreign_keys_without_tenant,
    open_views,
    powerful_roles,
    tables_without_forced_row_security,
    unique_keys_not_led_by_tenant,
    unsafe_definers,
)
from tests.db.policies import policies_that_add_up, policies_that_show_too_much

CHECKS: tuple[Check, ...] = (
    tables_without_forced_row_security,
    powerful_roles,
    excessive_privileges,
    unique_keys_not_led_by_tenant,
    foreign_keys_without_tenant,
    open_views,
    unsafe_definers,
    policies_that_add_up,
    policies_that_show_too_much,
)
DEFINER = "create function app.leak() returns bigint language sql security definer {0} as 'select 1::bigint'"
FAULTS: tuple[tuple[Check, str, str], ...] = (
    (tables_without_forced_row_security, "alter table attribution_events no force row level security", "events"),
    (tables_without_forced_row_security, "alter table tenants disable row level security", "tenants"),
    (tables_without_forced_row_security, "alter table huey.job_attempt_default no force row level security", "default"),
    (tables_without_forced_row_security, "create table app.new (tenant_id uuid)", "app.new"),
    (
        tables_without_forced_row_security,
        "create table huey.job_attempt_20250601 partition of huey.job_attempt "
        "for values from ('2025-06-01Z') to ('2025-06-02Z')",
        "20250601",
    ),
    (powerful_roles, "alter role app_user bypassrls", "app_user is too powerful"),
    (powerful_roles, "alter role app_rw superuser", "app_rw is too powerful"),
    (powerful_roles, "alter role console createrole", "console is too powerful"),
    (powerful_roles, "alter role app_ro createdb", "app_ro is too powerful"),
    (powerful_roles, "alter role skeldir_maint bypassrls", "skeldir_maint is too powerful"),
    (powerful_roles, "alter role app_import login", "app_import may log in"),
    (powerful_roles, "alter table dead_events owner to app_user", "app_user owns table dead_events"),
    (powerful_roles, "alter schema huey owner to app_rw", "app_rw owns schema huey"),
    (powerful_roles, "grant skeldir_maint to app_user", "app_user is a member of skeldir_maint"),
    (powerful_roles, "grant pg_read_all_data to console_all", "console_all is a member of pg_read_all_data"),
    (
        powerful_roles,
        "revoke app_rw from app_user; alter role app_user inherit; grant app_rw to app_user",
        "app_user inherits app_rw",
    ),
    (excessive_privileges, "grant truncate on dead_events to app_user", "app_user may truncate dead_events"),
    (excessive_privileges, "grant trigger on huey.job to app_rw", "app_rw may trigger huey.job"),
    (excessive_privileges, "grant insert on attribution_events to app_user", "app_user may insert"),
    (excessive_privileges, "grant update (channel) on attribution_events to app_user", "app_user may update"),
    (excessive_privileges, "grant delete on huey.job to console_all", "console_all may delete huey.job"),
    (excessive_privileges, "grant create on schema public to public", "public may create in public"),
    (excessive_privileges, "grant select on console_user to public", "public has rights on console_user"),
    (unique_keys_not_led_by_tenant, "create unique index key on attribution_events (order_id)", "key"),
    (unique_keys_not_led_by_tenant, "create unique index key on dead_events (source, tenant_id)", "key"),
    (
        foreign_keys_without_tenant,
        "create unique index on attribution_recompute_jobs (id); "
        "alter table attribution_allocations add constraint run foreign key (run_id) "
        "references attribution_recompute_jobs (id)",
        "attribution_allocations.run",
    ),
    (open_views, "grant select on mv_allocation_summary to app_ro", "mv_allocation_summary, read by app_ro"),
    (open_views, "grant select (tenant_id) on mv_allocation_summary to console", "read by console"),
    (open_views, "create view v as select * from attribution_events; grant select on v to app_user", "v, read by"),
    (open_views, "grant select on all_channel_performance to app_user", "all_channel_performance"),
    (
        open_views,
        "create or replace view channel_performance with (security_barrier) as select * from mv_channel_performance",
        "channel_performance",
    ),
    (open_views, "alter view allocation_summary reset (security_barrier)", "allocation_summary"),
    (unsafe_definers, DEFINER.format(""), "app.leak(): search_path"),
    (unsafe_definers, DEFINER.format("set search_path = pg_catalog"), "app.leak(): search_path"),
    (unsafe_definers, DEFINER.format("set search_path = pg_catalog, pg_temp"), "app.leak(): PUBLIC"),
    (unsafe_definers, DEFINER.format("set search_path = pg_catalog, pg_temp"), "app.leak(): its owner"),
    (
        policies_that_add_up,
        "create policy more on dead_events for select to app_user using (source = 'import')",
        "app_user select dead_events: several policies",
    ),
    (policies_that_add_up, "create policy more on dead_events using (false)", "dead_events: a policy for PUBLIC"),
    (
        policies_that_add_up,
        "grant select on console_audit to app_ro",
        "app_ro select console_audit: granted without a policy",
    ),
    (
        policies_that_add_up,
        "drop policy queue on huey.job",
        "app_rw delete huey.job: granted without a policy",
    ),
    (
        policies_that_show_too_much,
        "alter policy tenant on worker_failed_jobs using (tenant_id is null or tenant_id = (select app.tenant()))",
        "worker_failed_jobs.tenant for app_user",
    ),
    (policies_that_show_too_much, "alter policy tenant on huey.job with check (true)", "huey.job.tenant for app_user"),
    (
        policies_that_show_too_much,
        "create policy wide on dead_events to app_rw using (true)",
        "dead_events.wide for app_rw",
    ),
)


@contextmanager
def rolled_back(database: Database, fault: str = "") -> Iterator[Cursor]:
    connection = database.connect()
    try:
        with connection.cursor() as cursor:
            if fault:
                cursor.execute(fault)
            yield cursor
    finally:
        connection.rollback()
        connection.close()


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_schema_has_no_fault(database: Database, check: Check) -> None:
    # Partitions that the worker makes later count as well.
    database.query("set role app_rw; select app.rotate_job_attempts(date '2025-06-01', 7, 2)", user="app_user")
    with rolled_back(database) as cursor:
        assert check(cursor) == set()


@pytest.mark.parametrize(("check", "fault", "named"), FAULTS, ids=lambda value: getattr(value, "__name__", str(value)))
def test_a_planted_fault_is_found(template: Database, check: Check, fault: str, named: str) -> None:
    with rolled_back(template, fault) as cursor:
        found = check(cursor)
    assert any(named in line for line in found), f"{fault}: not found, only {found}"


def test_every_check_has_a_fault() -> None:
    assert {check for check, _, _ in FAULTS} == set(CHECKS)
