"""Forty texts that try to become code, in every place that strangers and tasks can write to: they stay text."""

from __future__ import annotations

import html
import json
from collections.abc import Callable

import pytest
from flask.testing import FlaskClient

from tests.admin import walk
from tests.admin.world import World
from tests.factories import make_letter

Client = Callable[[str | None], FlaskClient]

PAYLOADS = [
    "<script>alert(1)</script>",
    "<ScRiPt>alert(1)</sCrIpT>",
    "<script src=//evil.example/x.js></script>",
    "<script/src=data:,alert(1)>",
    "</script><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "</textarea><script>alert(1)</script>",
    "</pre><script>alert(1)</script>",
    "</code></td><img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)>",
    "<img src=x onerror=alert(1)//",
    "<img src='javascript:alert(1)'>",
    "<svg onload=alert(1)>",
    "<svg><script>alert(1)</script></svg>",
    "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
    '<math><mi//xlink:href="data:x,<script>alert(1)</script>">',
    "<body onload=alert(1)>",
    "<iframe src=javascript:alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<object data=javascript:alert(1)>",
    "<embed src=javascript:alert(1)>",
    "<base href=//evil.example/>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css';</style>",
    "<meta http-equiv=refresh content='0;url=javascript:alert(1)'>",
    "<form action=//evil.example><button>x</button></form>",
    "<input autofocus onfocus=alert(1)>",
    "<details open ontoggle=alert(1)>",
    "<a href=javascript:alert(1)>x</a>",
    "<a href='jAvAsCrIpT&colon;alert(1)'>x</a>",
    "<template><script>alert(1)</script></template>",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>">',
    "<!--><script>alert(1)</script-->",
    "<![CDATA[<script>alert(1)</script>]]>",
    '" onmouseover="alert(1)',
    "' onfocus='alert(1)' autofocus='",
    '"><script>alert(1)</script>',
    "javascript:alert(1)",
    "{{ 31337 * 31337 }}{% for x in [1] %}{{ x }}{% endfor %}",
    "\u2028<script>alert(1)</script>\ufeff<\u0131mg src=x onerror=alert(1)>",
]

TRACEBACK = """Traceback (most recent call last):
  File "PAYLOAD", line 1, in PAYLOAD
    PAYLOAD
PAYLOAD
"""


@pytest.mark.timeout(400)
def test_forty_payloads_stay_text(world: World, client_of: Client) -> None:
    assert len(set(PAYLOADS)) == 40
    database = world.database
    for number, payload in enumerate(PAYLOADS):
        make_letter(
            database,
            world.a.tenant_id,
            task_name=f"task {payload}",
            exception_class=payload[:60],
            error_message=payload,
            traceback=TRACEBACK.replace("PAYLOAD", payload),
            task_args=json.dumps([payload]),
            task_kwargs=json.dumps({payload: {payload: payload}}),
            fingerprint=f"{number:016x}",
        )
    everything = " ".join(PAYLOADS)
    database.query(
        "update tenants set display_name = left(%s, 200) where id = %s", (everything, str(world.a.tenant_id))
    )
    database.query("update huey.job set task_name = left(%s, 200), lane = 'attribution'", (everything,))
    database.query("update huey.job_attempt set error_message = %s, worker = left(%s, 200)", (everything, everything))
    database.query("update attribution_recompute_jobs set error_message = %s", (everything,))
    database.query(
        "update huey.lane set paused_at = now(), paused_by = %s, pause_reason = %s where name = 'attribution'",
        (PAYLOADS[9], everything),
    )
    database.query(
        "insert into console_audit (tenant_id, actor, action, target_type, target_id, reason, result, source_address,"
        " detail) select %s, p, left(p, 60), p, p, p, 'ok', p, jsonb_build_object(p, p, 'before',"
        " jsonb_build_object(p, p)) from unnest(%s) p",
        (str(world.a.tenant_id), PAYLOADS),
    )
    client = client_of(world.admin)
    letters = [
        row[0] for row in database.query("select id::text from worker_failed_jobs where fingerprint is not null")
    ]
    seen = ""
    pages = [*walk.crawl(client, "/admin/", per_kind=2)]
    pages += [(path, client.get(path)) for path in (f"/admin/dead/{letter}/" for letter in letters)]
    for path, response in pages:
        text = response.get_data(as_text=True)
        assert response.status_code < 500, path
        if response.mimetype == "text/html":
            assert walk.Page(text).dangers == [], path
            for payload in PAYLOADS:
                assert "<" not in payload or payload not in text, (path, payload)
            assert str(31337 * 31337) not in text, path  # no id that is made by chance contains it
            seen += text
    for payload in PAYLOADS:
        assert html.escape(payload.strip()).replace("&#x27;", "&#39;").replace("&quot;", "&#34;") in seen, payload
