"""Rig of the measurements: one Open vSwitch, one bridge for evbridge and one for the yardstick.

Both bridges have a station at port 1 and a client at port 2.  The controllers are processes of their
own, evbridge under plain ``ryu-manager``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path

from bench.hub import Hub
from bench.reference import Wish, frame
from bench.station import MOVER, TIMERS, VID, BenchStation, vsi_mac
from bench.stream import Listener
from tests.interop.private_ovs import PrivateOvs, inside, wait_for

_ROOT = Path(__file__).parents[1]
_ETH_P_ALL = 3
_REFERENCE_PORT, _EVBRIDGE_PORT = 7001, 7002
#: Where ``pip install`` has put evbridge's hook there is no need to import it first.
RYU_MANAGER = "from ryu_apps import compat; from ryu.cmd.manager import main; main()"
CLIENT_MAC = 0x5254000064C1
#: Rules of each VSI type, by type ID.
TYPES = {1: 10, 2: 100, 3: 1_000, 4: 10_000}
#: A type with an ACL alone, and one with the same ACL and every service.
PLAIN, ALL_SERVICES = 2, 5
#: A snooped type that may join so many groups, and one that has them configured, from the first one on.
SNOOPED, CONFIGURED_GROUPS, GROUPS = 6, 7, 1000
FIRST_GROUP = IPv4Address("239.2.0.0")
#: The ports of the station that floods, and of the one to which VSIs with groups move.
FLOODER, SECOND = 4, 5
_SECTIONS = (
    "firewall: {to_vm: {default: allow}}",
    "load_balancer: {backend_of: [web]}",
    "multicast: {groups: [239.1.0.1]}",
    "statistics: {}",
    "tcp_proxy: {ports: [443]}",
)


@dataclass(frozen=True, slots=True)
class Ends:
    """The far ends of a bridge's two ports, as packet sockets."""

    station: socket.socket
    client: socket.socket

    def close(self) -> None:
        self.station.close()
        self.client.close()


class Reference:
    """The yardstick's bridge."""

    def __init__(self, ends: Ends) -> None:
        self.ends = ends

    def ask(self, wish: Wish, count: int = 0) -> None:
        """Send a frame and wait until it is back."""
        asked = frame(wish, count)
        self.ends.station.settimeout(30)
        self.ends.station.send(asked)
        while self.ends.station.recv(2048) != asked:
            pass


@contextmanager
def private_ovs() -> Iterator[PrivateOvs]:
    """The switch."""
    with PrivateOvs() as ovs:
        yield ovs


@contextmanager
def bridge(ovs: PrivateOvs, name: str, dpid: int, port: int, tls: bool = False) -> Iterator[Ends]:
    """A bridge with two ports whose controller listens at a port of the namespace."""
    ovs.add_bridge(name, dpid, f"{'ssl' if tls else 'tcp'}:127.0.0.1:{port}")
    for number, role in ((1, "st"), (2, "cl")):
        ovs.add_veth(name, number, f"{name}-{role}0", f"{name}-{role}1")
    ends = Ends(packet_socket(ovs, f"{name}-st1"), packet_socket(ovs, f"{name}-cl1"))
    try:
        yield ends
    finally:
        ends.close()
        ovs.vsctl("del-br", name)


def packet_socket(ovs: PrivateOvs, interface: str) -> socket.socket:
    """Everything that comes in at an interface of the namespace; what goes out is not heard."""
    with inside(ovs.namespace):
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(_ETH_P_ALL))
    opened.setsockopt(263, 23, 1)
    opened.bind((interface, _ETH_P_ALL))
    return opened


def listener(ovs: PrivateOvs, interface: str, port: int) -> Listener:
    """Return the listener for a stream at an interface of the namespace."""
    with inside(ovs.namespace):
        opened = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    return Listener(opened, interface, port)


@contextmanager
def process(at: PrivateOvs | Hub, *arguments: str, log: Path, **environment: str) -> Iterator[None]:
    """A Python program in the namespace of a switch, or of the hub between switches."""
    command = ["ip", "netns", "exec", at.namespace, sys.executable, *arguments]
    with log.open("ab") as output:
        running = subprocess.Popen(
            command, cwd=_ROOT, env=os.environ | environment | {"PYTHONPATH": str(_ROOT)}, stdout=output, stderr=output
        )
    try:
        yield
    finally:
        running.terminate()
        running.wait(timeout=30)


@contextmanager
def reference(ovs: PrivateOvs) -> Iterator[Reference]:
    """The yardstick, ready."""
    with (
        tempfile.TemporaryDirectory() as folder,
        process(ovs, "-m", "bench.reference", str(_REFERENCE_PORT), log=Path(folder, "log")),
        bridge(ovs, "ref", 1, _REFERENCE_PORT) as ends,
    ):
        wait_for(lambda: len(ovs.flows("ref")) == 3, "rules of the reference")
        yield Reference(ends)


def _certificates(ovs: PrivateOvs, folder: Path) -> tuple[str, ...]:
    """Give the switch its certificate; returns the options with which the controller has one, and trusts the switch."""
    pki = ["ovs-pki", f"--dir={folder}/pki", f"--log={folder}/pki.log"]
    for command in (("init",), ("req+sign", "c", "controller"), ("req+sign", "s", "switch")):
        subprocess.run([*pki, *command], cwd=folder, check=True, stdout=subprocess.DEVNULL)
    ovs.vsctl("set-ssl", f"{folder}/s-privkey.pem", f"{folder}/s-cert.pem", f"{folder}/pki/controllerca/cacert.pem")
    key, certificate, trusted = f"{folder}/c-privkey.pem", f"{folder}/c-cert.pem", f"{folder}/pki/switchca/cacert.pem"
    return "--ctl-privkey", key, "--ctl-cert", certificate, "--ca-certs", trusted


@contextmanager
def evbridge(ovs: PrivateOvs, store: str = "", tls: bool = False) -> Iterator[tuple[BenchStation, Ends]]:
    """evbridge with the types of :data:`TYPES`, and a station that has agreed with it.

    Args:
        store: lines of evbridge.yaml that say where the state is.
        tls: the switch connects over TLS, with certificates on both sides.
    """
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder, "evbridge.yaml")
        config.write_text(store + _config())
        for type_id, count in TYPES.items():
            Path(folder, f"type{type_id}.yaml").write_text(_policy(type_id, count))
        everything = "\n".join((_policy(ALL_SERVICES, TYPES[PLAIN]), *_SECTIONS, ""))
        Path(folder, f"type{ALL_SERVICES}.yaml").write_text(everything)
        for type_id, groups in ((SNOOPED, ()), (CONFIGURED_GROUPS, range(GROUPS))):
            text = ", ".join(str(FIRST_GROUP + number) for number in groups)
            section = f"multicast: {{max_groups: {GROUPS}, max_sources: 0, groups: [{text}]}}\n"
            Path(folder, f"type{type_id}.yaml").write_text(_policy(type_id, TYPES[PLAIN]) + section)
        listening = f"--ofp-{'ssl' if tls else 'tcp'}-listen-port", str(_EVBRIDGE_PORT)
        trust = _certificates(ovs, Path(folder)) if tls else ()
        arguments = ("-c", RYU_MANAGER, *listening, *trust, "ryu_apps.evb_bridge")
        log = Path(folder, "log")
        with (
            process(ovs, *arguments, log=log, EVBRIDGE_CONFIG=str(config)),
            bridge(ovs, "evb", 2, _EVBRIDGE_PORT, tls) as ends,
        ):
            station = BenchStation(ends.station)
            try:
                station.agree()
                yield station, ends
            except BaseException:
                sys.stderr.write(log.read_text())
                raise


def _config() -> str:
    client, backend = (mac.to_bytes(6).hex(":") for mac in (CLIENT_MAC, vsi_mac(MOVER + ALL_SERVICES)))
    return f"""\
version: 1
policies: [{", ".join(f"type{type_id}.yaml" for type_id in (*TYPES, ALL_SERVICES, SNOOPED, CONFIGURED_GROUPS))}]
timers: {{rwd: {TIMERS.rwd}, rka: {TIMERS.rka}}}
load_balancers:
  web:
    vlan: {VID}
    mac: "02:00:00:00:00:c8"
    addresses: [10.0.0.200]
    port: 80
    backends: {{one: {{mac: "{backend}", addresses: [10.0.0.1]}}}}
dps:
  s1:
    dp_id: 2
    interfaces:
      1: {{name: hv1, role: station, native_vlan: {VID}}}
      2: {{name: client, role: host, native_vlan: {VID}, macs: ["{client}"]}}
      3: {{name: proxy, role: host, native_vlan: {VID}, macs: ["02:00:00:00:00:03"], appliance: tcp_proxy}}
      {FLOODER}: {{name: hv2, role: station, native_vlan: {VID}}}
      {SECOND}: {{name: hv3, role: station, native_vlan: {VID}}}
"""


def _policy(type_id: int, count: int) -> str:
    rules = [
        f"    - rule: {{ipv4_src: {10 + (number >> 16)}.{number >> 8 & 255}.{number & 255}.1, tcp_dst: 443, "
        "actions: {allow: 1}}"
        for number in range(count - 1)
    ]
    return "\n".join(
        (
            "version: 1",
            f"vsi_type: {{type_id: {type_id}, version: 1, name: {count} rules}}",
            "anti_spoofing: {ip: false, arp: false}",
            "from_vm: {default: allow}",
            "to_vm:",
            "  default: deny",
            "  rules:",
            *rules,
            "    - rule: {eth_type: ipv4, udp_dst: 4000, actions: {allow: 1}}",
            "",
        )
    )
