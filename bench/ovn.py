"""The peer: OVN with three chassis, whose port for a VM may be at two of them while it moves.

Open vSwitch's user-space datapath, as for evbridge, and tunnels by it.  Each chassis has its own Open vSwitch; the
databases and ``ovn-northd`` are in the hub.  ``requested-chassis=a,b`` stages the port at the second chassis: others
send copies to both, and ``activation-strategy=rarp`` blocks it there until the VM sends a RARP.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.hub import Hub, hub
from tests.interop.private_ovs import PrivateOvs, inside, wait_for

#: Chassis by name: the VM moves between the first two, the client is at the third.
CHASSIS = ("a", "b", "c")
_CONTROL, _TUNNELS = "10.254.0", "10.253.0"
_SB_PORT = 6642
_SCHEMAS = Path("/usr/share/ovn")
_SWITCH, _VM, _CLIENT = "net", "vm", "client"
_ENOUGH = 120.0
#: ACLs of one transaction: the command line has its limits.
_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Ovn:
    """A running OVN.

    Attributes:
        chassis: the switches, by name.
        namespaces: those in which its processes run.
    """

    chassis: dict[str, PrivateOvs]
    namespaces: tuple[str, ...]
    _directory: Path

    def set_policy(self, count: int, stateful: bool) -> None:
        """Replace the ACLs: ``count`` of them to the VM, the last of which allows the stream of the measurement."""
        allow = "allow-related" if stateful else "allow"
        self.nbctl("clear", "logical_switch", _SWITCH, "acls")
        matches = [
            f"ip4.src == {10 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.1 && tcp.dst == 443"
            for number in range(count - 1)
        ]
        rules = [(1001, match, allow) for match in (*matches, "ip4 && udp.dst == 4000")]
        rules.append((1, "ip4", "drop"))
        for start in range(0, len(rules), _AT_ONCE):
            words: list[str] = []
            for priority, match, action in rules[start : start + _AT_ONCE]:
                whole = f'outport == "{_VM}" && {match}'
                words += ["--", "acl-add", _SWITCH, "to-lport", str(priority), whole, action]
            self.nbctl(*words[1:])
        self.settle()

    def place(self, *chassis: str) -> None:
        """Have the VM's port at one chassis, or staged at the second of two."""
        options = [f"requested-chassis={','.join(chassis)}"]
        if len(chassis) > 1:
            options.append("activation-strategy=rarp")
        else:
            self.nbctl("--if-exists", "remove", "logical_switch_port", _VM, "options", "activation-strategy")
        self.nbctl("lsp-set-options", _VM, *options)
        self.settle()

    def settle(self) -> None:
        """Wait until all chassis have what the database says."""
        self.nbctl("--wait=hv", "sync")

    def is_at(self, *chassis: str) -> bool:
        """True if the VM's port is bound to the first of some chassis, and staged at the others."""
        names = self._sbctl(
            "--bare", "--columns=chassis,additional_chassis", "find", "port_binding", f"logical_port={_VM}"
        )
        known = dict(
            line.split(",")[::-1]
            for line in self._sbctl("--format=csv", "--no-headings", "--columns=_uuid,name", "list", "chassis").split()
        )
        return sorted(names.split()) == sorted(known[name] for name in chassis)

    def nbctl(self, *arguments: str) -> str:
        """Change the northbound database."""
        return _run("ovn-nbctl", f"--db=unix:{self._directory}/nb.sock", f"--timeout={_ENOUGH:.0f}", *arguments)

    def _sbctl(self, *arguments: str) -> str:
        return _run("ovn-sbctl", f"--db=unix:{self._directory}/sb.sock", f"--timeout={_ENOUGH:.0f}", *arguments)


@contextmanager
def ovn(vm_mac: int, client_mac: int) -> Iterator[Ovn]:
    """OVN with the VM's interface at two chassis (``vm1`` is its far end) and a client's at the third (``cl1``)."""
    with tempfile.TemporaryDirectory(prefix="ovn-") as folder, ExitStack() as stack:
        between = stack.enter_context(hub())
        between.address("mgmt", f"{_CONTROL}.254/24")
        between.address("ext", f"{_TUNNELS}.254/24")
        _databases(between, Path(folder), stack)
        chassis = {name: stack.enter_context(PrivateOvs()) for name in CHASSIS}
        namespaces = between.namespace, *(switch.namespace for switch in chassis.values())
        made = Ovn(chassis, namespaces, Path(folder))
        made.nbctl("ls-add", _SWITCH)
        for port, mac, address in ((_VM, vm_mac, "10.9.9.1"), (_CLIENT, client_mac, "10.9.9.2")):
            made.nbctl("lsp-add", _SWITCH, port)
            made.nbctl("lsp-set-addresses", port, f"{mac.to_bytes(6).hex(':')} {address}")
        for number, (name, switch) in enumerate(chassis.items(), start=1):
            _join(between, switch, name, number)
        wait_for(lambda: len(made._sbctl("--bare", "--columns=name", "list", "chassis").split()) == 3, "three chassis")
        made.place(CHASSIS[0])
        wait_for(lambda: made.is_at(CHASSIS[0]), "the VM at its chassis")
        yield made


def _databases(between: Hub, folder: Path, stack: ExitStack) -> None:
    for name in ("nb", "sb"):
        _run("ovsdb-tool", "create", f"{folder}/{name}.db", str(_SCHEMAS / f"ovn-{name}.ovsschema"))
    tcp = f"--remote=ptcp:{_SB_PORT}:{_CONTROL}.254"
    for name, remotes in (("nb", ()), ("sb", (tcp,))):
        command = ("ovsdb-server", f"{folder}/{name}.db", f"--remote=punix:{folder}/{name}.sock", *remotes)
        stack.enter_context(_daemon(between, folder, name, command))
    for name in ("nb", "sb"):
        _run(f"ovn-{name}ctl", f"--db=unix:{folder}/{name}.sock", "--timeout=20", "init")
    northd = ("ovn-northd", f"--ovnnb-db=unix:{folder}/nb.sock", f"--ovnsb-db=unix:{folder}/sb.sock")
    stack.enter_context(_daemon(between, folder, "northd", northd))


def _join(between: Hub, switch: PrivateOvs, name: str, number: int) -> None:
    between.join(switch, "mgmt", number, "mgmt")
    between.join(switch, "ext", number, "phy")
    switch.run("ip", "-n", switch.namespace, "address", "add", f"{_CONTROL}.{number}/24", "dev", "mgmt")
    for bridge, mode in (("br-ext", "standalone"), ("br-int", "secure")):
        switch.vsctl("add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev", f"fail_mode={mode}")
    switch.vsctl("add-port", "br-ext", "phy")
    switch.run("ip", "-n", switch.namespace, "address", "add", f"{_TUNNELS}.{number}/24", "dev", "br-ext")
    switch.run("ip", "-n", switch.namespace, "link", "set", "br-ext", "up")
    switch.vsctl(
        *("set", "Open_vSwitch", ".", f"external_ids:system-id={name}", f"external_ids:hostname={name}"),
        *(f'external_ids:ovn-remote="tcp:{_CONTROL}.254:{_SB_PORT}"', "external_ids:ovn-encap-type=geneve"),
        *(f"external_ids:ovn-encap-ip={_TUNNELS}.{number}", "external_ids:ovn-bridge-datapath-type=netdev"),
    )
    near, far, port = ("cl0", "cl1", _CLIENT) if name == CHASSIS[-1] else ("vm0", "vm1", _VM)
    switch.add_veth("br-int", 100, near, far)
    switch.vsctl("set", "interface", near, f"external_ids:iface-id={port}")
    switch.spawn("ovn-controller", f"unix:{switch.directory}/db.sock")


@contextmanager
def _daemon(between: Hub, folder: Path, name: str, command: tuple[str, ...]) -> Iterator[None]:
    options = (f"--unixctl={folder}/{name}.ctl", f"--pidfile={folder}/{name}.pid")
    with inside(between.namespace), (folder / f"{name}.log").open("wb") as log:
        running = subprocess.Popen([*command, *options], stdout=log, stderr=log)
    try:
        if name != "northd":
            wait_for((folder / f"{name}.sock").exists, f"a database {name}")
        yield
    finally:
        running.terminate()
        running.wait(timeout=30)


def _run(*command: str) -> str:
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, timeout=_ENOUGH)
    if done.returncode:
        raise RuntimeError(f"{command[0]} {command[-1]}: {done.stderr}")
    return done.stdout
