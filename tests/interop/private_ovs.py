"""An Open vSwitch of one's own: database, daemon and network namespace, gone when the test is over.

The namespace is needed because the user-space datapath makes a tap device of a fixed name, which
exists once in a namespace.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from ryu_apps.testbed.harness.datapath import configured_datapath

SCHEMA = Path("/usr/share/openvswitch/vswitch.ovsschema")
DEADLINE = 60.0


def wait_for(condition: Callable[[], object], what: str, deadline: float = DEADLINE) -> None:
    """Poll a condition until it holds."""
    until = time.monotonic() + deadline
    while not condition():
        assert time.monotonic() < until, f"no {what} within {deadline} s"
        time.sleep(0.01)


@contextmanager
def inside(namespace: str) -> Iterator[None]:
    """Be in a network namespace; sockets and processes made meanwhile stay there."""
    libc = ctypes.CDLL(None, use_errno=True)
    with open("/proc/self/ns/net") as home, open(f"/run/netns/{namespace}") as there:
        if libc.setns(there.fileno(), 0):
            raise OSError(ctypes.get_errno(), "setns")
        try:
            yield
        finally:
            libc.setns(home.fileno(), 0)


class PrivateOvs:
    """One ``ovs-vswitchd``; use as a context manager.

    Attributes:
        namespace: name of its network namespace, with the loopback up.
    """

    _made = 0

    def __init__(self) -> None:
        PrivateOvs._made += 1
        self.namespace = f"ovs{os.getpid()}-{PrivateOvs._made}"
        self._directory = tempfile.TemporaryDirectory(prefix="private-ovs-")
        self._root = Path(self._directory.name)
        self._env = os.environ | {
            f"OVS_{name}": str(self._root) for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")
        }
        self._daemons: list[subprocess.Popen[bytes]] = []

    def __enter__(self) -> PrivateOvs:
        self._ip("netns", "add", self.namespace)
        self._ip("-n", self.namespace, "link", "set", "lo", "up")
        self.run("ovsdb-tool", "create", f"{self._root}/conf.db", str(SCHEMA))
        with inside(self.namespace):
            self._spawn("ovsdb-server", f"{self._root}/conf.db", f"--remote=punix:{self._root}/db.sock")
            # That the socket is there would not mean that ovsdb-server listens.
            self.vsctl("--retry", "--no-wait", "init")
            self._spawn("ovs-vswitchd", f"unix:{self._root}/db.sock")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(timeout=DEADLINE)
        self._ip("netns", "del", self.namespace)
        self._directory.cleanup()

    def add_bridge(self, name: str, dpid: int, controller: str | None = None) -> None:
        """A bridge that speaks OpenFlow 1.3 and forwards nothing by itself."""
        self.vsctl(
            *(
                "add-br",
                name,
                "--",
                "set",
                "bridge",
                name,
                f"datapath_type={configured_datapath()}",
                "protocols=OpenFlow13",
            ),
            *("fail_mode=secure", f"other-config:datapath-id={dpid:016x}", "other-config:disable-in-band=true"),
        )
        if controller:
            self.vsctl("set-controller", name, controller)

    def add_veth(self, bridge: str, port_no: int, near: str, far: str) -> None:
        """A pair of interfaces in the namespace: ``near`` is a port of the bridge, ``far`` is ours."""
        self._ip("-n", self.namespace, "link", "add", near, "type", "veth", "peer", "name", far)
        for name in (near, far):
            with inside(self.namespace):
                Path(f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6").write_text("1")
            self._ip("-n", self.namespace, "link", "set", name, "up")
        self.vsctl("add-port", bridge, near, "--", "set", "interface", near, f"ofport_request={port_no}")

    def remove_veth(self, near: str) -> None:
        """End a pair, which outlives its bridge."""
        self._ip("-n", self.namespace, "link", "del", near)

    def vsctl(self, *arguments: str) -> str:
        return self.run("ovs-vsctl", f"--db=unix:{self._root}/db.sock", "--timeout=20", *arguments)

    def ofctl(self, command: str, bridge: str, *arguments: str) -> str:
        return self.run("ovs-ofctl", "-O", "OpenFlow13", command, f"unix:{self._root}/{bridge}.mgmt", *arguments)

    def trace(self, bridge: str, flow: str) -> str:
        """Trace of a frame, with all effects of a real one but for counters."""
        control = f"{self._root}/ovs-vswitchd.ctl"
        return self.run("ovs-appctl", "-t", control, "ofproto/trace", "--names", bridge, flow, "-generate")

    def appctl(self, *command: str) -> str:
        """Ask the daemon."""
        return self.run("ovs-appctl", "-t", f"{self._root}/ovs-vswitchd.ctl", *command)

    def flows(self, bridge: str) -> list[str]:
        """The flows as ovs-ofctl prints them, counters left out."""
        lines = self.ofctl("dump-flows", bridge, "--no-stats").splitlines()
        return [line.strip() for line in lines if "actions=" in line]

    def run(self, *command: str) -> str:
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=DEADLINE)
        assert done.returncode == 0, f"{command}: {done.stderr}"
        return done.stdout

    @property
    def directory(self) -> Path:
        """The directory of its sockets and logs; the database listens at ``db.sock``."""
        return self._root

    def spawn(self, *command: str) -> None:
        """Start another daemon in the namespace, which ends with the switch; it keeps its files with those of this."""
        with inside(self.namespace), (self._root / f"{command[0]}.log").open("wb") as log:
            env = self._env | {"OVN_RUNDIR": str(self._root)}
            self._daemons.append(subprocess.Popen(command, env=env, stdout=log, stderr=log))

    def listen(self) -> tuple[socket.socket, int]:
        """A listening TCP socket in the namespace, and its port."""
        with inside(self.namespace):
            server = socket.create_server(("127.0.0.1", 0))
        return server, server.getsockname()[1]

    def _spawn(self, *command: str) -> None:
        log = (self._root / f"{command[0]}.log").open("wb")
        control = f"--unixctl={self._root}/{command[0]}.ctl"
        pid = f"--pidfile={self._root}/{command[0]}.pid"
        self._daemons.append(subprocess.Popen([*command, control, pid], env=self._env, stdout=log, stderr=log))

    @staticmethod
    def _ip(*arguments: str) -> None:
        subprocess.run(["ip", *arguments], check=True, timeout=DEADLINE)
