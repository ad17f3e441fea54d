"""What the catalog must say of every table, role, key, view, function and policy, each proven by a planted fault."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from psycopg2.extensions import cursor as Cursor

from tests.cluster import Database

RUNTIME = ("app_user", "app_rw", "app_import", "app_ro", "console", "console_tenant", "console_all", "console_global")
# Roles that act for one tenant at a time: their policies may hold nothing but the tenant of the transaction.
ONE_TENANT = ("app_user", "app_ro", "app_import", "console_tenant")

# Their tenant may be null, so it cannot be part of the primary key; the ids are random or internal.
NULLABLE_TENANT_KEYS = {"worker_failed_jobs_pkey", "console_grant_pkey", "console_audit_pkey"}

# Views over materialized views, which know no row security: they filter by themselves, or only console_all reads them.
FILTERED_VIEWS = {"channel_performance", "allocation_summary"}
ALL_TENANT_VIEWS = {"all_channel_performance", "all_allocation_summary"}

# Policies that show a role more than the tenant of the transaction, and why.
WIDE_POLICIES = {
    ("app_rw", "huey.job"): "runs the queue",
    ("app_rw", "huey.job_attempt"): "runs the queue",
    ("app_rw", "tenants"): "creates tenants and finds them by name",
    ("app_rw", "attribution_dirty_ranges"): "asks which tenants have dirty ranges; sees the column tenant_id only",
    ("console_global", "console_grant"): "is asked which tenants an operator may enter",
}

OURS = "not in ('pg_catalog', 'information_schema') and {0}::regnamespace::text not like 'pg\\_%%'"
TABLES = f"c.relkind in ('r', 'p') and c.relnamespace::regnamespace::text {OURS.format('c.relnamespace')}"

Check = Callable[[Cursor], set[str]]


def names(cursor: Cursor, statement: str, parameters: dict[str, object] | None = None) -> set[str]:
    cursor.execute(statement, parameters or {})
    return {row[0] for row in cursor.fetchall()}


def tables_without_forced_row_security(cursor: Cursor) -> set[str]:
    return names(
        cursor,
        f"""
        select c.oid::regclass::text from pg_class c
         where {TABLES} and not (c.relrowsecurity and c.relforcerowsecurity)
           and (c.relname = 'tenants'
                or exists (select from pg_attribute a where a.attrelid = c.oid and a.attname = 'tenant_id'))
        """,
    )


def powerful_roles(cursor: Cursor) -> set[str]:
    found = names(
        cursor,
        """
        select rolname || ' is too powerful' from pg_roles
         where rolname = any(%(roles)s)
           and (rolsuper or rolbypassrls or rolcreaterole or rolcreatedb or rolreplication)
        """,
        {"roles": [*RUNTIME, "skeldir_maint"]},
    )
    found |= names(
        cursor,
        """
        select r.rolname || ' owns ' || pg_describe_object(d.classid, d.objid, d.objsubid)
          from pg_shdepend d join pg_roles r on r.oid = d.refobjid
         where d.refclassid = 'pg_authid'::regclass and d.deptype = 'o' and r.rolname = any(%(roles)s)
        """,
        {"roles": list(RUNTIME)},
    )
    # A member may SET ROLE, so it can do what the other role can.
    found |= names(
        cursor,
        """
        select r.rolname || ' is a member of ' || o.rolname from pg_roles r, pg_roles o
         where r.rolname = any(%(roles)s) and not o.rolname = any(%(roles)s) and pg_has_role(r.oid, o.oid, 'member')
        """,
        {"roles": list(RUNTIME)},
    )
    # Policies of a role whose rights are inherited are OR-ed with one's own.
    found |= names(
        cursor,
        """
        select r.rolname || ' inherits ' || o.rolname from pg_roles r, pg_roles o
         where r.rolname = any(%(roles)s) and o.rolname = any(%(roles)s) and r.oid <> o.oid
           and pg_has_role(r.oid, o.oid, 'usage')
        """,
        {"roles": list(RUNTIME)},
    )
    logins = names(
        cursor, "select rolname from pg_roles where rolcanlogin and rolname ~ '^(app|console|skeldir_maint)'"
    )
    return found | {f"{name} may log in" for name in logins - {"app_user", "console"}}


def excessive_privileges(cursor: Cursor) -> set[str]:
    found = names(
        cursor,
        f"""
        select r.rolname || ' may ' || p || ' ' || c.oid::regclass
          from pg_class c, pg_roles r, unnest(array['truncate', 'references', 'trigger']) p
         where {TABLES} and r.rolname = any(%(roles)s) and has_table_privilege(r.oid, c.oid, p)
        """,
        {"roles": list(RUNTIME)},
    )
    found |= names(
        cursor,
        """
        select 'app_user may ' || p || ' attribution_events' from unnest(array['insert', 'update', 'delete']) p
         where has_table_privilege('app_user', 'attribution_events', p)
            or case when p <> 'delete' then has_any_column_privilege('app_user', 'attribution_events', p) end
        """,
    )
    found |= names(
        cursor,
        """
        select 'console_all may ' || p || ' ' || c.oid::regclass
          from pg_class c, unnest(array['insert', 'update', 'delete']) p
         where c.relkind in ('r', 'p', 'v') and c.relnamespace::regnamespace::text in ('public', 'huey', 'app')
           and has_table_privilege('console_all', c.oid, p)
        """,
    )
    found |= names(
        cursor,
        """
        select 'public may create in ' || n.nspname from pg_namespace n
         where n.nspname in ('public', 'app', 'huey') and has_schema_privilege('public', n.oid, 'create')
        """,
    )
    return found | names(
        cursor,
        """
        select 'public has rights on ' || c.oid::regclass
          from pg_class c cross join lateral aclexplode(c.relacl) acl
         where acl.grantee = 0 and c.relnamespace::regnamespace::text in ('public', 'app', 'huey')
        """,
    )


def unique_keys_not_led_by_tenant(cursor: Cursor) -> set[str]:
    return (
        names(
            cursor,
            f"""
            select i.indexrelid::regclass::text
              from pg_index i join pg_class c on c.oid = i.indrelid
              join pg_attribute a on a.attrelid = c.oid and a.attname = 'tenant_id'
             where i.indisunique and i.indkey[0] <> a.attnum
               and c.relnamespace::regnamespace::text <> 'huey' and c.relnamespace::regnamespace::text
               {OURS.format("c.relnamespace")}
            """,
        )
        - NULLABLE_TENANT_KEYS
    )


def foreign_keys_without_tenant(cursor: Cursor) -> set[str]:
    return names(
        cursor,
        """
        select f.conrelid::regclass || '.' || f.conname
          from pg_constraint f
          join pg_attribute a on a.attrelid = f.conrelid and a.attname = 'tenant_id'
          join pg_attribute b on b.attrelid = f.confrelid and b.attname = 'tenant_id'
         where f.contype = 'f'
           and not exists (select from unnest(f.conkey, f.confkey) k(here, there)
                            where k.here = a.attnum and k.there = b.attnum)
        """,
    )


def open_views(cursor: Cursor) -> set[str]:
    cursor.execute(
        """
        select c.oid::regclass::text, c.relkind::text, coalesce(c.reloptions::text, ''), pg_get_viewdef(c.oid),
               array(select rolname::text from pg_roles r
                      where r.rolname = any(%(roles)s) and has_any_column_privilege(r.oid, c.oid, 'select'))
          from pg_class c
         where c.relkind in ('v', 'm') and c.relnamespace::regnamespace::text in ('public', 'app', 'huey')
        """,
        {"roles": list(RUNTIME)},
    )
    found = set()
    for name, kind, options, text, readers in cursor.fetchall():
        if not readers:
            continue
        invoker = "security_invoker=true" in options or "security_invoker=on" in options
        barrier = "security_barrier=true" in options
        filtered = name in FILTERED_VIEWS and barrier and "tenant_id = ( SELECT app.tenant()" in text
        for_operators = name in ALL_TENANT_VIEWS and readers == ["console_all"]
        if kind == "m" or not (invoker or filtered or for_operators):
            found.add(f"{name}, read by {', '.join(sorted(readers))}")
    return found


def unsafe_definers(cursor: Cursor) -> set[str]:
    cursor.execute(
        f"""
        select p.oid::regprocedure::text, coalesce(p.proconfig::text, ''),
               has_function_privilege('public', p.oid, 'execute'), r.rolsuper or r.rolbypassrls or r.rolcreaterole
          from pg_proc p join pg_roles r on r.oid = p.proowner
         where p.prosecdef and p.pronamespace::regnamespace::text {OURS.format("p.pronamespace")}
        """
    )
    found = set()
    for name, config, public, powerful_owner in cursor.fetchall():
        # pg_temp stands last: left out, it is searched first.
        if not any(f"search_path={first}" in config for first in ("pg_catalog,", '"')) or "pg_temp" not in config:
            found.add(f"{name}: search_path is not fixed")
        if public:
            found.add(f"{name}: PUBLIC may execute it")
        if powerful_owner:
            found.add(f"{name}: its owner is too powerful")
    return found


def policies(cursor: Cursor) -> list[tuple[str, str, str, str, str | None, str | None]]:
    """Return (table, policy, role, command, using, check) for each role and command that a permissive policy covers."""
    cursor.execute(
        """
        select p.polrelid::regclass::text, p.polname::text, coalesce(r.rolname::text, 'public'), command,
               pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
          from pg_policy p cross join lateral unnest(p.polroles) role(oid) left join pg_roles r on r.oid = role.oid
          cross join lateral unnest(case p.polcmd when 'r' then array['select'] when 'a' then array['insert']
                                         when 'w' then array['update'] when 'd' then array['delete']
                                         else array['select', 'insert', 'update', 'delete'] end) command
         where p.polpermissive
        """
    )
    return list(cursor.fetchall())


def policies_that_add_up(cursor: Cursor) -> set[str]:
    seen: dict[tuple[str, str, str], list[str]] = {}
    for table, policy, role, command, _, _ in policies(cursor):
        seen.setdefault((table, role, command), []).append(policy)
    found = {f"{role} {command} {table}: several policies" for (table, role, command), p in seen.items() if len(p) > 1}
    found |= {f"{table}: a policy for PUBLIC" for table, role, _ in seen if role == "public"}
    # A privilege without a policy shows no rows and says nothing: workers would idle for ever.
    granted = names(
        cursor,
        """
        select r.rolname || ' ' || p || ' ' || c.oid::regclass
          from pg_class c, pg_roles r, unnest(array['select', 'insert', 'update', 'delete']) p
         where c.relrowsecurity and r.rolname = any(%(roles)s)
           and (has_table_privilege(r.oid, c.oid, p)
                or case when p <> 'delete' then has_any_column_privilege(r.oid, c.oid, p) end)
        """,
        {"roles": [*RUNTIME, "skeldir_maint"]},
    )
    covered = {f"{role} {command} {table}" for table, role, command in seen}
    owned = names(
        cursor,
        "select 'skeldir_maint ' || p || ' ' || c.oid::regclass from pg_class c, "
        "unnest(array['select', 'insert', 'update', 'delete']) p where pg_get_userbyid(c.relowner) = 'skeldir_maint'",
    )
    return found | {f"{line}: granted without a policy" for line in granted - covered - owned}


def policies_that_show_too_much(cursor: Cursor) -> set[str]:
    found = set()
    for table, policy, role, command, using, check in policies(cursor):
        for text in {using, check} - {None}:
            plain = " ".join(str(text).split()).replace(" AS tenant", "")
            of_tenant = plain in ("(tenant_id = ( SELECT app.tenant()))", "(id = ( SELECT app.tenant()))")
            of_nobody = plain == "(tenant_id IS NULL)" and role not in ONE_TENANT
            reads_all = command == "select" and role in ("console_all", "skeldir_maint")
            wide = plain == "true" and ((role, table) in WIDE_POLICIES or reads_all or role == "skeldir_maint")
            if not (of_tenant or of_nobody or wide):
                found.add(f"{table}.{policy} for {role}: {plain}")
    return found


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
