"""``evbridge nms serve`` on the host ``nms`` of a cluster.

Hosts have no network to the controllers' REST.  A relay for each controller stands for the network of the management:
it listens in the host's namespace and connects in ours.
"""

from __future__ import annotations

import http.client
import json
import os
import selectors
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ryu_apps.testbed.harness.running import end_all
from ryu_apps.testbed.harness.shell import PATIENCE, Namespace, wait_until

_LOCAL, _PORT = "127.0.0.1", 8082
_PIECE = 65_536
#: Seconds for its start, where much else starts.
_STARTS = 120.0


class ManagementRelay:
    """Connections to a port of the loopback of a namespace, on to the same port of ours."""

    def __init__(self, namespace: Namespace, port: int) -> None:
        namespace.run("ip", "link", "set", "lo", "up")
        self._listening = namespace.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind((_LOCAL, port))
        self._listening.listen(32)
        self._port = port
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Listen no more."""
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._listening.accept()
                threading.Thread(target=self._relay, args=(near,), daemon=True).start()

    def _relay(self, near: socket.socket) -> None:
        with near, suppress(OSError), socket.create_connection((_LOCAL, self._port), PATIENCE) as far:
            _pass_on(near, far)


def _pass_on(near: socket.socket, far: socket.socket) -> None:
    """Pass octets on, both ways, until one side ends."""
    # A cluster of 256 nodes has more descriptors than select() can name.
    with selectors.DefaultSelector() as both:
        both.register(near, selectors.EVENT_READ, (near, far))
        both.register(far, selectors.EVENT_READ, (far, near))
        while True:
            for key, _ in both.select():
                ready, other = key.data
                octets = ready.recv(_PIECE)
                if not octets:
                    return
                other.sendall(octets)


class NmsHost:
    """The daemon on a host.

    Args:
        namespace: of the host.
        config: file of ``evbridge nms serve``; its folder gets the log.
        ports: of the controllers' REST.
    """

    def __init__(self, namespace: Namespace, config: Path, ports: Iterable[int]) -> None:
        self._namespace = namespace
        self._config = config
        self._relays = [ManagementRelay(namespace, port) for port in ports]
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self.begin()
        self.wait()

    def begin(self) -> None:
        """Start it."""
        command = (str(Path(sys.executable).with_name("evbridge")), "nms", "serve", str(self._config))
        self._process = self._namespace.popen(*command, "--port", str(_PORT), log=self._config.with_suffix(".log"))

    def wait(self) -> None:
        """Wait until it answers."""
        wait_until(self._answers, "an answer of the NMS", _STARTS, pause=0.05)

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            os.kill(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    def close(self) -> None:
        """End it, and the relays."""
        end_all(self.kill, *(relay.close for relay in self._relays))

    def get(self, path: str) -> Any:
        """Return the JSON value at a path.

        Raises:
            OSError: there is none.
        """
        with self._namespace.socket(socket.AF_INET, socket.SOCK_STREAM) as connected:
            connected.settimeout(PATIENCE)
            connected.connect((_LOCAL, _PORT))
            client = http.client.HTTPConnection(_LOCAL, _PORT)
            client.sock = connected
            client.request("GET", path)
            response = client.getresponse()
            body = json.loads(response.read())
        if response.status != 200:
            raise OSError(f"{path}: {response.status} {body}")
        return body

    def _answers(self) -> bool:
        assert self._process is not None
        if self._process.poll() is not None:
            raise OSError(f"the NMS has ended with status {self._process.returncode}")
        with suppress(OSError, ValueError, http.client.HTTPException):
            self.get("/nms/bridges")
            return True
        return False
