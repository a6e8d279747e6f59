"""REST beyond the loopback: TLS, tokens and their roles, as a client with curl and a second bridge find them."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ryu_apps.testbed.harness.shell import wait_until
from tests.app.test_evb_rest import CONFIG
from tests.app.test_starting import BIN, LAUNCHERS, started, starts  # noqa: F401 - a fixture
from tests.app.test_vsi_managers import PATIENCE, Ask, ask  # noqa: F401 - a fixture

ACCESS = "rest: {tokens: tokens, certificate: rest.pem, private_key: rest.key}\n"
PLAIN = CONFIG.replace("rest: {names: [evb.example.net]}\n", "")
VSI = "11111111-2222-3333-4444-555555555555"


def token(folder: Path, *arguments: str) -> str:
    command = [str(BIN / "evbridge"), "token", *arguments, "--file", str(folder / "tokens")]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout.strip()


def certify(folder: Path) -> None:
    """A certificate of its own authority for localhost."""
    subprocess.run(
        f"openssl req -x509 -newkey rsa:2048 -nodes -days 30 -subj /CN=evbridge -keyout {folder}/rest.key"
        f" -out {folder}/rest.pem -addext subjectAltName=DNS:localhost,IP:127.0.0.1",
        shell=True,
        check=True,
        capture_output=True,
    )


class Site:
    """A bridge with TLS and tokens on all addresses; ``texts`` are the tokens by role."""

    def __init__(self, folder: Path, stack: ExitStack, *options: str) -> None:
        self.folder = folder
        certify(folder)
        self.texts = {
            role: token(folder, "create", f"a-{role}", "--role", role) for role in ("read", "operate", "admin")
        }
        (folder / "evbridge.yaml").write_text(PLAIN + ACCESS)
        self.bridge = started(stack, LAUNCHERS["evbridge"], folder, "--wsapi-host", "0.0.0.0", *options)
        self.bridge.await_serving()

    def ask(self, method: str, path: str, role: str | None, text: str | None = None) -> tuple[int, bytes]:
        context = ssl.create_default_context(cafile=str(self.folder / "rest.pem"))
        client = http.client.HTTPSConnection("localhost", self.bridge.rest, timeout=120, context=context)
        text = self.texts[role] if role else text
        try:
            client.request(method, path, headers={"Authorization": f"Bearer {text}"} if text else {})
            response = client.getresponse()
            return response.status, response.read()
        finally:
            client.close()

    def details(self, kind: str) -> list[object]:
        events = json.loads(self.ask("GET", "/evb/events", "read")[1])
        return [event["detail"] for event in events if event["kind"] == kind]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with ExitStack() as stack:
        yield Site(tmp_path_factory.mktemp("rest"), stack, "ryu.app.ofctl_rest")


@pytest.mark.parametrize(
    "given", ["", "rest: {tokens: tokens}\n", "rest: {certificate: rest.pem, private_key: rest.key}\n"]
)
@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_tls_and_tokens_it_does_not_start_beyond_the_loopback(
    tmp_path: Path,
    starts: ExitStack,  # noqa: F811
    given: str,
    host: str,
) -> None:
    certify(tmp_path)
    token(tmp_path, "create", "a", "--role", "read")
    (tmp_path / "evbridge.yaml").write_text(PLAIN + given)
    complaint = started(starts, LAUNCHERS["evbridge"], tmp_path, "--wsapi-host", host).fails()
    assert "needs rest.tokens, rest.certificate and rest.private_key in evbridge.yaml" in complaint


@pytest.mark.parametrize(
    ("access", "named"),
    [
        ("tokens: tokens", "tokens: No such file"),
        ("certificate: none.pem, private_key: none.key", "none.pem"),
        ("certificate: evbridge.yaml, private_key: evbridge.yaml", "evbridge.yaml"),
    ],
)
def test_files_that_cannot_be_used_end_the_start(
    tmp_path: Path,
    starts: ExitStack,  # noqa: F811
    access: str,
    named: str,
) -> None:
    (tmp_path / "evbridge.yaml").write_text(f"{PLAIN}rest: {{{access}}}\n")
    assert named in started(starts, LAUNCHERS["evbridge"], tmp_path).fails()


@pytest.mark.parametrize(
    ("method", "path", "statuses"),
    [
        ("GET", "/evb/status", {None: 401, "read": 200, "operate": 200, "admin": 200}),
        ("GET", "/metrics", {None: 401, "read": 200}),
        ("DELETE", f"/evb/vsis/{VSI}", {None: 401, "read": 403, "operate": 404, "admin": 404}),
        ("POST", "/evb/vsitypes/reload", {None: 401, "read": 403, "operate": 403, "admin": 200}),
        # Another Ryu app on the same server.
        ("GET", "/stats/switches", {None: 401, "read": 403, "operate": 403, "admin": 200}),
    ],
)
def test_a_role_may_do_what_it_says(site: Site, method: str, path: str, statuses: dict[str | None, int]) -> None:
    assert {role: site.ask(method, path, role)[0] for role in statuses} == statuses


def test_a_certificate_that_is_replaced_is_used_from_the_next_connection_on(site: Site) -> None:
    def shown() -> str:
        return ssl.get_server_certificate(("127.0.0.1", site.bridge.rest))

    files = [site.folder / name for name in ("rest.key", "rest.pem")]
    before, first = shown(), [file.read_text() for file in files]
    # A certificate whose key is not there yet leaves the one before in force.
    certify(site.folder)
    key, certificate = (file.read_text() for file in files)
    files[0].write_text(first[0])
    assert shown() == before
    files[0].write_text(key)
    assert shown().split() == certificate.split() != before.split()
    assert site.ask("GET", "/evb/status", "read")[0] == 200


def test_changes_are_in_the_log_with_their_authors(site: Site) -> None:
    where = {"address": "127.0.0.1", "method": "DELETE", "path": f"/evb/vsis/{VSI}"}
    changed = {"caller": "a-operate", **where, "status": 404}
    refused = {"caller": "a-read", **where, "status": 403}

    def told() -> bool:
        # Refusals of other tests may have used up what is kept of a second.
        site.ask("DELETE", f"/evb/vsis/{VSI}", "operate")
        site.ask("DELETE", f"/evb/vsis/{VSI}", "read")
        return changed in site.details("rest.changed") and refused in site.details("rest.refused")

    wait_until(told, "both events", pause=0.2)
    site.bridge.await_line(r"rest\.changed caller=a-operate address=127\.0\.0\.1 method=DELETE")


def test_a_token_that_is_revoked_is_refused_at_once(site: Site) -> None:
    text = token(site.folder, "create", "guest", "--role", "read", "--expires", "2999-01-01")
    assert "guest                read     2999-01-01" in token(site.folder, "list")
    assert site.ask("GET", "/evb/status", None, text)[0] == 200
    token(site.folder, "revoke", "guest")
    assert site.ask("GET", "/evb/status", None, text)[0] == 401


def test_the_token_itself_is_in_no_file_and_no_log(site: Site) -> None:
    for text in site.texts.values():
        assert text not in site.bridge.log.read_text() and text not in (site.folder / "tokens").read_text()


def test_what_does_not_speak_tls_keeps_nobody(site: Site) -> None:
    with ExitStack() as stack:
        for octets in (b"", b"GET / HTTP/1.1\r\n\r\n", bytes(100)):
            silent = stack.enter_context(socket.create_connection(("127.0.0.1", site.bridge.rest), timeout=120))
            silent.sendall(octets)
        assert site.ask("GET", "/evb/status", "read")[0] == 200
        # The one that says nothing is given up too.
        first = stack.enter_context(socket.create_connection(("127.0.0.1", site.bridge.rest), timeout=120))
        assert first.recv(1) == b""
    assert "Traceback" not in site.bridge.log.read_text()


def test_curl_and_our_own_client_reach_it(site: Site) -> None:
    """As the manual has it."""
    folder, url = site.folder, f"https://localhost:{site.bridge.rest}"
    (folder / "token").write_text(site.texts["read"] + "\n")
    curl = f'curl -sf --cacert rest.pem -H "Authorization: Bearer $(cat token)" {url}/evb/status'
    done = subprocess.run(curl, shell=True, cwd=folder, check=True, capture_output=True, timeout=120)
    assert json.loads(done.stdout)["switches"]
    draw = [str(BIN / "evbridge"), "topology", "evbridge.yaml", "--svg", "picture.svg", "--rest", url]
    given = ["--token-file", "token", "--ca-file", "rest.pem"]
    subprocess.run([*draw, *given], cwd=folder, check=True, capture_output=True, timeout=120)
    assert (folder / "picture.svg").exists()
    refused = subprocess.run([*draw, *given[2:]], cwd=folder, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1 and "401" in refused.stderr
    plain = [part.replace("https://localhost", "http://evb.example.net") for part in draw]
    refused = subprocess.run([*plain, *given], cwd=folder, capture_output=True, text=True, timeout=120)
    assert refused.returncode == 1 and "a token is sent over https only" in refused.stderr


def test_another_bridge_fetches_vsi_types_with_a_token(site: Site, ask: Ask) -> None:  # noqa: F811
    (site.folder / "bridge.token").write_text(site.texts["read"] + "\n")
    wanted = {
        "url": f"https://localhost:{site.bridge.rest}/evb/vsitypes/",
        "timeout": PATIENCE,
        "ca_file": str(site.folder / "rest.pem"),
    }
    offer, _ = ask(**wanted, token_file=str(site.folder / "bridge.token"))
    # It has no such type, but has let the question through.
    assert offer["kind"] == "NotFound"
    offer, _ = ask(**wanted)
    assert (offer["kind"], offer["text"]) == ("Unreachable", "HTTP 401 Unauthorized")
    offer, _ = ask(**wanted, token_file=str(site.folder / "none.token"))
    assert offer["kind"] == "Unreachable" and "none.token" in offer["text"]
