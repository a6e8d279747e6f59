"""``evbridge vcm serve`` as a process, between requests: OVF that changes, and components that moves wait for."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

EVBRIDGE = Path(sys.executable).with_name("evbridge")
INVENTORIES = Path(__file__).parents[2] / "mininet_tests" / "inventories"
#: Seconds that no machine needs.
PATIENCE = 120.0
COMPONENTS = "nms: {bridge: rack1, steps: [stage], deadline: 600}\n"


@contextmanager
def manager(folder: Path, *options: str) -> Iterator[Callable[..., Any]]:
    """A manager of the modest picture; yields what asks it."""
    command = [EVBRIDGE, "vcm", "serve", "paper-modest.yaml", "--port", "0", *options]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, cwd=folder, env=environment)
    try:
        assert process.stdout is not None
        base = re.match(r"(http://[\d.:]+)/vcm", process.stdout.readline())
        assert base, (folder / "log").read_text()

        def ask(path: str, body: object = None) -> Any:
            data = None if body is None else json.dumps(body).encode()
            request = Request(base[1] + path, data, {"Content-Type": "application/json"})
            with urlopen(request, timeout=PATIENCE) as answer:
                return json.load(answer)

        yield ask
    finally:
        process.terminate()
        process.wait(60)


def copied(folder: Path, more: str = "") -> Path:
    """The inventory with its descriptor, whose place is returned."""
    shutil.copytree(INVENTORIES / "paper-modest", folder / "paper-modest")
    text = (INVENTORIES / "paper-modest.yaml").read_text()
    (folder / "paper-modest.yaml").write_text(text + more)
    return folder / "paper-modest" / "front.ovf"


def until(ready: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not ready():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_descriptor_that_has_changed_is_pushed_and_one_with_mistakes_is_not(tmp_path: Path) -> None:
    descriptor = copied(tmp_path)
    text = descriptor.read_text()
    with manager(tmp_path, "--ovf-interval", "1", "--journal", "journal") as ask:
        assert "<epasd:VSITypeID>210<" in ask("/vcm/vms/web3/ovf")["ovf"]
        descriptor.write_text(text.replace("<epasd:VSITypeID>201<", "<epasd:VSITypeID>999<"))
        until(lambda: "descriptors are as before" in (tmp_path / "log").read_text())
        assert "there is no VSI type 999/1" in (tmp_path / "log").read_text()
        head, _, systems = text.partition("<VirtualSystemCollection")
        changed = systems.replace("<epasd:VSITypeID>210<", "<epasd:VSITypeID>201<")
        descriptor.write_text(f"{head}<VirtualSystemCollection{changed}")
        until(lambda: "<epasd:VSITypeID>210<" not in ask("/vcm/vms/web3/ovf")["ovf"])
    with manager(tmp_path, "--ovf-interval", "0", "--journal", "journal") as ask:
        assert "<epasd:VSITypeID>201<" in ask("/vcm/vms/web3/ovf")["ovf"]


class Others(ThreadingHTTPServer):
    """A bridge and an NMS at one address; the state of the component is that of ``state``."""

    def __init__(self) -> None:
        self.state, self.asked = "waiting", set[str]()
        super().__init__(("127.0.0.1", 0), Answers)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Answers(BaseHTTPRequestHandler):
    server: Others

    def do_GET(self) -> None:
        types = [{"type_id": number, "version": 1} for number in (201, 210, 235)]
        stations = [{"name": f"hv{number}", "port": f"s:{number}"} for number in range(1, 9)]
        steps = [{"hook": "vlans", "step": "stage", "state": self.server.state, "error": None}]
        self.server.asked.add(self.path)
        path = urlsplit(self.path).path
        found = {"/evb/vsitypes": types, "/evb/stations": stations}.get(path, steps if "/nms/" in path else {})
        octets = json.dumps(found).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(octets)))
        self.end_headers()
        self.wfile.write(octets)

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


def test_manager_asks_the_nms_about_components_and_goes_on_when_they_are_ready(tmp_path: Path) -> None:
    copied(tmp_path, COMPONENTS)
    with Others() as others:
        threading.Thread(target=others.serve_forever, daemon=True).start()
        try:
            with manager(tmp_path, "--rest", others.url, "--nms", others.url) as ask:
                _goes_on(ask, others)
        finally:
            others.shutdown()


def _goes_on(ask: Callable[..., Any], others: Others) -> None:
    def waiting() -> list[str]:
        return [step["step"] for step in ask("/vcm/goals/1")["steps"]]

    goal = ask("/vcm/goals", {"goal": "evacuate", "subject": "hv7"})
    while (step := goal["steps"][0])["step"] != "await stage":
        goal = ask("/vcm/goals/1/answers", {"step": step["id"]})
    (web3,) = [vm for vm in ask("/vcm/inventory")["vms"] if vm["vm"] == "web3"]
    port = step["node"].removeprefix("hv")
    until(lambda: f"/nms/vsis/{web3['vsi']}/steps?bridge=rack1&port=s%3A{port}" in others.asked)
    assert waiting() == ["await stage"]
    others.state = "done"
    until(lambda: waiting() == ["copy"])
