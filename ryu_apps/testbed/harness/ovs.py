"""An Open vSwitch of our own: database and daemon in a folder, started, killed and restarted by handle.

The folder reaches ovs-vsctl and ovs-ofctl (ours, and those that Mininet calls) by ``OVS_RUNDIR``, so the
machine's own Open vSwitch is neither needed nor touched.
"""

from __future__ import annotations

import ctypes
import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import closing
from itertools import chain
from pathlib import Path

from ryu_apps.testbed.harness.datapath import Datapath, configured_datapath
from ryu_apps.testbed.harness.shell import CommandError, end, enlarge_receive_buffer, run, wait_until

_SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
#: As ovs-ctl of Debian starts both daemons: a switch that waits for the processor loses what its ports receive.
_PRIORITY = ("nice", "-n", "-10")
# asm-generic/unistd.h: a duplicate of a descriptor of another process
_PIDFD_GETFD = 438
_QUIET = ("-vconsole:off", "-vsyslog:off")


class PrivateOvs:
    """ovsdb-server and ovs-vswitchd under ``folder``, which must exist."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._before: dict[str, str | None] = {}
        self._server: subprocess.Popen[bytes] | None = None
        self._switch: subprocess.Popen[bytes] | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Environment of the Open vSwitch tools."""
        names = ("OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR", "OVS_SYSCONFDIR")
        return dict.fromkeys(names, str(self.folder))

    @property
    def socket(self) -> Path:
        """UNIX socket of ovsdb-server."""
        return self.folder / "db.sock"

    @property
    def pid(self) -> int:
        """Process id of ovs-vswitchd, by which the namespace of the switches is entered."""
        assert self._switch is not None, "not started"
        return self._switch.pid

    def start(self) -> None:
        """Start both daemons on an empty database and point this process's environment at them."""
        self._before = {name: os.environ.get(name) for name in self.environment}
        os.environ.update(self.environment)
        run(["ovsdb-tool", "create", str(self.folder / "conf.db"), _SCHEMA])
        self.start_server()
        wait_until(self._listens, "ovsdb-server to listen")
        run(["ovs-vsctl", "--timeout=30", "--no-wait", "init"])
        self.start_switch()

    def start_server(self) -> None:
        """Start ovsdb-server on the database as it is; also after :meth:`kill_server`."""
        database, control = str(self.folder / "conf.db"), f"--unixctl={self.folder}/ovsdb.ctl"
        self._server = self._spawn("ovsdb-server", database, f"--remote=punix:{self.socket}", control)

    def kill_server(self) -> None:
        """Kill ovsdb-server without a chance to say goodbye; ovs-vswitchd goes on and waits for it."""
        assert self._server is not None, "not started"
        self._server.kill()
        self._server.wait()

    def start_switch(self) -> None:
        """Start ovs-vswitchd on the database as it is; also after :meth:`kill_switch`."""
        in_user_space = configured_datapath() is Datapath.USER_SPACE
        # Without --disable-system it would tidy away the kernel datapaths of another Open vSwitch.
        restriction = ["--disable-system"] if in_user_space else []
        self._switch = self._spawn(
            "ovs-vswitchd", f"unix:{self.socket}", *restriction, f"--unixctl={self.folder}/vswitchd.ctl"
        )
        run(["ovs-vsctl", "--timeout=30", "set", "Open_vSwitch", ".", "other_config:started-by=evbridge"])
        if in_user_space:
            _shorten_idle_flows()
        self.enlarge_buffers()

    def enlarge_buffers(self) -> None:
        """Give the ports that the switches have by now room for seconds of received frames.

        A port's socket of ovs-vswitchd has the machine's default, net.core.rmem_default: some 500 small frames, which
        an uplink receives in 0.6 s.  To set that would change the whole machine.
        """
        for port in _sockets(self.pid):
            with closing(port):
                if port.family is socket.AF_PACKET:
                    enlarge_receive_buffer(port)

    def kill_switch(self) -> None:
        """Kill ovs-vswitchd without a chance to say goodbye."""
        assert self._switch is not None, "not started"
        self._switch.kill()
        self._switch.wait()

    def stop(self) -> None:
        """Stop both daemons."""
        for process in (self._switch, self._server):
            if process is not None:
                end(process)
        for name, value in self._before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def _listens(self) -> bool:
        """That the socket is there does not mean that it listens; ``ovs-vsctl --retry`` would wait for a second."""
        with closing(socket.socket(socket.AF_UNIX)) as client:
            return client.connect_ex(str(self.socket)) == 0

    def _spawn(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        command = [*_PRIORITY, program, *arguments, *_QUIET, f"--log-file={self.folder}/{program}.log", "--no-chdir"]
        return subprocess.Popen(
            command, env={**os.environ, **self.environment}, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL
        )


def look_for(controllers: Mapping[str, str]) -> None:
    """Make switches look for a controller each second.

    One that refuses is tried later and later at first: a ``max_backoff`` is in force from a change of the configuration
    on, not from the creation of the controller.

    Args:
        controllers: switch -> target, such as ``tcp:127.0.0.1:6653``.
    """
    vsctl = ("ovs-vsctl", "--timeout=30")
    run([*vsctl, *chain.from_iterable(("--", "set-controller", *pair) for pair in controllers.items())])
    run([*vsctl, *chain.from_iterable(("--", "set", "controller", name, "max_backoff=1000") for name in controllers)])


def _shorten_idle_flows() -> None:
    """Remove idle flows from the datapath after 0.5 s instead of 10 s.

    Before 3.1.3 the user-space datapath modifies the first of two overlapping megaflows that it finds, not the one
    that was meant (its commit "dpif-netdev: Fix dpif_netdev_flow_put"): what was cached before a gate opened may then
    be forwarded as before for as long as it goes on.  The sooner idle flows go, the fewer overlap.  Exact flows
    (upcall/disable-megaflows) do not overlap, but lose IGMP and neighbour discovery.
    """
    run(["ovs-vsctl", "--timeout=30", "set", "Open_vSwitch", ".", "other_config:max-idle=500"])


def _sockets(pid: int) -> Iterator[socket.socket]:
    """Duplicates of a process's sockets."""
    libc, process = ctypes.CDLL(None), os.pidfd_open(pid)
    try:
        for entry in Path(f"/proc/{pid}/fd").iterdir():
            if entry.readlink().name.startswith("socket:"):
                descriptor = libc.syscall(_PIDFD_GETFD, process, int(entry.name), 0)
                if descriptor >= 0:
                    yield socket.socket(fileno=descriptor)
    finally:
        os.close(process)


def forget_cached_flows() -> None:
    """Make the datapath ask its tables again for every flow.

    For who lets VMs go and brings the same ones back at once: Open vSwitch 3.1 may then hold on to what it had
    cached in between (docs/reliability.rst).
    """
    run(["ovs-appctl", "-t", f"{os.environ['OVS_RUNDIR']}/vswitchd.ctl", "revalidator/purge"])


def settle_cached_flows() -> None:
    """Wait until the datapath forwards as the tables say now, those rules too that it has learnt by itself.

    Twice, as the round that ends first may have begun before.
    """
    for _ in range(2):
        run(["ovs-appctl", "-t", f"{os.environ['OVS_RUNDIR']}/vswitchd.ctl", "revalidator/wait"])


def cached_flows() -> list[str]:
    """The flows that the datapath has cached, by which it forwards without a look at the tables."""
    return run(["ovs-appctl", "-t", f"{os.environ['OVS_RUNDIR']}/vswitchd.ctl", "dpctl/dump-flows"]).splitlines()


def dump_flows(switch: str) -> list[str]:
    """The rules of a bridge as ``ovs-ofctl`` prints them, without counters and ages, sorted."""
    text = _read("--no-stats", "--no-names", "dump-flows", switch)
    return sorted(line.strip() for line in text.splitlines() if "=" in line and "NXST" not in line)


def dump_groups(switch: str) -> list[str]:
    """The groups of a bridge, sorted."""
    text = _read("--no-names", "dump-groups", switch)
    return sorted(line.strip() for line in text.splitlines() if "group_id" in line)


def _read(*arguments: str) -> str:
    """Output of an ``ovs-ofctl`` that changes nothing.

    Where ovs-ofctl gets no processor between its connection and its HELLO, ovs-vswitchd has been seen to close: it is
    asked anew.
    """

    def read() -> list[str]:
        try:
            return [run(["ovs-ofctl", "-O", "OpenFlow13", *arguments])]
        except CommandError as error:
            if "Broken pipe" not in str(error):
                raise
            return []

    return wait_until(read, f"ovs-ofctl {' '.join(arguments)}")[0]
