"""A private Open vSwitch with dummy ports that holds the rules of simulated switches, written over OpenFlow."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path
from typing import NamedTuple

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.actions import CONTROLLER
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.southbound.encode import flow_add, group_write, message, meter_write
from ryu_apps.southbound.messages import FRAGMENTS_SHOWN, SwitchConfig, barrier, set_config

SCHEMA = "/usr/share/openvswitch/vswitch.ovsschema"
DEADLINE = 60.0
_LOOKUP = re.compile(r"^\s*(\d+)\. (.*)$")
_RULE = re.compile(r"priority (\d+)(?:, cookie (0x[0-9a-f]+))?$")
_BARRIER = 7


class TracedStep(NamedTuple):
    """A lookup in a trace: table, and priority and cookie of the rule; None: no rule matched."""

    table: int
    rule: tuple[int, int] | None


class DummySwitches:
    """Bridges of one ``ovs-vswitchd``, each with its own datapath id."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._env = os.environ | {f"OVS_{name}": str(folder) for name in ("RUNDIR", "LOGDIR", "DBDIR", "SYSCONFDIR")}
        self._daemons: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        database = f"unix:{self.folder}/db.sock"
        self._run("ovsdb-tool", "create", f"{self.folder}/conf.db", SCHEMA)
        self._spawn("ovsdb-server", f"{self.folder}/conf.db", f"--remote=p{database}", self._control("db"))
        self.vsctl("--retry", "--no-wait", "init")
        self._spawn("ovs-vswitchd", database, "--enable-dummy", "--disable-system", self._control("vswitchd"))

    def stop(self) -> None:
        for daemon in reversed(self._daemons):
            daemon.terminate()
            daemon.wait(timeout=DEADLINE)

    def add(self, name: str, dpid: int, ports: Iterable[int]) -> None:
        """Add a bridge that speaks OpenFlow 1.3."""
        settings = ("datapath_type=dummy", "fail-mode=secure", "protocols=OpenFlow13")
        self.vsctl("add-br", name, "--", "set", "bridge", name, *settings, f"other-config:datapath-id={dpid:016x}")
        for port in ports:
            interface = ("set", "interface", f"{name}p{port}", "type=dummy", f"ofport_request={port}")
            self.vsctl("add-port", name, f"{name}p{port}", "--", *interface)

    def install(self, name: str, table: FlowTable) -> None:
        """Write meters, groups and rules; fragments are shown with their ports."""
        with socket.socket(socket.AF_UNIX) as opened:
            opened.settimeout(DEADLINE)
            opened.connect(f"{self.folder}/{name}.mgmt")
            written = [message(ofp.OFPT_HELLO, b""), set_config(SwitchConfig(FRAGMENTS_SHOWN, 0xFFFF), 1)]
            written += [meter_write(meter, known=False) for meter in table.meters.values()]
            written += [group_write(group) for _, group in sorted(table.groups.items(), key=_referred_first)]
            written += [flow_add(rule) for rule in table.rules.values()]
            opened.sendall(b"".join(written) + barrier(_BARRIER))
            _await(opened)

    def stop_time(self) -> None:
        """Stop the clock of the switches, so that no rule expires while a slow test looks at it."""
        self._run("ovs-appctl", "-t", f"{self.folder}/vswitchd.ctl", "time/stop")

    def trace(self, name: str, flow: str, *octets: str) -> str:
        """Trace a frame with all effects of a real one but for counters."""
        return self._run("ovs-appctl", "-t", f"{self.folder}/vswitchd.ctl", *_TRACE, name, flow, *(octets or _GENERATE))

    def vsctl(self, *arguments: str) -> None:
        self._run("ovs-vsctl", f"--db=unix:{self.folder}/db.sock", f"--timeout={DEADLINE:.0f}", *arguments)

    def _control(self, name: str) -> str:
        return f"--unixctl={self.folder}/{name}.ctl"

    def _run(self, *command: str) -> str:
        done = subprocess.run(command, env=self._env, capture_output=True, text=True, timeout=DEADLINE, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
        return done.stdout

    def _spawn(self, *command: str) -> None:
        with (self.folder / f"{command[0]}.log").open("wb") as log:
            self._daemons.append(subprocess.Popen(command, env=self._env, stdout=log, stderr=log))


_TRACE = ("ofproto/trace", "--names")
_GENERATE = ("-generate",)


def _referred_first(item: tuple[int, object]) -> tuple[bool, int]:
    """Groups of trunks go before those that refer to them."""
    return item[0] >> 20 != 3, item[0]


def _await(opened: socket.socket) -> None:
    """Read until the answer to the barrier; an error is a failure."""
    stream = opened.makefile("rb")
    while True:
        head = stream.read(8)
        assert len(head) == 8, "the switch has closed the connection"
        body = stream.read(int.from_bytes(head[2:4]) - 8)
        assert head[1] != ofp.OFPT_ERROR, (head + body).hex()
        if head[1] == ofp.OFPT_BARRIER_REPLY:
            return


@contextmanager
def dummy_switches() -> Iterator[DummySwitches]:
    """Start and stop them; not in pytest's directory, since the path of a Unix socket has room for 107 characters."""
    with tempfile.TemporaryDirectory(prefix="ovs") as folder:
        switches = DummySwitches(Path(folder))
        try:
            switches.start()
            yield switches
        finally:
            switches.stop()


def lookups(trace: str) -> list[TracedStep]:
    """The lookups of a trace, in their order."""
    found = []
    for line in trace.splitlines():
        lookup = _LOOKUP.match(line)
        if lookup is not None:
            rule = _RULE.search(lookup[2])
            assert rule is not None or lookup[2] == "No match.", line
            shown = None if rule is None else (int(rule[1]), int(rule[2] or "0", 16))
            found.append(TracedStep(int(lookup[1]), shown))
    return found


def outputs(trace: str, name: str) -> list[int]:
    """Numbers of the ports at which copies leave a bridge, from the last line of a trace; the controller too."""
    (actions,) = re.findall(r"^Datapath actions: (.*)$", trace, re.MULTILINE)
    found = re.findall(rf"userspace\(|\b{name}p\d+\b", actions)
    return [CONTROLLER if action == "userspace(" else int(action.removeprefix(f"{name}p")) for action in found]


_NAMES = {
    "ipv4_src": "nw_src",
    "ipv4_dst": "nw_dst",
    "ip_frag": "nw_frag",
    "ip_proto": "nw_proto",
    "icmpv4_type": "icmp_type",
    "icmpv4_code": "icmp_code",
    "ipv6_nd_target": "nd_target",
    "ipv6_nd_sll": "nd_sll",
    "ipv6_nd_tll": "nd_tll",
}
_BEHIND_IP = ("tcp_", "udp_", "icmp")
_FRAGMENTS = {0: "no", 1: "first", 3: "later"}
_MACS = {"eth_src", "eth_dst", "arp_sha", "arp_tha", "ipv6_nd_sll", "ipv6_nd_tll"}


def flow_text(fields: Mapping[str, int]) -> str:
    """A frame as ``ofproto/trace`` takes it: all fields that it can have, by value."""
    hidden = _BEHIND_IP if fields.get("ip_frag") == 3 else ("nd_options_type", "nd_reserved")
    shown = {name: value for name, value in fields.items() if not name.startswith(hidden)}
    return ",".join(f"{_NAMES.get(name, name)}={_text(name, value)}" for name, value in shown.items())


def _text(name: str, value: int) -> str:
    if name in _MACS:
        return value.to_bytes(6).hex(":")
    if name.startswith("ipv6_"):
        return str(IPv6Address(value))
    if name.startswith(("ipv4_", "arp_spa", "arp_tpa")):
        return str(IPv4Address(value))
    return _FRAGMENTS[value] if name == "ip_frag" else str(value) if name == "in_port" else hex(value)
