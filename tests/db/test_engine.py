"""`transaction()` and `enter()`: tenant and role last as long as the transaction, on every pooled connection."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from uuid import UUID

import psycopg2
import pytest
import sqlalchemy as sa
from sqlalchemy.engine import Connection, Engine

from skeldir_huey.db import engine
from skeldir_huey.db.engine import transaction
from tests.cluster import Database
from tests.factories import make_event, make_tenant

WHO = "select current_user::text, current_setting('app.current_tenant_id', true), pg_backend_pid()"
EVENTS = "select tenant_id from attribution_events"


@pytest.fixture
def pool(database: Database) -> Iterator[Engine]:
    """A worker's pool of one connection, so that each transaction gets the one that the last one gave back."""
    made = sa.create_engine(database.url("app_user"), pool_size=1, max_overflow=0)
    engine.use_engine("worker", made)
    yield made
    engine.dispose()


@pytest.fixture
def tenants(database: Database) -> tuple[UUID, UUID]:
    """Tenant A with 3 events and tenant B with 2."""
    a, b = make_tenant(database, "a"), make_tenant(database, "b")
    for tenant, count in ((a, 3), (b, 2)):
        for minutes in range(count):
            make_event(database, tenant, minutes=minutes)
    return a, b


def who(connection: Connection) -> tuple[str, str, int]:
    user, tenant, pid = connection.exec_driver_sql(WHO).one()
    return user, tenant or "", pid


def seen(connection: Connection) -> list[UUID]:
    return [UUID(str(row[0])) for row in connection.exec_driver_sql(EVENTS)]


def test_tenant_and_role_end_with_the_transaction(pool: Engine, tenants: tuple[UUID, UUID]) -> None:
    a, _ = tenants
    with transaction(a, role="app_ro") as connection:
        user, tenant, pid = who(connection)
        assert (user, tenant) == ("app_ro", str(a))
        assert seen(connection) == [a] * 3
    with pool.connect() as connection:
        assert who(connection) == ("app_user", "", pid), "the same connection has forgotten both"
        assert seen(connection) == []


def test_an_exception_rolls_back_and_forgets(pool: Engine, tenants: tuple[UUID, UUID], database: Database) -> None:
    a, _ = tenants
    add = "insert into event_kinds (tenant_id, event_type, kind) values (%(tenant)s, 'download', 'touch')"
    count = "select count(*) from event_kinds where event_type = 'download'"
    with pytest.raises(ZeroDivisionError), transaction(a) as connection:
        pid = who(connection)[2]
        connection.exec_driver_sql(add, {"tenant": str(a)})
        raise ZeroDivisionError
    assert database.value(count) == 0
    with pytest.raises(sa.exc.DBAPIError), transaction(a) as connection:
        connection.exec_driver_sql("select 1/0")
    with pool.connect() as connection:
        assert who(connection) == ("app_user", "", pid)
    with transaction(a) as connection:
        connection.exec_driver_sql(add, {"tenant": str(a)})
    assert database.value(count) == 1


def test_the_next_transaction_has_its_own_tenant(pool: Engine, tenants: tuple[UUID, UUID]) -> None:
    a, b = tenants
    for tenant, count in ((a, 3), (b, 2), (None, 0), (a, 3)):
        with transaction(tenant) as connection:
            assert seen(connection) == [tenant] * count


def test_a_role_is_left_when_the_transaction_enters_again(pool: Engine, tenants: tuple[UUID, UUID]) -> None:
    a, b = tenants
    with transaction(a, role="app_import") as connection:
        engine.enter(connection, b)
        assert who(connection)[:2] == ("app_user", str(b))
        engine.enter(connection, None, "app_rw")
        assert who(connection)[:2] == ("app_rw", "")


def test_read_only_means_it(pool: Engine, tenants: tuple[UUID, UUID]) -> None:
    a, _ = tenants
    with pytest.raises(sa.exc.DBAPIError) as caught, transaction(a, read_only=True) as connection:
        connection.exec_driver_sql("delete from attribution_dirty_ranges")
    assert isinstance(caught.value.orig, psycopg2.errors.ReadOnlySqlTransaction)
    with transaction(a) as connection:
        connection.exec_driver_sql("delete from attribution_dirty_ranges")


def test_a_tenant_that_is_no_uuid_does_no_harm(pool: Engine, tenants: tuple[UUID, UUID]) -> None:
    hostile = "x', false); select set_config('app.current_tenant_id', 'y"
    with pytest.raises(sa.exc.DBAPIError) as caught, transaction(hostile) as connection:  # type: ignore[arg-type]
        seen(connection)
    assert isinstance(caught.value.orig, psycopg2.errors.InvalidTextRepresentation)


def test_logins_have_pools_of_their_own(pool: Engine, database: Database) -> None:
    with transaction(None, who="worker") as worker, transaction(None, who="console") as console:
        assert (who(worker)[0], who(console)[0]) == ("app_user", "console")


def test_a_session_setting_would_leak(pool: Engine, tenants: tuple[UUID, UUID]) -> None:
    """The reason for SET LOCAL: the same without it shows A's events to whoever comes next."""
    a, _ = tenants
    with pool.connect() as connection, connection.begin():
        connection.exec_driver_sql("select set_config('app.current_tenant_id', %(t)s, false)", {"t": str(a)})
    with pool.connect() as connection:
        assert seen(connection) == [a] * 3


def test_many_threads_on_few_connections_never_meet(database: Database, tenants: tuple[UUID, UUID]) -> None:
    engine.use_engine("worker", sa.create_engine(database.url("app_user"), pool_size=2, max_overflow=0))
    a, b = tenants
    expected = {a: [a] * 3, b: [b] * 2, None: []}
    wrong: list[object] = []

    def work(seed: int) -> None:
        choose = random.Random(seed)
        for _ in range(50):
            tenant = choose.choice(list(expected))
            try:
                with transaction(tenant) as connection:
                    found = seen(connection)
                    if found != expected[tenant]:
                        wrong.append((tenant, found))
                    if choose.random() < 0.2:
                        connection.exec_driver_sql("select 1/0")
            except sa.exc.DBAPIError:
                pass

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
