import warnings
warnings.simplefilter("error")
from tests.factories import *
def test_smoke(database, monkeypatch):
    from admin import create_app
    app = create_app()
    for r in sorted(app.url_map.iter_rules(), key=str): print(r, sorted(r.methods), r.endpoint)
    c = app.test_client()
    for p in ["/", "/admin/", "/healthz", "/readyz", "/metrics", "/admin/login", "/nope"]:
        r = c.get(p); print(p, r.status_code, r.headers.get("Location"), r.data[:150])
