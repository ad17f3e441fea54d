"""Reading pages in tests: the text of a page, and the cells of a table row."""

from __future__ import annotations

import re
from html import unescape

from flask.testing import FlaskClient


def page(client: FlaskClient, path: str, status: int = 200) -> str:
    """Return a page's source with its entities resolved."""
    response = client.get(path)
    text = response.get_data(as_text=True)
    assert response.status_code == status, (path, response.status_code, text[:600])
    return unescape(text)


def part(text: str, row_id: str) -> str:
    """Return the source of a page from an element's id to the next section."""
    assert f'id="{row_id}"' in text, row_id
    return text.split(f'id="{row_id}"', 1)[1].split("<section", 1)[0]


def cells(text: str, heading: str) -> list[str]:
    """Return the texts of the table row with this heading."""
    for row in re.findall(r"<tr[^>]*>.*?</tr>", text, re.S):
        head = re.search(r'<th scope="row"[^>]*>(.*?)</th>', row, re.S)
        if head and plain(head[1]).startswith(heading):
            return [plain(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row, re.S)]
    raise AssertionError(f"no row {heading!r}")


def plain(source: str) -> str:
    """Return a piece of source without its elements."""
    return " ".join(re.sub(r"<[^>]+>", " ", source).split())


def figures(text: str) -> dict[str, str]:
    """Return the figures of a page's `figures` lists by their names."""
    found = re.findall(r"<div><dt>(.*?)</dt><dd[^>]*>(.*?)</dd></div>", text, re.S)
    return {plain(name): plain(value) for name, value in found}
