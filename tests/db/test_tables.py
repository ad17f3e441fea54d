"""Migrated from nothing, the database equals `db/tables`: each table, column, key, check and index."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext

from skeldir_huey.db.tables import Base
from tests.cluster import Cluster, Database

# The shape of every table as Postgres writes it down; names of constraints are left to Postgres.
SHAPE = """
with tables as (
  select c.oid, c.relnamespace::regnamespace::text || '.' || c.relname as name
    from pg_class c
   where c.relnamespace::regnamespace::text in ('public', 'huey') and c.relkind in ('r', 'p')
     and not c.relispartition and c.relname <> 'alembic_version')
select name, 'column ' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod)
       || case when a.attnotnull then ' not null' else '' end
       || case when a.attidentity <> '' then ' identity ' || a.attidentity::text else '' end
       || coalesce(' collate ' || (select co.collname from pg_collation co
                                    where co.oid = a.attcollation and co.collname <> 'default'), '')
       || coalesce(' default ' || pg_get_expr(d.adbin, d.adrelid), '')
  from tables t join pg_attribute a on a.attrelid = t.oid and a.attnum > 0 and not a.attisdropped
  left join pg_attrdef d on d.adrelid = t.oid and d.adnum = a.attnum
union all
select name, 'constraint ' || pg_get_constraintdef(c.oid)
  from tables t join pg_constraint c on c.conrelid = t.oid and c.contype in ('p', 'u', 'c', 'f')
union all
select name, 'index ' || pg_get_indexdef(i.indexrelid)
  from tables t join pg_index i on i.indrelid = t.oid
 where not exists (select from pg_constraint c where c.conindid = i.indexrelid and c.contype in ('p', 'u'))
union all
select name, 'partition by ' || pg_get_partkeydef(oid) from tables where pg_get_partkeydef(oid) is not null
"""


def shape(database: Database) -> set[tuple[Any, ...]]:
    return set(database.query(SHAPE))


@pytest.fixture
def described(cluster: Cluster) -> Iterator[Database]:
    """A database whose tables were made from `Base.metadata` instead of by migrations."""
    made = cluster.database("described")
    admin = cluster.database("postgres").connect(autocommit=True)
    try:
        with admin.cursor() as cursor:
            cursor.execute("drop database if exists described")
            cursor.execute("create database described")
        engine = sa.create_engine(made.url(), poolclass=sa.NullPool)
        with engine.begin() as connection:
            connection.exec_driver_sql("create schema huey")
            Base.metadata.create_all(connection)
        yield made
        with admin.cursor() as cursor:
            cursor.execute("drop database described with (force)")
    finally:
        admin.close()


def test_the_shapes_are_the_same(database: Database, described: Database) -> None:
    migrated, metadata = shape(database), shape(described)
    assert len(migrated) > 200
    assert migrated - metadata == set(), "made by a migration, missing in db/tables"
    assert metadata - migrated == set(), "written in db/tables, made by no migration"


def test_alembic_sees_no_difference(database: Database) -> None:
    assert differences(database) == []


def test_a_difference_is_found(database: Database) -> None:
    before, known = shape(database), len(differences(database))
    database.query("alter table tenants alter display_name drop not null")
    database.query("drop index dead_events_recent")
    changed = {line for _, line in before - shape(database)}
    assert any(line.startswith("column display_name text not null") for line in changed)
    assert any("dead_events_recent" in line for line in changed)
    assert len(differences(database)) == known + 2


def differences(database: Database) -> list[Any]:
    engine = sa.create_engine(database.url("skeldir_owner"), poolclass=sa.NullPool)
    with engine.connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": True,
                "include_schemas": True,
                "include_name": included,
            },
        )
        found = compare_metadata(context, Base.metadata)
    return [difference for difference in found if not is_comment(difference)]


def is_comment(difference: Any) -> bool:
    """Comments are for people at psql; the classes have docstrings."""
    first = difference[0]
    return (first[0] if isinstance(first, tuple) else first) in (
        "modify_comment",
        "add_table_comment",
        "remove_table_comment",
    )


def included(name: str | None, kind: str, _parents: Any) -> bool:
    if kind == "schema":
        return name in (None, "huey")
    return kind != "table" or not (name or "").startswith(("job_attempt_", "alembic_version"))
