"""One line of history that goes up, down and up again, each time to the same schema."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest
from alembic import command
from alembic.script import ScriptDirectory

from tests.cluster import Cluster, Database
from tests.conftest import ROOT, alembic_config, point_at

# Everything the migrations make that is not a table: functions, policies, grants, triggers, views, owners, options.
REST = """
select 'relation ' || c.oid::regclass || ' ' || c.relkind::text || ' ' || pg_get_userbyid(c.relowner) || ' '
       || coalesce(c.reloptions::text, '') || ' ' || c.relrowsecurity || c.relforcerowsecurity || ' '
       || coalesce(c.relacl::text, '')
  from pg_class c where c.relnamespace::regnamespace::text in ('public', 'huey', 'app')
union all
select 'column ' || a.attrelid::regclass || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || ' '
       || a.attnotnull || coalesce(pg_get_expr(d.adbin, d.adrelid), '') || coalesce(a.attacl::text, '')
  from pg_attribute a join pg_class c on c.oid = a.attrelid
  left join pg_attrdef d on d.adrelid = c.oid and d.adnum = a.attnum
 where c.relnamespace::regnamespace::text in ('public', 'huey', 'app') and a.attnum > 0 and not a.attisdropped
union all
select 'constraint ' || conrelid::regclass || ' ' || pg_get_constraintdef(oid) from pg_constraint
 where connamespace::regnamespace::text in ('public', 'huey')
union all
select 'index ' || pg_get_indexdef(indexrelid) from pg_index i join pg_class c on c.oid = i.indrelid
 where c.relnamespace::regnamespace::text in ('public', 'huey')
union all
select 'function ' || pg_get_functiondef(oid) || pg_get_userbyid(proowner) || coalesce(proacl::text, '') from pg_proc
 where pronamespace::regnamespace::text = 'app'
union all
select 'view ' || viewname || definition from pg_views where schemaname in ('public', 'huey', 'app')
union all
select 'matview ' || matviewname || definition from pg_matviews
union all
select 'trigger ' || pg_get_triggerdef(oid) from pg_trigger where not tgisinternal
union all
select 'policy ' || p.*::text from pg_policies p
union all
select 'schema ' || nspname || pg_get_userbyid(nspowner) || coalesce(nspacl::text, '') from pg_namespace
 where nspname in ('public', 'huey', 'app')
"""
DATA = "select string_agg(t::text, ',' order by code) from channel_taxonomy t"


@pytest.fixture
def empty(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Database]:
    """A database without any table; alembic works on it."""
    made = cluster.database("migrated_here")
    admin = cluster.database("postgres").connect(autocommit=True)
    with admin.cursor() as cursor:
        cursor.execute("drop database if exists migrated_here with (force)")
        cursor.execute("create database migrated_here owner skeldir_owner")
        point_at(made, monkeypatch)
        yield made
        cursor.execute("drop database migrated_here with (force)")
    admin.close()


def schema(database: Database) -> list[str]:
    return sorted(line for (line,) in database.query(REST) if "alembic_version" not in line)


def test_up_down_up(empty: Database) -> None:
    nothing = schema(empty)
    command.upgrade(alembic_config(), "head")
    first, channels = schema(empty), empty.value(DATA)
    assert len(first) > 300
    command.downgrade(alembic_config(), "base")
    left = [line for line in schema(empty) if line not in nothing and not line.startswith("schema public")]
    assert left == [], "downgrade leaves something behind"
    command.upgrade(alembic_config(), "head")
    assert schema(empty) == first
    assert empty.value(DATA) == channels


def test_each_step_goes_down_and_up(empty: Database) -> None:
    command.upgrade(alembic_config(), "head")
    schemas = {}
    for revision in revisions():
        schemas[revision] = schema(empty)
        command.downgrade(alembic_config(), "-1")
    for revision in reversed(revisions()):
        command.upgrade(alembic_config(), "+1")
        assert schema(empty) == schemas[revision], f"upgrade to {revision}"


def test_a_second_upgrade_changes_nothing(empty: Database) -> None:
    command.upgrade(alembic_config(), "head")
    before = schema(empty)
    command.upgrade(alembic_config(), "head")
    assert schema(empty) == before


def revisions() -> list[str]:
    """Return all revisions, newest first."""
    return [script.revision for script in ScriptDirectory.from_config(alembic_config()).walk_revisions()]


def test_the_history_is_one_line_with_the_label_on_its_first_revision() -> None:
    script = ScriptDirectory.from_config(alembic_config())
    assert len(script.get_heads()) == len(script.get_bases()) == 1
    assert revisions() == sorted(revisions(), reverse=True)
    first = script.get_revision(script.get_bases()[0])
    assert first is not None and "skeldir_foundation" in first.branch_labels
    labelled = script.get_revision("skeldir_foundation@head")
    assert labelled is not None and labelled.revision == script.get_current_head()


def test_the_label_leads_to_the_head(empty: Database) -> None:
    command.upgrade(alembic_config(), "skeldir_foundation@head")
    assert empty.value("select version_num from alembic_version") == revisions()[0]


def run_alembic(database_env: dict[str, str], *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "alembic", *arguments],
        cwd=ROOT,
        env=os.environ | database_env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_two_upgrades_at_once_do_not_collide(empty: Database) -> None:
    processes = [run_alembic(empty.env, "upgrade", "head") for _ in range(2)]
    outputs = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], outputs
    assert empty.value("select version_num from alembic_version") == revisions()[0]


def test_another_database_system_is_refused_in_one_line() -> None:
    owner = {"DATABASE_OWNER_URL": "mysql://ann:hunter2@db/skeldir", "SKELDIR_ENV_FILE": os.devnull}
    process = run_alembic(owner, "upgrade", "head")
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 2
    assert len(errors.splitlines()) == 1 and "DATABASE_OWNER_URL" in errors and "hunter2" not in errors
