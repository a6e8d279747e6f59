"""ryu-manager with evbridge's apps, as a child that can be killed and started again, and its REST interface."""

from __future__ import annotations

import json
import os
import ssl
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from ryu_apps.testbed.errors import DeadlineError
from ryu_apps.testbed.harness.shell import end, wait_until

_CHECKOUT = Path(__file__).resolve().parents[3]
APPS = ("ryu_apps.evb_bridge", "ryu_apps.evb_rest")
#: Ports of a controller to which no other is given.
OPENFLOW_PORT, REST_PORT = 6653, 8080


class Controller:
    """The controller process.

    Attributes:
        config: its evbridge.yaml.
        port: OpenFlow port it listens on.
        log: file with its output.
        access: trust and token for its REST resources, which it then has over TLS; None: it has neither.
    """

    access: tuple[ssl.SSLContext, str] | None = None

    def __init__(self, config: Path, folder: Path, port: int = OPENFLOW_PORT, rest_port: int = REST_PORT) -> None:
        self.port = port
        self.log = folder / "controller.log"
        self.config = config
        self._rest_port = rest_port
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, apps: tuple[str, ...] = APPS) -> None:
        """Start ``ryu-manager``; see :meth:`wait_connected`."""
        command = [
            str(Path(sys.executable).parent / "ryu-manager"),
            f"--ofp-tcp-listen-port={self.port}",
            "--ofp-listen-host=127.0.0.1",
            "--wsapi-host=127.0.0.1",
            f"--wsapi-port={self._rest_port}",
            *apps,
        ]
        paths = [str(_CHECKOUT), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = {
            **os.environ,
            "EVBRIDGE_CONFIG": str(self.config),
            "PYTHONPATH": os.pathsep.join(paths),
        }
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
            )

    @property
    def pid(self) -> int:
        """Its process."""
        assert self._process is not None, "not started"
        return self._process.pid

    def wait_serving(self, limit: float = 120.0) -> None:
        """Wait until it answers; then it listens for switches, too.

        Raises:
            TimeoutError: it does not; the text ends with the controller's last words.
        """
        self._wait(lambda: self._status() is not None, "an answer of the controller", limit)

    def wait_connected(self, switches: int, limit: float = 120.0) -> None:
        """Wait until this many switches are ready for use.

        Where much else runs, the controller starts for seconds, and Open vSwitch tries less and less often meanwhile.

        Raises:
            TimeoutError: they are not; the text ends with the controller's last words.
        """
        self._wait(lambda: self._ready_switches() >= switches, f"{switches} switches at the controller", limit)

    def wait_agreed(self, stations: int, limit: float = 35.0) -> None:
        """Wait until EVB is agreed with this many stations; only then do its switches hold what they will hold.

        Raises:
            TimeoutError: it does not.
        """
        wait_until(lambda: self._agreed_stations() >= stations, f"{stations} stations at the bridge", limit, pause=0.05)

    def kill(self) -> None:
        """End it as a crash would."""
        assert self._process is not None, "not started"
        self._process.kill()
        self._process.wait()

    def stop(self) -> None:
        """End it in good order."""
        if self._process is not None:
            end(self._process)

    @property
    def url(self) -> str:
        """Address of its REST, in the namespace of the cluster."""
        return f"http{'s' if self.access else ''}://127.0.0.1:{self._rest_port}"

    def get(self, path: str) -> Any:
        """GET a resource; the decoded JSON body.

        Raises:
            URLError: refused, or not there (HTTPError).
        """
        return self._ask("GET", path)

    def delete(self, path: str) -> Any:
        """DELETE a resource; as :meth:`get`."""
        return self._ask("DELETE", path)

    def put(self, path: str, body: Any) -> Any:
        """PUT a JSON value; as :meth:`get`."""
        return self._ask("PUT", path, json.dumps(body).encode())

    def post(self, path: str, body: Any = None) -> Any:
        """POST a JSON value, or none; as :meth:`get`."""
        return self._ask("POST", path, b"" if body is None else json.dumps(body).encode())

    def last_words(self, lines: int = 30) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-lines:])

    def _ask(self, method: str, path: str, body: bytes | None = None) -> Any:
        headers = {"Content-Type": "application/json"}
        trust, token = self.access or (None, "")
        if token:
            headers["Authorization"] = f"Bearer {token}"
        request = Request(f"{self.url}{path}", body, headers, method=method)
        with urlopen(request, timeout=30, context=trust) as response:
            body = response.read()
        return json.loads(body) if body else None

    def stations(self) -> list[dict[str, Any]]:
        """Stations as REST shows them; none while a member of a cluster does not lead, as when it is late."""
        try:
            return list(self.get("/evb/stations"))
        except HTTPError as error:
            if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
                raise
            return []

    def _agreed_stations(self) -> int:
        return sum(station["evb"] == "agreed" for station in self.stations())

    def _ready_switches(self) -> int:
        switches = (self._status() or {"switches": ()})["switches"]
        return sum(1 for switch in switches if switch["readiness"] == "ready")

    def _status(self) -> dict[str, Any] | None:
        """Its status; None: it does not answer yet."""
        if self._process is not None and self._process.poll() is not None:
            raise DeadlineError(f"the controller has ended with status {self._process.returncode}")
        with suppress(URLError, OSError):
            status: dict[str, Any] = self.get("/evb/status")
            return status
        return None

    def _wait(self, condition: Callable[[], bool], what: str, limit: float) -> None:
        try:
            wait_until(condition, what, limit)
        except TimeoutError as error:
            raise DeadlineError(f"{error}\n{self.last_words()}") from None
