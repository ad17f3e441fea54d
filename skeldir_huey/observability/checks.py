"""What can be wrong with a deployment, each thing as one plain function: the page Health and `doctor` show the same.

A check reads through the connection that it is given, in a transaction, and changes nothing.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from skeldir_huey.clock import utc_now
from skeldir_huey.config import settings
from skeldir_huey.db import audit
from skeldir_huey.db.tables import Base
from skeldir_huey.observability.asking import ask, together
from skeldir_huey.parsers import ROOT

OK, WARN, BAD = "ok", "warn", "bad"
SKEW_WARN_S, SKEW_BAD_S = 2.0, 30.0
TRANSACTION_WARN_S, TRANSACTION_BAD_S = 300.0, 3600.0
DEAD_ROWS, DEAD_SHARE = 10_000, 0.2
TICK_WARN_S = 150.0


@dataclass(frozen=True)
class Check:
    """One finding: what was looked at, ok / warn / bad, what it means, and what to do ("" when nothing)."""

    name: str
    state: str
    meaning: str
    advice: str = ""

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


Probe = Callable[[Connection], list[Check]]


def worst(found: Sequence[Check]) -> str:
    """Return the worst state among checks; ok when there are none."""
    return max((check.state for check in found), key=(OK, WARN, BAD).index, default=OK)


def seconds(value: float | None) -> str:
    """Return a duration in words: 40 s, 12 min, 3 h, 2 d."""
    if value is None:
        return "an unknown time"
    value = max(value, 0.0)
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if value >= size:
            return f"{int(value // size)} {unit}"
    return f"{value:.1f} s" if value < 10 else f"{int(value)} s"


def size(value: float) -> str:
    """Return a number of bytes in words: 812 MB, 1.4 GB."""
    for unit, factor in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= factor:
            return f"{value / factor:.1f} {unit}"
    return f"{value / 1e3:.0f} kB"


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}" + ("" if number == 1 else "s")


def migrations(connection: Connection) -> list[Check]:
    """Is the database at the newest migration that this code has?"""
    known = sorted(path.name.split("_", 1)[0] for path in (ROOT / "alembic" / "versions").glob("[0-9]*.py"))
    present = [row["revision"] for row in ask(connection, "doctor_migrations")]
    if not present:
        return [Check("migrations", BAD, "the database is not migrated", "run `alembic upgrade head`")]
    if known and known[-1] in present:
        return [Check("migrations", OK, f"at {known[-1]}, the newest of this version")]
    if set(present) <= set(known):
        text = f"at {max(present)}, this version needs {known[-1]}"
        return [Check("migrations", BAD, text, "run `alembic upgrade head`")]
    text = f"at {max(present)}, newer than this version"
    return [Check("migrations", WARN, text, "normal during a deploy; else update this machine")]


def role_powers(connection: Connection) -> list[Check]:
    """May the login do more than it must? Row security would not hold then."""
    (role,) = ask(connection, "doctor_role")
    if not role["powers"]:
        return [Check("role", OK, f"{role['login']} has no more rights than it needs")]
    text = f"{role['login']} {', '.join(role['powers'])}: row security would not hold"
    return [Check("role", BAD, text, "use the login that `make run` made, or take these rights away")]


def forced_row_security(connection: Connection) -> list[Check]:
    """Has every table of tenants its row security enabled and forced?"""
    open_tables = [row["name"] for row in ask(connection, "doctor_unforced")]
    if not open_tables:
        return [Check("row security", OK, "enabled and forced on every table of tenants")]
    advice = "enable and force it there, with a policy as the other tables have: see the migrations"
    return [Check("row security", BAD, f"not forced on {', '.join(open_tables)}", advice)]


def sees_nothing_without_tenant(connection: Connection) -> list[Check]:
    """Does a transaction for no tenant see no tenant's row? Give it a connection that acts for none."""
    tables = [table for table in Base.metadata.sorted_tables if "tenant_id" in table.c]
    allowed = connection.execute(
        sa.select(
            *(sa.func.has_table_privilege(table.fullname, "select").label(f"t{i}") for i, table in enumerate(tables))
        )
    ).one()
    readable = [table for table, may in zip(tables, allowed, strict=True) if may]
    if not readable:
        return [Check("tenant wall", WARN, "this login reads no table of tenants, so nothing was probed")]
    seen = [
        sa.select(sa.literal(table.fullname)).where(sa.exists().where(table.c.tenant_id.is_not(None)))
        for table in readable
    ]
    leaking = sorted(connection.scalars(sa.union_all(*seen)))
    if leaking:
        text = f"without a tenant, rows of tenants are visible in {', '.join(leaking)}"
        return [Check("tenant wall", BAD, text, "stop the console and the workers, and look at the policies")]
    return [Check("tenant wall", OK, f"without a tenant, none of {len(readable)} tables shows a tenant's row")]


def lanes(connection: Connection) -> list[Check]:
    """Who drains each lane, with which versions, and do they hear of new jobs?"""
    found = []
    for lane in ask(connection, "doctor_lanes", frozen_after_s=settings().frozen_after_s):
        name = f"lane {lane['lane']}"
        if not lane["consumers"]:
            text = "no consumer is alive: its jobs wait"
            found.append(
                Check(name, BAD, text, f"start one: SKELDIR_LANES={lane['lane']} huey_consumer skeldir_huey.main.huey")
            )
            continue
        text = f"{_counted(lane['consumers'], 'consumer')}, {_counted(lane['workers'], 'worker')}"
        text += f", version {', '.join(lane['versions'])}"
        text += f", heard from {seconds(lane['heartbeat_age_s'])} ago"
        if len(lane["versions"]) > 1:
            found.append(Check(name, WARN, text, "normal during a deploy; else restart the older ones"))
        elif lane["paused"]:
            found.append(Check(name, WARN, f"paused; {text}", "resume it in the console, page Queues"))
        elif lane["without_lock"]:
            text += f"; {lane['without_lock']} cannot listen and look once a second"
            found.append(Check(name, WARN, text, "set DATABASE_DIRECT_URL to the server past the pooler"))
        else:
            found.append(Check(name, OK, text))
    silent = ask(connection, "doctor_silent", frozen_after_s=settings().frozen_after_s)
    for one in silent:
        text = f"{one['host']} pid {one['pid']} was not heard from for {seconds(one['silent_s'])}"
        found.append(Check("silent consumer", WARN, text, "it died or hangs; its jobs are given to others"))
    return found


def scheduler(connection: Connection) -> list[Check]:
    """Are the periodic tasks looked at?"""
    age_s = ask(connection, "doctor_ticks")[0]["age_s"]
    if age_s is None:
        return [Check("scheduler", WARN, "no consumer ever looked at the periodic tasks", "start a consumer")]
    text = f"periodic tasks were looked at {seconds(age_s)} ago"
    if age_s > TICK_WARN_S:
        return [Check("scheduler", BAD, f"{text}: no consumer ticks", "start a consumer without -n (no periodic)")]
    return [Check("scheduler", OK, text)]


def clock(connection: Connection) -> list[Check]:
    """Does this machine's clock agree with the server's?"""
    before = utc_now()
    server = ask(connection, "doctor_clock")[0]
    middle = before + (utc_now() - before) / 2
    skew_s = (middle - server["now"].astimezone(dt.UTC)).total_seconds()
    text = f"this machine is {abs(skew_s):.1f} s {'ahead of' if skew_s > 0 else 'behind'} the server"
    advice = "start NTP here and on the server; jobs follow the server's clock"
    state = BAD if abs(skew_s) > SKEW_BAD_S else WARN if abs(skew_s) > SKEW_WARN_S else OK
    return [Check("clock", state, text, "" if state == OK else advice)]


def transactions(connection: Connection) -> list[Check]:
    """Which transactions are old, and who keeps vacuum from cleaning up?"""
    sessions = ask(connection, "doctor_sessions")
    found = []
    for one in sessions:
        if one["transaction_s"] < TRANSACTION_WARN_S:
            continue
        text = f"pid {one['pid']} ({one['login']} {one['name']}, {one['state']}) is in a transaction for "
        text += f"{seconds(one['transaction_s'])}, its statement began {seconds(one['query_s'])} ago"
        text += "; it holds back vacuum" if one["holds_vacuum"] else ""
        state = BAD if one["transaction_s"] > TRANSACTION_BAD_S else WARN
        found.append(
            Check(
                "old transaction", state, text, f"end it if nobody needs it: select pg_terminate_backend({one['pid']})"
            )
        )
    horizon = ask(connection, "doctor_horizon")[0]
    if horizon["prepared"]:
        text = f"{horizon['prepared']} prepared transactions hold back vacuum, for {seconds(horizon['prepared_s'])}"
        found.append(Check("prepared transactions", WARN, text, "commit or roll them back: see pg_prepared_xacts"))
    if horizon["idle_slots"]:
        text = f"{horizon['idle_slots']} replication slots that nobody reads keep old rows and log"
        found.append(Check("replication slots", WARN, text, "drop those that are not needed: see pg_replication_slots"))
    oldest = max((one["transaction_s"] for one in sessions), default=None)
    if not found:
        seen = f"the oldest is {seconds(oldest)} old" if oldest is not None else "none is open"
        hidden = f"; {horizon['hidden']} sessions of other logins cannot be looked into" if horizon["hidden"] else ""
        found.append(Check("transactions", OK, f"{seen}{hidden}"))
    return found


def dead_rows(connection: Connection) -> list[Check]:
    """Does vacuum keep up?"""
    found = []
    tables = ask(connection, "doctor_bloat")
    for one in tables:
        if one["dead"] > DEAD_ROWS and one["dead"] > DEAD_SHARE * max(one["live"], 1):
            text = f"{one['name']} has {one['dead']} dead rows beside {one['live']} live ones, "
            text += (
                f"last cleaned {seconds(one['vacuum_age_s'])} ago"
                if one["vacuum_age_s"] is not None
                else "never cleaned"
            )
            found.append(
                Check("dead rows", WARN, text, f"see who holds back vacuum, then: vacuum analyze {one['name']}")
            )
    most = f"most in {tables[0]['name']}: {tables[0]['dead']}" if tables else "none"
    return found or [Check("dead rows", OK, most)]


def partitions(connection: Connection) -> list[Check]:
    """Has the history of jobs a partition for today and tomorrow?"""
    missing = ask(connection, "doctor_partitions")
    if not missing:
        return [Check("partitions", OK, "the history has a partition for today and tomorrow")]
    days = ", ".join(row["day"] for row in missing)
    text = f"the history has no partition for {days}; its rows go to the default one and are slow to delete"
    state = BAD if any(row["is_today"] for row in missing) else WARN
    return [Check("partitions", state, text, "a running consumer makes them each hour; start one, or look at its log")]


def database_size(connection: Connection) -> list[Check]:
    """How large is the database?"""
    (found,) = ask(connection, "doctor_size")
    text = f"{size(found['bytes'])}, of which {found['name']} {size(found['big_bytes'])}"
    return [Check("size", OK, text)]


def audit_chain(connection: Connection) -> list[Check]:
    """Is every row of the audit log as it was written? Give it a connection that acts as console_all."""
    chains = list(audit.verify(connection))
    for chain in chains:
        if chain.fault:
            return _changed(chain.tenant_name, chain.words)
    return [Check("audit log", OK, f"{_counted(sum(chain.length for chain in chains), 'row')}, all as written")]


def audit_tail(connection: Connection) -> list[Check]:
    """Are the newest rows of the audit log as they were written? Give it a connection that acts as console_all."""
    (found,) = ask(connection, "doctor_audit")
    if found["fault"]:
        return _changed(found["tenant_name"], audit.WORDS[found["fault"]].format(no=found["fault_no"]))
    text = (
        f"{_counted(found['row_count'], 'row')}; the newest {found['looked_at']} and the end of each chain as written"
    )
    return [Check("audit log", OK, text)]


def _changed(tenant_name: str | None, words: str) -> list[Check]:
    text = f"{tenant_name or 'rows without tenant'}: {words}"
    return [Check("audit log", BAD, text, "somebody changed it behind our back; compare with a backup")]


# The questions of each probe that may be asked together with others.
QUESTIONS: dict[Probe, tuple[str, ...]] = {
    lanes: ("doctor_lanes", "doctor_silent"), scheduler: ("doctor_ticks",), dead_rows: ("doctor_bloat",),
    partitions: ("doctor_partitions",), database_size: ("doctor_size",), migrations: ("doctor_migrations",),
    role_powers: ("doctor_role",), transactions: ("doctor_sessions", "doctor_horizon"),
}  # fmt: skip

# What is asked once, as a role that sees the queue; what each login is asked as itself; and for nobody's tenant.
INSTANCE: tuple[Probe, ...] = (
    migrations, forced_row_security, lanes, scheduler, clock, dead_rows, partitions, database_size,
)  # fmt: skip
LOGIN: tuple[Probe, ...] = (role_powers, transactions)
WALL: tuple[Probe, ...] = (sees_nothing_without_tenant,)


def run(probes: Sequence[Probe], connection: Connection) -> list[Check]:
    """Run checks one after the other; one that fails is itself a finding and does not end the others."""
    found = []
    with together(connection, [name for probe in probes for name in QUESTIONS.get(probe, ())]):
        for probe in probes:
            try:
                with connection.begin_nested():
                    found += probe(connection)
            except sa.exc.DBAPIError as error:
                text = str(error.orig).strip().splitlines()[0]
                found.append(Check(probe.__name__.replace("_", " "), BAD, f"could not be checked: {text}", ""))
    return found
