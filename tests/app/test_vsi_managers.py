"""VSI managers over real HTTP and TLS: a client under Ryu's own green threads, evbridge and plain files as servers."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pytest

from tests.app.test_evb_rest import RYU_MANAGER, Server, free_port
from tests.worlds.managers import policy

#: Fetches what it is told to on its standard input, inside ryu-manager, and says what came of it.
PROBE = Path(__file__).with_name("fetching_app.py")
#: Seconds for a manager that answers at once, on a busy machine.
PATIENCE = 20.0


class Manager(BaseHTTPRequestHandler):
    """Answers by path; what it was asked is in ``asked``."""

    asked: ClassVar[list[tuple[str, str | None]]] = []

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["If-None-Match"] or self.headers["If-Modified-Since"]))
        kind, _, rest = self.path[1:].partition("/")
        getattr(self, kind)(rest)

    def good(self, _: str) -> None:
        self._say(200, policy(), ETag='"one"')

    def known(self, _: str) -> None:
        self._say(304 if self.headers["If-None-Match"] == '"one"' else 200, b"")

    def many(self, _: str) -> None:
        rule = b"    - rule: {tcp_dst: 80, actions: {allow: 1}}\n"
        self._say(200, policy().replace(rule, rule * 3000))

    def missing(self, _: str) -> None:
        self._say(404, b"")

    def busy(self, _: str) -> None:
        self._say(503, b"")

    def faulty(self, _: str) -> None:
        self._say(200, policy().replace(b"to_vm", b"to_wm"))

    def large(self, _: str) -> None:
        self._say(200, policy() + b"#" * 2_000_000)

    def short(self, _: str) -> None:
        self._say(200, policy(), **{"Content-Length": "5000"})

    def around(self, rest: str) -> None:
        self._say(302, b"", Location=f"/good/{rest}")

    def circle(self, rest: str) -> None:
        self._say(302, b"", Location=f"/circle/{rest}")

    def away(self, rest: str) -> None:
        self._say(302, b"", Location=f"http://localhost:{self.server.server_address[1]}/good/{rest}")

    def aside(self, rest: str) -> None:
        self._say(302, b"", Location=f"http://127.0.0.1:1/good/{rest}")

    def otherwise(self, rest: str) -> None:
        self._say(302, b"", Location=f"https://127.0.0.1:{self.server.server_address[1]}/good/{rest}")

    def hang(self, _: str) -> None:
        time.sleep(60)

    def drip(self, _: str) -> None:
        """Never silent for long, and never done."""
        self.send_response(200)
        self.end_headers()
        for _ in range(600):
            self.wfile.write(b"#")
            self.wfile.flush()
            time.sleep(0.1)

    def _say(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def web(handler: Any, tls: ssl.SSLContext | None = None, port: int = 0) -> Iterator[int]:
    """A web server in threads; its port."""
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    server.daemon_threads = True
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,))
    thread.start()
    try:
        yield server.server_address[1]
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate of 127.0.0.1 that vouches for itself, with its key in the same file."""
    folder = tmp_path_factory.mktemp("tls")
    pem = folder / "server.pem"
    names = ["-subj", "/CN=manager", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    subprocess.run([*command, "-days", "2", *names, "-keyout", pem, "-out", folder / "ca.pem"], check=True)
    pem.write_bytes(pem.read_bytes() + (folder / "ca.pem").read_bytes())
    return pem


Ask = Callable[..., tuple[dict[str, Any], float]]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ask]:
    """Fetches in a ryu-manager: the outcome, and how long the clock beside it stood still at the longest."""
    command = [str(RYU_MANAGER), "--ofp-tcp-listen-port", str(free_port()), str(PROBE)]
    log = (tmp_path_factory.mktemp("probe") / "log").open("wb")
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True)
    assert process.stdin is not None and process.stdout is not None
    inward, outward = process.stdin, process.stdout

    def asking(**wanted: Any) -> tuple[dict[str, Any], float]:
        inward.write(json.dumps(wanted) + "\n")
        inward.flush()
        for line in outward:
            if line.startswith("{"):
                told = json.loads(line)
                return told["offer"], told["stall"]
        raise AssertionError("the probe has ended")

    yield asking
    process.terminate()
    process.wait(60)
    log.close()


@pytest.fixture(scope="module")
def base() -> Iterator[str]:
    with web(Manager) as port:
        yield f"http://127.0.0.1:{port}"


@pytest.mark.parametrize(
    ("path", "kind", "words"),
    [
        ("good", "FetchedDocument", ""),
        ("known", "NotModified", ""),
        ("missing", "NotFound", ""),
        ("busy", "Unreachable", "HTTP 503"),
        ("faulty", "Invalid", "/faulty/70/1.yaml:3:1: unknown key 'to_wm'"),
        ("large", "Invalid", "/large/70/1.yaml:1:1: more than 1000000 octets"),
        ("short", "Unreachable", "too early"),
        ("around", "FetchedDocument", ""),
        ("circle", "Unreachable", "redirections"),
        ("away", "Unreachable", "redirects to another host"),
        ("aside", "Unreachable", "redirects to another host"),
        ("otherwise", "Unreachable", "redirects to another host"),
        ("hang", "Unreachable", "no answer within 5 s"),
        ("drip", "Unreachable", "no answer within 5 s"),
    ],
)
def test_whatever_a_manager_does_is_an_answer(ask: Ask, base: str, path: str, kind: str, words: str) -> None:
    known = '"one"' if path == "known" else None
    began = time.monotonic()
    offer, stall = ask(url=f"{base}/{path}/", timeout=5.0 if path in ("hang", "drip") else PATIENCE, etag=known)
    assert (offer["kind"], words in offer["text"]) == (kind, True), offer
    # Half of what the manager takes; and whoever keeps the clock does so for as long as it waits.
    assert time.monotonic() - began < 30
    assert stall < 4.0, "others had no turn"


def test_large_policy_is_checked_while_others_have_their_turn(ask: Ask, base: str) -> None:
    """Seconds of a processor, of which other programs take none away."""
    offer, _ = ask(url=f"{base}/many/", timeout=PATIENCE)
    assert offer["kind"] == "FetchedDocument", offer
    assert offer["turn"] < offer["computed"] / 4, f"{offer['turn']:.2f} of {offer['computed']:.2f} s in one turn"


def test_nobody_there_is_an_answer(ask: Ask) -> None:
    offer, _ = ask(url=f"http://127.0.0.1:{free_port()}/", timeout=PATIENCE)
    assert offer["kind"] == "Unreachable" and "refused" in offer["text"].lower()


def test_what_is_known_is_asked_for_conditionally(ask: Ask, base: str) -> None:
    ask(url=f"{base}/good/", timeout=PATIENCE, etag='"one"')
    ask(url=f"{base}/good/", timeout=PATIENCE, last_modified="Tue, 24 Nov 2026 10:00:00 GMT")
    assert Manager.asked[-2:] == [("/good/70/1.yaml", '"one"'), ("/good/70/1.yaml", "Tue, 24 Nov 2026 10:00:00 GMT")]


def test_certificates_are_verified(ask: Ask, certificate: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    authority = str(certificate.with_name("ca.pem"))
    with web(Manager, context) as port:
        good, _ = ask(url=f"https://127.0.0.1:{port}/good/", timeout=PATIENCE, ca_file=authority)
        stranger, _ = ask(url=f"https://127.0.0.1:{port}/good/", timeout=PATIENCE)
        misnamed, _ = ask(url=f"https://localhost:{port}/good/", timeout=PATIENCE, ca_file=authority)
    assert good["kind"] == "FetchedDocument", good
    for refused in (stranger, misnamed):
        assert refused["kind"] == "Unreachable" and "certificate verify failed" in refused["text"]


# --- the servers ---
def folder_of_files(folder: Path) -> Callable[..., SimpleHTTPRequestHandler]:
    class Quiet(SimpleHTTPRequestHandler):
        def __init__(self, *arguments: Any) -> None:
            super().__init__(*arguments, directory=str(folder))

        def log_message(self, *_: object) -> None:
            pass

    return Quiet


def test_folder_of_files_is_a_manager(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "types" / "70").mkdir(parents=True)
    (tmp_path / "types" / "70" / "1.yaml").write_bytes(policy())
    with web(folder_of_files(tmp_path)) as port:
        offer, _ = ask(url=f"http://127.0.0.1:{port}/types/", timeout=PATIENCE)
        assert (offer["kind"], offer["text"]) == ("FetchedDocument", policy().decode())
        again, _ = ask(url=f"http://127.0.0.1:{port}/types/", timeout=PATIENCE, last_modified=offer["last_modified"])
        other, _ = ask(url=f"http://127.0.0.1:{port}/types/", timeout=PATIENCE, version=2)
    assert (again["kind"], other["kind"]) == ("NotModified", "NotFound")


def test_another_evbridge_is_a_manager(ask: Ask, tmp_path: Path) -> None:
    (tmp_path / "seventy.yaml").write_bytes(policy())
    (tmp_path / "evbridge.yaml").write_text("version: 1\npolicies: [seventy.yaml]\ndps: {}\n")
    port = free_port()
    command = [str(RYU_MANAGER), "--ofp-tcp-listen-port", str(free_port()), "--wsapi-port", str(port)]
    environment = {**os.environ, "EVBRIDGE_CONFIG": str(tmp_path / "evbridge.yaml")}
    with (tmp_path / "log").open("wb") as log:
        process = subprocess.Popen(
            [*command, "ryu_apps.evb_bridge", "ryu_apps.evb_rest"], stdout=log, stderr=log, env=environment
        )
    try:
        Server(process, port, tmp_path / "log").await_listening()
        url = f"http://127.0.0.1:{port}/evb/vsitypes/"
        offer, _ = ask(url=url, timeout=PATIENCE)
        assert (offer["kind"], offer["text"]) == ("FetchedDocument", policy().decode())
        again, _ = ask(url=url, timeout=PATIENCE, etag=offer["etag"])
        other, _ = ask(url=url, timeout=PATIENCE, version=2)
    finally:
        process.terminate()
        process.wait(60)
    assert (again["kind"], other["kind"]) == ("NotModified", "NotFound")


# --- the operator's side ---
def test_authorities_that_cannot_be_read_end_the_program(tmp_path: Path) -> None:
    config = tmp_path / "evbridge.yaml"
    config.write_text(
        'version: 1\nvsi_managers: {managers: {vcm1: {url: "https://a.example/", ca_file: none.pem}}}\ndps: {}\n'
    )
    command = [str(RYU_MANAGER), "--ofp-tcp-listen-port", str(free_port()), "ryu_apps.evb_bridge"]
    environment = {**os.environ, "EVBRIDGE_CONFIG": str(config)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 1 and f"{tmp_path}/none.pem:1:1: No such file or directory" in done.stderr
