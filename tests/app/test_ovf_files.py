"""Descriptors from files, directories and HTTP servers: bounded, and never from another host than the one named."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from ryu_apps import ovf_files
from ryu_apps.inventory_files import load_with_descriptors
from ryu_apps.ovf_files import acquire

GOLDEN = Path(__file__).parents[1] / "golden" / "ovf" / "referenced_profiles"
INVENTORIES = Path(__file__).parents[2] / "mininet_tests" / "inventories"


class Site(HTTPServer):
    """A server of files; a path that begins with ``/to?`` redirects there."""

    pages: dict[str, bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class Pages(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.removeprefix("/to?"))
            self.end_headers()
            return
        page = self.server.pages.get(self.path)
        self.send_response(404 if page is None else 200)
        self.end_headers()
        self.wfile.write(page or b"")

    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing."""


def serving() -> Iterator[Site]:
    with Site(("127.0.0.1", 0), Pages) as server:
        server.pages = {}
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


site = pytest.fixture(serving, name="site")
other = pytest.fixture(serving, name="other")


def reasons(place: str) -> list[str]:
    acquired, found = acquire([place], Path())
    assert acquired == []
    return [diagnostic.reason for diagnostic in found]


def test_an_inventory_is_completed_from_a_server(site: Site, tmp_path: Path) -> None:
    site.pages["/front.ovf"] = (INVENTORIES / "paper-modest" / "front.ovf").read_bytes()
    text = (INVENTORIES / "paper-modest.yaml").read_text(encoding="utf-8")
    path = tmp_path / "inventory.yaml"
    loaded, found = load_with_descriptors(
        (str(path), text.replace("paper-modest/front.ovf", f"'{site.url}/front.ovf'"))
    )
    assert loaded is not None and found == []
    assert loaded.inventory.vms["fw"].interface.type_id == 235
    missing, found = load_with_descriptors((str(path), text))
    assert missing is None and "No such file" in str(found)


def test_redirections_are_followed_at_the_host_and_nowhere_else(site: Site, other: Site) -> None:
    site.pages["/a.ovf"] = other.pages["/a.ovf"] = b"<Envelope/>"
    acquired, found = acquire([f"{site.url}/to?/a.ovf"], Path())
    assert [descriptor.text for descriptor in acquired] == ["<Envelope/>"] and found == []
    (reason,) = reasons(f"{site.url}/to?{other.url}/a.ovf")
    assert reason.startswith("redirects to another host")


def test_what_a_server_does_not_have_or_has_too_much_of_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert reasons(f"{site.url}/nothing.ovf") == ["HTTP 404 Not Found"]
    assert reasons("http:///a.ovf") == ["a URL has a host"]
    site.pages["/large.ovf"] = b"x" * 8_000_001
    assert reasons(f"{site.url}/large.ovf") == ["more than 8000000 octets"]
    site.pages["/latin.ovf"] = b"\xe4"
    assert reasons(f"{site.url}/latin.ovf") == ["not UTF-8 text"]


def test_an_answer_without_an_end_is_left_at_the_deadline(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer that ends with its connection, an octet at a time."""
    halt = threading.Event()

    def trickle(handler: Pages) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not halt.wait(0.05):
            try:
                handler.wfile.write(b"x")
            except OSError:
                return

    monkeypatch.setattr(Pages, "do_GET", trickle)
    monkeypatch.setattr(ovf_files, "_DEADLINE", 0.5)
    limit = threading.Timer(30.0, halt.set)
    limit.start()
    assert reasons(f"{site.url}/slow.ovf") == ["no end within 0.5 s"]
    assert not halt.is_set(), "the server ended it"
    limit.cancel()


def test_profiles_are_fetched_from_the_server_of_the_descriptor_only(site: Site, other: Site) -> None:
    site.pages["/d/a.ovf"], site.pages["/d/p.xml"] = b"<Envelope/>", b"<p/>"
    ((_, _, fetch),), _ = acquire([f"{site.url}/d/a.ovf"], Path())
    assert fetch("p.xml") == (f"{site.url}/d/p.xml", "<p/>")
    assert fetch(f"{other.url}/d/p.xml") == "not fetched from another host than the descriptor's"
    assert fetch("file:///etc/passwd") == "not fetched from another host than the descriptor's"
    assert fetch("q.xml") == "HTTP 404 Not Found"
    told = [fetch("p.xml") for _ in range(100)]
    assert told[-1] == "more than 64 network port profiles"


def test_a_directory_is_read_in_the_order_of_names_and_profiles_beside_it(tmp_path: Path) -> None:
    for path in GOLDEN.iterdir():
        if path.is_file():
            (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "another.ovf").write_text("<Envelope/>", encoding="utf-8")
    acquired, found = acquire(["."], tmp_path)
    assert [Path(descriptor.file).name for descriptor in acquired] == ["another.ovf", "package.ovf"] and found == []
    assert acquired[0].fetch("../etc/passwd") != acquired[0].fetch("another.ovf")
    assert reasons(str(tmp_path / "empty")) and "outside" in str(acquired[0].fetch("../x.xml"))


def test_an_empty_directory_is_a_mistake(tmp_path: Path) -> None:
    assert reasons(str(tmp_path)) == ["no .ovf file in this directory"]
