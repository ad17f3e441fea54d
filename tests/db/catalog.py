"""Questions to the catalog about tables, roles, keys, views and functions; each answers with the faults."""

from __future__ import annotations

from collections.abc import Callable

from psycopg2.extensions import cursor as Cursor

RUNTIME = ("app_user", "app_rw", "app_import", "app_ro", "console", "console_tenant", "console_all", "console_global")
# Roles that act for one tenant at a time: their policies may hold nothing but the tenant of the transaction.
ONE_TENANT = ("app_user", "app_ro", "app_import", "console_tenant")

# Their tenant may be null, so it cannot be part of the primary key; the ids are random or internal.
NULLABLE_TENANT_KEYS = {
    "worker_failed_jobs_pkey",
    "console_grant_pkey",
    "console_audit_pkey",
    "console_audit_head_pkey",
}

# Views over materialized views, which know no row security: they filter by themselves, or only console_all reads them.
FILTERED_VIEWS = {
    "channel_performance",
    "allocation_summary",
    "daily_revenue_summary",
    "realtime_revenue",
    "reconciliation_status",
}
ALL_TENANT_VIEWS = {f"all_{name}" for name in FILTERED_VIEWS}

# Policies that show a role more than the tenant of the transaction, and why.
WIDE_POLICIES = {
    ("app_rw", "huey.job"): "runs the queue",
    ("app_rw", "huey.job_attempt"): "runs the queue",
    ("app_rw", "huey.tenant_rule"): "runs the queue",
    ("app_rw", "huey.flow"): "runs the queue",
    ("app_rw", "huey.flow_total"): "runs the queue",
    ("app_rw", "huey.run_delta"): "runs the queue",
    ("app_rw", "huey.run_minute"): "runs the queue",
    ("app_rw", "huey.run_quarter"): "runs the queue",
    ("app_rw", "huey.error_delta"): "folds the counts of errors",
    ("app_rw", "huey.error_total"): "folds the counts of errors",
    ("app_rw", "huey.error_group"): "folds the counts of errors",
    ("app_rw", "huey.bulk_operation"): "runs the operations on many letters; the letters themselves as app_user",
    ("app_rw", "huey.bulk_share"): "runs the operations on many letters",
    ("app_rw", "huey.bulk_item"): "runs the operations on many letters",
    ("app_rw", "tenants"): "creates tenants and finds them by name",
    ("app_rw", "attribution_dirty_ranges"): "asks which tenants have dirty ranges; sees the column tenant_id only",
    ("app_rw", "attribution_dirty_days"): "asks which tenants have dirty days; sees the column tenant_id only",
    ("app_rw", "attribution_recompute_jobs"): "asks which tenants have runs under way; sees tenant_id and status only",
    ("app_rw", "backfills"): "asks which tenants have backfills under way; sees tenant_id and status only",
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
