"""evbridge with three switches, as OVN's chassis are: a VM moves between the first two, a client is at the third.

Each switch is an Open vSwitch of its own, in a namespace of its own, with a cable to each of the others.  The
controller is in the hub.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.hub import Hub, cable, hub
from bench.ovn import CHASSIS
from bench.rig import RYU_MANAGER, packet_socket, process
from bench.station import TIMERS, VID, BenchStation, vsi
from ryu_apps.evb.wire.vdp import Associate, DeAssociate, PreAssociateRR, RequestStatus
from tests.interop.private_ovs import PrivateOvs

_SUBNET = "10.252.0"
_BRIDGE = "sw"
_ROOT = Path(__file__).parents[1]
#: Numbers of VSI types: ``count`` rules, stateless or stateful.
_STATEFUL = 10


@dataclass(frozen=True, slots=True)
class Setup:
    """The configuration of a bridge, as far as contestants differ.

    Attributes:
        converge, gate: as in evbridge.yaml.
    """

    converge: str
    gate: str


@dataclass(frozen=True, slots=True)
class ThreeSwitches:
    """A running evbridge.

    Attributes:
        switches: by the names of OVN's chassis.
        namespaces: those in which its processes run.
        stations: of the first two.
    """

    switches: dict[str, PrivateOvs]
    namespaces: tuple[str, ...]
    stations: dict[str, BenchStation]
    _types: dict[tuple[int, bool], int]

    def begin(self, number: int, count: int, stateful: bool, here: str) -> None:
        """Associate a VM with a policy of so many rules."""
        self.stations[here].ask(vsi(number, Associate, self._types[count, stateful]))

    def stage(self, number: int, count: int, stateful: bool, there: str) -> None:
        """Stage it at another switch."""
        asked = vsi(number, PreAssociateRR, self._types[count, stateful])
        self.stations[there].ask(replace(asked, status=RequestStatus(migrating=True)))

    def suspend(self, number: int, count: int, stateful: bool, here: str) -> None:
        """Report that the VM is suspended: its move is about to end."""
        self.stations[here].ask(vsi(number, Associate, self._types[count, stateful]), suspended=True)

    def activate(self, number: int, count: int, stateful: bool, there: str) -> tuple[float, float]:
        """Associate it there; returns the time of the request and that of the answer, monotonic seconds."""
        asked = vsi(number, Associate, self._types[count, stateful])
        exchange = self.stations[there].ask(replace(asked, status=RequestStatus(migrating=True)))
        return exchange.asked, exchange.answered

    def settle(self, here: str) -> None:
        """Let the source's station hear that the VM has left."""
        self.stations[here].idle(0.1)

    def end(self, number: int, count: int, stateful: bool, there: str) -> None:
        """De-associate the VM."""
        self.stations[there].ask(vsi(number, DeAssociate, self._types[count, stateful]))


@contextmanager
def three_switches(
    setup: Setup, policies: list[tuple[int, bool]], client_mac: int, port: int
) -> Iterator[ThreeSwitches]:
    """evbridge and its switches, whose stations have agreed with it; ``vm1`` and ``cl1`` are the far ends.

    Args:
        policies: numbers of rules, and whether they are a firewall's.
        port: TCP port of the controller.
    """
    with tempfile.TemporaryDirectory(prefix="race-") as folder, ExitStack() as stack:
        types = {policy: (_STATEFUL if policy[1] else 0) + number for number, policy in enumerate(policies, start=1)}
        for (count, stateful), type_id in types.items():
            Path(folder, f"{type_id}.yaml").write_text(_policy(type_id, count, stateful))
        config = Path(folder, "evbridge.yaml")
        config.write_text(_config(setup, list(types.values()), client_mac))
        between = stack.enter_context(hub())
        between.address("mgmt", f"{_SUBNET}.254/24")
        switches = {name: stack.enter_context(PrivateOvs()) for name in CHASSIS}
        log = Path(folder, "log")
        listening = ("--ofp-listen-host", f"{_SUBNET}.254", "--ofp-tcp-listen-port", str(port))
        command = ("-c", RYU_MANAGER, *listening, "ryu_apps.evb_bridge")
        stack.enter_context(process(between, *command, log=log, EVBRIDGE_CONFIG=str(config)))
        try:
            _cables(switches)
            for number, (name, switch) in enumerate(switches.items(), start=1):
                _switch(between, name, switch, number, port)
            uplinks = {name: packet_socket(switches[name], "vm1") for name in CHASSIS[:2]}
            for uplink in uplinks.values():
                stack.callback(uplink.close)
            stations = {
                name: BenchStation(uplink, 0x525400FF2200 + place)
                for place, (name, uplink) in enumerate(uplinks.items())
            }
            for station in stations.values():
                station.agree()
            namespaces = between.namespace, *(switch.namespace for switch in switches.values())
            yield ThreeSwitches(switches, namespaces, stations, types)
        except BaseException:
            sys.stderr.write(log.read_text())
            raise


def _cables(switches: dict[str, PrivateOvs]) -> None:
    for place, near in enumerate(CHASSIS):
        for far in CHASSIS[place + 1 :]:
            cable(switches[near], f"to-{far}", switches[far], f"to-{near}")


def _switch(between: Hub, name: str, switch: PrivateOvs, number: int, port: int) -> None:
    between.join(switch, "mgmt", number, "mgmt")
    switch.run("ip", "-n", switch.namespace, "address", "add", f"{_SUBNET}.{number}/24", "dev", "mgmt")
    switch.add_bridge(_BRIDGE, number)
    near, far = ("cl0", "cl1") if name == CHASSIS[-1] else ("vm0", "vm1")
    switch.add_veth(_BRIDGE, 1, near, far)
    for other in CHASSIS:
        if other != name:
            wanted = f"ofport_request={_trunk(other)}"
            switch.vsctl("add-port", _BRIDGE, f"to-{other}", "--", "set", "interface", f"to-{other}", wanted)
    switch.vsctl("set-controller", _BRIDGE, f"tcp:{_SUBNET}.254:{port}")


def _trunk(other: str) -> int:
    return 10 + CHASSIS.index(other)


def _config(setup: Setup, type_ids: list[int], client_mac: int) -> str:
    switches = ""
    for number, name in enumerate(CHASSIS, start=1):
        end = (
            f'{{name: client, role: host, native_vlan: {VID}, macs: ["{client_mac.to_bytes(6).hex(":")}"]}}'
            if name == CHASSIS[-1]
            else f"{{name: hv-{name}, role: station, native_vlan: {VID}}}"
        )
        trunks = "".join(
            f"\n      {_trunk(other)}: {{name: to-{other}, role: trunk, link: {{dp: {other}, port: {_trunk(name)}}}}}"
            for other in CHASSIS
            if other != name
        )
        switches += f"\n  {name}:\n    dp_id: {number}\n    gate: {setup.gate}\n    interfaces:\n      1: {end}{trunks}"
    return f"""\
version: 1
policies: [{", ".join(f"{type_id}.yaml" for type_id in type_ids)}]
converge: {setup.converge}
timers: {{rwd: {TIMERS.rwd}, rka: {TIMERS.rka}}}
dps:{switches}
"""


def _policy(type_id: int, count: int, stateful: bool) -> str:
    rules = [
        f"{{rule: {{ipv4_src: {10 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.1, tcp_dst: 443, "
        "actions: {allow: 1}}}"
        for number in range(count - 1)
    ]
    rules.append("{rule: {eth_type: ipv4, udp_dst: 4000, actions: {allow: 1}}}")
    lines = "\n".join(f"  - {rule}" for rule in rules)
    direction = f"to_vm:\n  default: deny\n  rules:\n{lines}\n"
    if stateful:
        direction = "firewall:\n" + "".join(f"  {line}\n" for line in direction.splitlines())
    return f"""\
version: 1
vsi_type: {{type_id: {type_id}, version: 1, name: {count} rules}}
anti_spoofing: {{ip: false, arp: false}}
{"" if stateful else "from_vm: {default: allow}"}
{direction}"""
