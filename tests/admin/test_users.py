"""Accounts: made by command, no default password, safe to repeat for the demo."""

from __future__ import annotations

import subprocess
import sys

import pytest

from admin import create_app, users
from skeldir_huey.errors import Conflict, InputError
from tests.admin.world import sign_in
from tests.cluster import Database
from tests.conftest import ROOT
from tests.factories import make_tenant

GOOD = "a password of good length"


def run(env: dict[str, str], *words: str, text: str = GOOD) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "skeldir_huey", "user", *words]
    return subprocess.run(
        command, input=text + "\n", capture_output=True, text=True, env=env, cwd=ROOT, timeout=60, check=False
    )


def test_the_command_makes_an_account_that_signs_in(database: Database, env: dict[str, str]) -> None:
    tenant_id = make_tenant(database, "acme")
    done = run(env, "create", "Dana@Example.com", "--role", "operator", "--tenant", "acme", "--password-stdin")
    assert done.returncode == 0, done.stderr
    assert database.query("select email, password like '$argon2id$%%' from console_user") == [
        ("dana@example.com", True)
    ]
    assert database.query("select role, tenant_id::text from console_grant") == [("operator", str(tenant_id))]
    client = create_app().test_client()
    assert sign_in(client, "dana@example.com", GOOD).status_code == 302
    assert client.get("/admin/", follow_redirects=True).status_code == 200

    again = run(env, "create", "dana@example.com", "--role", "admin", "--password-stdin")
    assert again.returncode == 1 and "there is such an account already" in again.stderr
    assert run(env, "grant", "dana@example.com", "--role", "admin").returncode == 0
    assert run(env, "password", "dana@example.com", "--password-stdin", text="yet another password").returncode == 0
    assert client.get("/admin/").status_code == 302, "its sessions ended"
    assert sorted(database.query("select action from console_audit where actor = 'command line'")) == [
        ("grant",),
        ("grant",),
        ("set_password",),
    ]


@pytest.mark.parametrize(
    ("words", "text", "named"),
    [
        (("create", "dana@example.com", "--role", "admin", "--password-stdin"), "short", "password"),
        (("create", "dana@example.com", "--role", "admin", "--password-stdin"), "x" * 129, "password"),
        (("create", "no-address", "--role", "admin", "--password-stdin"), GOOD, "email"),
        (("create", "d@e.org", "--role", "admin", "--tenant", "nope", "--password-stdin"), GOOD, "tenant"),
        (("create", "d@e.org", "--role", "admin"), GOOD, "password"),
        (("grant", "d@e.org", "--role", "admin"), GOOD, "email"),
        (("create", "d@e.org", "--role", "boss", "--password-stdin"), GOOD, "--role"),
    ],
)
def test_bad_input_names_the_field(
    database: Database, env: dict[str, str], words: tuple[str, ...], text: str, named: str
) -> None:
    done = run(env, *words, text=text)
    assert done.returncode == 2 and named in done.stderr and "Traceback" not in done.stderr
    assert database.value("select count(*) from console_user") == 0


def test_the_demo_account_is_safe_to_repeat(database: Database) -> None:
    first = users.ensure_demo_user("demo@example.com", GOOD)
    kept = database.value("select password from console_user")
    assert users.ensure_demo_user("demo@example.com", GOOD) == first
    assert database.value("select password from console_user") == kept
    assert users.ensure_demo_user("demo@example.com", "another good password") == first
    assert users.verify(database.value("select password from console_user"), "another good password")
    assert database.query("select role, tenant_id from console_grant") == [("admin", None)]
    assert database.value("select count(*) from console_audit") == 1


def test_refusals_of_the_functions(database: Database) -> None:
    with pytest.raises(InputError, match="role"):
        users.create_user("a@b.org", GOOD, "boss")
    users.create_user("a@b.org", GOOD, "viewer")
    with pytest.raises(Conflict):
        users.create_user("A@B.org", GOOD, "viewer")
    assert not users.verify("not a hash", GOOD)
