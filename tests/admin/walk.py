"""Walks of the console: every route, every id of a tenant, every link. New pages and tables are found by themselves."""

from __future__ import annotations

import functools
import inspect
import re
import sys
from collections import Counter
from collections.abc import Iterator
from html.parser import HTMLParser
from itertools import product
from types import ModuleType
from typing import Any
from urllib.parse import parse_qsl, urljoin, urlsplit
from uuid import UUID, uuid4

from flask import Flask
from flask.testing import FlaskClient
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from admin import queue_actions
from admin.actions import VERBS
from admin.permissions import NEED
from admin.views import users
from skeldir_huey.config import LANES
from tests.cluster import Database

STATIC = {"static", "security.static", "admin.static", "prometheus_metrics", "healthz", "readyz"}

WORDS = sorted({*NEED, *VERBS, *queue_actions.VERBS, *users.VERBS, "edit", "run", "cancel", "retry", "undo", "export"})
# Arguments of routes that are words and not ids, and their values; any other argument is taken for an id.
CHOICES: dict[str, tuple[str, ...]] = {
    "verb_name": (),
    "verb": (),
    "lane": LANES,
    "filename": ("base.css",),
    "token": ("made-up",),
}

_KEYS = """
select a.attrelid::regclass::text, a.attname::text, t.column_name::text
  from pg_attribute a
  join pg_class c on c.oid = a.attrelid and c.relkind in ('r', 'p') and not c.relispartition
  join information_schema.columns t on t.table_schema = c.relnamespace::regnamespace::text
   and t.table_name = c.relname and t.column_name = 'tenant_id'
 where c.relnamespace::regnamespace::text in ('public', 'huey') and not a.attisdropped
   and a.attname in ('id', 'task_id', 'fingerprint', 'correlation_id', 'model_version')
 order by 1, 2
"""
_TABLES = """
select c.oid::regclass::text from pg_class c
 where c.relkind in ('r', 'p') and not c.relispartition and c.relnamespace::regnamespace::text in ('public', 'huey')
   and c.relname <> 'alembic_version' order by 1
"""
# What a sign-in and a refusal write; nothing else may change by a request that is turned away.
QUIET = {"console_attempt", "console_session", "console_audit_head"}


def rules(app: Flask, method: str) -> list[Rule]:
    """Return the routes that take this method, without files and what machines ask."""
    return [rule for rule in app.url_map.iter_rules() if method in (rule.methods or ()) and rule.endpoint not in STATIC]


def words_of(app: Flask, rule: Rule) -> tuple[str, ...]:
    """Return the verbs of a page: what its function compares `verb_name` with, else every verb there is."""
    function = app.view_functions[rule.endpoint]
    source = inspect.getsource(inspect.unwrap(function))
    known = re.findall(r"verb_name not in ([\w.]+)|([\w.]+)\.get\(verb_name\)", source)
    names = [name for pair in known for name in pair if name]
    found = {str(word) for name in names for word in resolve(sys.modules[function.__module__], name)}
    return tuple(sorted(found)) or tuple(WORDS)


def resolve(module: ModuleType, dotted: str) -> Any:
    """Return what a dotted name means in a module."""
    return functools.reduce(getattr, dotted.split("."), module)


def paths(app: Flask, rule: Rule, row_id: object = "") -> Iterator[str]:
    """Yield the paths of a route: each choice of its words, the id in every other argument."""
    names = sorted(rule.arguments)
    choices = CHOICES | {"verb_name": words_of(app, rule), "verb": words_of(app, rule)}
    for values in product(*(choices.get(name, (str(row_id),)) for name in names)):
        path = str(rule)
        for name, value in zip(names, values, strict=True):
            path = re.sub(rf"<(?:\w+(?:\([^)]*\))?:)?{name}>", value, path)
        yield path


def takes_id(rule: Rule) -> bool:
    """Return whether an argument of a route is an id."""
    return bool(rule.arguments - set(CHOICES))


def ids_of(database: Database, tenant_id: UUID) -> set[str]:
    """Return every id in the rows of a tenant, of whatever table."""
    found = set()
    for table, column, _ in database.query(_KEYS):
        statement = f"select distinct {column}::text from {table} where tenant_id = %s limit 1"
        found |= {value for (value,) in database.query(statement, (str(tenant_id),)) if value}
    return found | {str(tenant_id)}


def foreign_ids(database: Database, own: UUID, other: UUID) -> list[str]:
    """Return the ids of another tenant that are none of one's own, and one that nobody has."""
    return [*sorted(ids_of(database, other) - ids_of(database, own)), str(uuid4())]


def digest(database: Database) -> dict[str, str]:
    """Return a digest of every table; refusals in the audit log do not count."""
    found = {}
    for (table,) in database.query(_TABLES):
        if table not in QUIET:
            where = "where result <> 'refused'" if table == "console_audit" else ""
            found[table] = database.value(
                f"select md5(coalesce(string_agg(t::text, '|' order by t::text), '')) from {table} t {where}"
            )
    return found


def bare(response: TestResponse, *hidden: str) -> str:
    """Return the text of an answer without what differs each time: request id, tokens, and what is to be hidden."""
    text = response.get_data(as_text=True).replace(response.headers["X-Request-Id"], "")
    for word in hidden:
        text = text.replace(word, "")
    return re.sub(r'name="csrf_token" value="[^"]*"', "", text)


class Page(HTMLParser):
    """The links of a page, and everything in it that a browser would execute."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.links: list[str] = []
        self.dangers: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "form" and given.get("method", "get") == "get" and "action" in given:
            self.links.append(given["action"])
        inline = tag == "script" and not given.get("src", "").startswith("/static/")
        if inline or tag in ("iframe", "object", "embed", "base", "style", "math", "foreignobject", "template"):
            self.dangers.append(tag)
        for name, value in given.items():
            script = re.match(r"[\s\x00-\x1f]*(javascript|vbscript|data):", value, re.IGNORECASE)
            picture = value.startswith(("data:image/svg+xml;base64,", "data:,"))
            address = name in ("href", "src", "action", "formaction", "xlink:href", "data", "poster", "srcset", "ping")
            if name.startswith("on") or name in ("style", "srcdoc") or (address and script and not picture):
                self.dangers.append(f"{tag} {name}={value[:60]}")


def crawl(client: FlaskClient, start: str, *, per_kind: int = 3, most: int = 250) -> Iterator[tuple[str, TestResponse]]:
    """Yield every page that links lead to, at most `per_kind` that differ only in their ids and values."""
    seen: set[str] = set()
    kinds: Counter[Any] = Counter()
    waiting = [start]
    while waiting and len(seen) < most:
        path = waiting.pop(0)
        parts = urlsplit(path)
        kind = re.sub(r"[0-9a-f]{8,}[0-9a-f-]*", "#", parts.path), tuple(sorted({k for k, _ in parse_qsl(parts.query)}))
        if path in seen or kinds[kind] >= per_kind or not parts.path.startswith("/") or parts.netloc:
            continue
        seen.add(path)
        kinds[kind] += 1
        response = client.get(path)
        yield path, response
        if response.mimetype == "text/html":
            found = Page(response.get_data(as_text=True)).links
            waiting += [urljoin(path, link).split("#")[0] for link in found]
        if response.status_code in (301, 302, 303, 308):
            waiting.append(urljoin(path, response.location))
