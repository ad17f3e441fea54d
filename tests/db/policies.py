"""Questions to the catalog about the policies of row security; each answers with the faults."""

from __future__ import annotations

from psycopg2.extensions import cursor as Cursor

from tests.db.catalog import ONE_TENANT, RUNTIME, WIDE_POLICIES, names


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
