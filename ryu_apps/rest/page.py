"""The live page: one HTML document, its ES modules and style sheets, as they are in ``page_files``.

They hold no state of the bridge, so they need no token; the page asks REST for all that it shows.
"""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256
from pathlib import Path

from ryu_apps.picture import STYLE
from ryu_apps.rest.bridge import Bridge, Document

HTML, SCRIPT, STYLE_SHEET = "text/html; charset=utf-8", "text/javascript; charset=utf-8", "text/css; charset=utf-8"

_FILES = {file.name: file.read_bytes() for file in sorted((Path(__file__).parent / "page_files").iterdir())}
#: Names without suffix.
SCRIPTS = [name.removesuffix(".js") for name in _FILES if name.endswith(".js")]
SHEETS = [name.removesuffix(".css") for name in _FILES if name.endswith(".css")]

#: The one style element that is not refused: the picture's, which the page reads as a document and replaces.
_STYLE_OF_PICTURE = b64encode(sha256(STYLE.encode()).digest()).decode()
#: Only files of this server act in the page; none of its forms and links leads to another server, and no other page
#: shows it in a frame (Content Security Policy Level 3).
_POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self' 'sha256-{_STYLE_OF_PICTURE}'; img-src data:; "
    "connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
#: A browser asks with its ETag each time, so that page and bridge are of one version.
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def page(bridge: Bridge, now: float) -> Document:
    """The live page, for a browser."""
    return _file("index.html", HTML)


def page_script(bridge: Bridge, now: float, script: str) -> Document:
    """An ES module of the live page."""
    return _file(f"{script}.js", SCRIPT)


def page_sheet(bridge: Bridge, now: float, sheet: str) -> Document:
    """A style sheet of the live page."""
    return _file(f"{sheet}.css", STYLE_SHEET)


def _file(name: str, content_type: str) -> Document:
    return Document(content_type, _FILES[name], _HEADERS)
