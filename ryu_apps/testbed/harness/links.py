"""Bandwidth and delay of the links of a cluster: ``tbf`` and ``netem`` of the kernel at both ends."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.cluster import Cluster
from ryu_apps.testbed.harness.shell import run
from ryu_apps.topologies.mininet_topo import station_bond

#: Octets of a burst: those of 10 ms, but some frames at least.
_BURST, _FEW_FRAMES = 0.01, 10_000
#: Milliseconds for which ``tbf`` keeps frames; frames that ``netem`` keeps.
_LATENCY, _KEPT = 100, 100_000


class LinkLimitsError(TestbedError):
    """The kernel cannot limit a link as it is wanted."""


@dataclass(frozen=True, slots=True)
class LinkLimits:
    """Bandwidth and delay of a link, in each direction.

    Attributes:
        rate_mbit: megabits a second; None: no limit.
        delay_ms: milliseconds; 0: none.
    """

    rate_mbit: float | None = None
    delay_ms: float = 0.0

    @property
    def kinds(self) -> tuple[str, ...]:
        """Queueing disciplines that it needs, from the outside."""
        return (*(["netem"] if self.delay_ms else []), *(["tbf"] if self.rate_mbit is not None else []))


def names_of_links(fabric: Fabric) -> Iterator[tuple[str, PortId]]:
    """Yield the name of each link and the port at its end: the device at a port, or two switches, ``s1-s2``.

    Parallel links of two switches have the same name.
    """
    for switch in fabric.switches.values():
        for interface in switch.interfaces.values():
            port = PortId(switch.dpid, interface.port_no)
            if interface.role is not Role.TRUNK:
                yield interface.name, port
            elif interface.peer is not None and port < interface.peer:
                yield f"{switch.name}-{fabric.switches[interface.peer.dpid].name}", port


def check_kernel(limits: Mapping[str, LinkLimits]) -> None:
    """Check that the kernel has what the links need, in a network namespace of its own.

    Raises:
        LinkLimitsError: it has not.
    """
    tried = {"netem": "netem delay 1ms", "tbf": f"tbf rate 1mbit burst {_FEW_FRAMES} latency {_LATENCY}ms"}
    attributes = {"netem": "delay_ms", "tbf": "rate_mbit"}
    for kind, words in tried.items():
        using = [name for name, wanted in limits.items() if kind in wanted.kinds]
        if not using:
            continue
        command = ["unshare", "--net", "tc", "qdisc", "add", "dev", "lo", "root", *words.split()]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LinkLimitsError(
                f"{attributes[kind]} of the link {using[0]}: this kernel has no {kind} (module sch_{kind}): "
                f"{done.stderr.strip()}; `make test-kernel` runs a command in a guest whose kernel has it"
            )


def limit_links(cluster: Cluster, limits: Mapping[str, LinkLimits]) -> None:
    """Limit links of a cluster that is up, at both ends."""
    for name, port in names_of_links(cluster.fabric):
        if (wanted := limits.get(name)) is not None:
            for tc, device in _ends(cluster, port):
                for line in _lines(device, wanted):
                    tc(line)


def _lines(device: str, limits: LinkLimits) -> Iterator[str]:
    """Lines of ``tc`` that make the queueing disciplines, one within the other."""
    parent = "root handle 1:"
    if limits.delay_ms:
        yield f"qdisc add dev {device} {parent} netem delay {limits.delay_ms:g}ms limit {_KEPT}"
        parent = "parent 1:1 handle 2:"
    if limits.rate_mbit is not None:
        burst = max(_FEW_FRAMES, int(limits.rate_mbit * 1_000_000 / 8 * _BURST))
        yield f"qdisc add dev {device} {parent} tbf rate {limits.rate_mbit:g}mbit burst {burst} latency {_LATENCY}ms"


def _ends(cluster: Cluster, port: PortId) -> Iterator[tuple[Callable[[str], object], str]]:
    """Yield ``tc`` of the right namespace, and the interface, for both ends of each link of a port."""
    switch = cluster.fabric.switches[port.dpid]
    interface = switch.interfaces[port.port_no]
    for number, link in enumerate(interface.links, start=1):
        yield _here, f"{switch.name}-eth{link}"
        yield _far_end(cluster, interface, number)


def _far_end(cluster: Cluster, interface: Interface, number: int) -> tuple[Callable[[str], object], str]:
    if interface.peer is not None:
        return _here, f"{cluster.fabric.switches[interface.peer.dpid].name}-eth{interface.peer.port_no}"
    if interface.bond:
        return _here, f"{station_bond(interface)}-eth{number}"
    return cluster.at(interface.name).tc, f"{interface.name}-eth0"


def _here(line: str) -> None:
    run(["tc", *line.split()])
