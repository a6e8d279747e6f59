"""evbridge in the namespace of a private Open vSwitch, and what connects to it there by hand."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.southbound.encode import message
from tests.interop.private_ovs import DEADLINE, PrivateOvs, inside, wait_for

OPENFLOW, REST = 6653, 8080


class Evbridge:
    """A context manager.

    Args:
        dpid: of the one switch that is configured, ``s1`` with a station at port 1.
        options: for ryu-manager.
        more: lines of evbridge.yaml.
        waits: for REST, when it is entered.
        descriptors: it may have, None: as many as the test.
    """

    def __init__(
        self,
        ovs: PrivateOvs,
        folder: Path,
        dpid: int,
        *options: str,
        descriptors: int | None = None,
        more: str = "",
        waits: bool = True,
    ) -> None:
        self.ovs = ovs
        self._waits = waits
        self._log = folder / "evbridge.log"
        self.dpid = f"{dpid:016x}"
        config = folder / "evbridge.yaml"
        interfaces = "interfaces: {1: {name: hv1, role: station, native_vlan: 100}}"
        config.write_text(f"version: 1\ndps: {{s1: {{dp_id: {dpid}, {interfaces}}}}}\n{more}")
        self._command = [str(Path(sys.executable).with_name("evbridge")), "run", "--config", str(config), *options]
        self._descriptors = descriptors

    def __enter__(self) -> Evbridge:
        command = self._command
        if self._descriptors is not None:
            command = ["prlimit", f"--nofile={self._descriptors}:{self._descriptors}", *command]
        with inside(self.ovs.namespace), self._log.open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        if self._waits:
            wait_for(self.serves, "REST")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.terminate()
        self._process.wait(DEADLINE)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def log(self) -> str:
        return self._log.read_text()

    def text(self, path: str) -> str:
        with inside(self.ovs.namespace), urlopen(f"http://127.0.0.1:{REST}{path}", timeout=10) as answer:
            body: bytes = answer.read()
        return body.decode()

    def get(self, path: str) -> Any:
        return json.loads(self.text(path))

    def ready(self) -> bool:
        """Return True if the switch is ready."""
        (switch,) = self.get("/evb/status")["switches"]
        return bool(switch["readiness"] == "ready")

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.get("/evb/events") if event["kind"] == kind]

    def connect(self, port: int = OPENFLOW) -> socket.socket:
        with inside(self.ovs.namespace):
            return socket.create_connection(("127.0.0.1", port), timeout=DEADLINE)

    def serves(self) -> bool:
        """Return True if REST answers."""
        assert self._process.poll() is None, self.log
        try:
            self.get("/evb/status")
        except (URLError, ConnectionError):
            return False
        return True


class Impostor:
    """Something that says that it is a switch.

    Attributes:
        address: its own.
        told: types of the messages that it has been sent.
    """

    def __init__(self, evbridge: Evbridge, dpid: int) -> None:
        self._socket = evbridge.connect()
        self.address = "{}:{}".format(*self._socket.getsockname())
        self._stream = self._socket.makefile("rb")
        self.told: list[int] = []
        self.send(ofp.OFPT_HELLO)
        while self.receive() != ofp.OFPT_FEATURES_REQUEST:
            pass
        self.send(ofp.OFPT_FEATURES_REPLY, dpid.to_bytes(8) + bytes([0, 0, 0, 0, 254]) + bytes(11))

    def send(self, kind: int, body: bytes = b"") -> None:
        self._socket.sendall(message(kind, body))

    def receive(self) -> int | None:
        """The type of the next message, None: closed."""
        try:
            head = self._stream.read(ofp.OFP_HEADER_SIZE)
            self._stream.read(int.from_bytes(head[2:4]) - len(head) if head else 0)
        except ConnectionResetError:
            head = b""
        if not head:
            return None
        self.told.append(head[1])
        return head[1]

    def await_end(self) -> None:
        """Answer nothing, until it is closed."""
        while self.receive() is not None:
            pass

    def close(self) -> None:
        self._stream.close()
        self._socket.close()
