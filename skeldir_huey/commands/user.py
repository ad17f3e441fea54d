"""Accounts of the console: made, granted a role, given another password. Nobody can register by themselves."""

from __future__ import annotations

import argparse
import getpass
import pkgutil
import sys
from typing import Any

from skeldir_huey.db import urls
from skeldir_huey.errors import InputError

# Named, not imported: the console stands above the commands.
ACCOUNTS = "admin.users"
ROLES = ("viewer", "operator", "admin")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verbs = parser.add_subparsers(title="what", dest="verb", metavar="WHAT", required=True)
    create = verbs.add_parser("create", help="make an account with one role")
    grant = verbs.add_parser("grant", help="give an account a role in one more tenant, or another role")
    password = verbs.add_parser("password", help="give an account another password; its sessions end")
    for parser in (create, grant, password):
        parser.add_argument("email", metavar="EMAIL", help="how the person signs in")
    for parser in (create, grant):
        parser.add_argument("--role", required=True, choices=ROLES, help="viewer looks, operator acts, admin all")
        parser.add_argument("--tenant", metavar="NAME", help="the only tenant the role is for; without: all tenants")
    for parser in (create, password):
        parser.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


def run(args: argparse.Namespace) -> int:
    """Change one account and say what was done.

    Raises:
        InputError: a value is refused; nothing was written.
        Conflict: the account exists already.
    """
    urls.check_ready("console")
    accounts: Any = pkgutil.resolve_name(ACCOUNTS)
    where = f"in tenant {args.tenant}" if getattr(args, "tenant", None) else "in all tenants"
    if args.verb == "create":
        accounts.create_user(args.email, _password(args.password_stdin), args.role, args.tenant)
        print(f"{args.email}: account made, {args.role} {where}")
    elif args.verb == "grant":
        accounts.grant_role(args.email, args.role, args.tenant)
        print(f"{args.email}: {args.role} {where}")
    else:
        accounts.set_password(args.email, _password(args.password_stdin))
        print(f"{args.email}: password changed, all sessions ended")
    return 0


def _password(from_stdin: bool) -> str:
    if from_stdin:
        return sys.stdin.readline().rstrip("\r\n")
    if not sys.stdin.isatty():
        raise InputError("password", "no terminal to ask on; pass it on standard input with --password-stdin")
    first = getpass.getpass("Password (12 characters or more): ")
    if getpass.getpass("The same again: ") != first:
        raise InputError("password", "the two were not the same")
    return first
