"""A firewall in a VM as a bump in the wire: a bridge between two VSIs without a MAC address."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

from ryu_apps.testbed.harness.cluster import Hypervisor
from ryu_apps.testbed.harness.inspecting_bridge import BumpCounts, InspectingBridge
from ryu_apps.testbed.harness.running import end_all
from ryu_apps.testbed.harness.station_daemon import DaemonStation
from ryu_apps.testbed.harness.vm import INTERFACE, NamespaceVm
from ryu_apps.testbed.harness.vswitch import VswitchEdge

_OTHER_SIDE = "eth1"


class BumpSide(NamedTuple):
    """One side of the firewall: its VSI, the VID, and the address by which its port is named."""

    vsi: str
    vid: int
    mac: str


class BumpFirewall:
    """A VM at a vSwitch that bridges between an outer and an inner side."""

    def __init__(
        self, home: Hypervisor, name: str, sides: tuple[BumpSide, BumpSide], type_id: int, refused: int
    ) -> None:
        """
        Args:
            sides: the outer and the inner one.
            type_id: of both VSIs, in version 1.
            refused: UDP port whose datagrams it drops.
        """
        self._sides, self._type = sides, type_id
        self._second = f"{name}-{_OTHER_SIDE}"
        self._vm = NamespaceVm(name, sides[0].mac, "192.0.2.1")
        self._vm.create(home.namespace)
        inside = self._vm.namespace
        self._home = home
        home.namespace.ip(
            f"link add {_OTHER_SIDE} netns {inside.pid} type veth peer name {self._second} netns {home.namespace.pid}"
        )
        inside.run("ethtool", "-K", _OTHER_SIDE, "tx", "off")
        inside.ip(*(f"link set {interface} up" for interface in (INTERFACE, _OTHER_SIDE)))
        self._bridge = InspectingBridge(inside, INTERFACE, _OTHER_SIDE, refused)
        self._plug(home)
        for mode in ("reserve", "associate"):
            self._call(home, mode)

    def move(self, there: Hypervisor) -> None:
        """Reserve, carry both interfaces over, associate, and release at the source."""
        source = self._home
        self._call(there, "reserve")
        for port in self._ports:
            source.edge.detach(port)
            source.namespace.ip(f"link set dev {port} netns {there.namespace.pid}")
        self._plug(there)
        self._call(there, "associate")
        self._call(source, "release")
        self._home = there

    def hang(self, hangs: bool) -> None:
        """Let nothing through any more, with both ports up; or go on."""
        self._bridge.hang(hangs)

    def passed(self) -> BumpCounts:
        """Return what it has let through so far."""
        return self._bridge.passed()

    def stop(self) -> None:
        """Release both VSIs, and end the VM."""
        detached = (partial(self._home.edge.detach, port) for port in self._ports)
        end_all(partial(self._call, self._home, "release"), *detached, self._vm.halt)

    @property
    def _ports(self) -> tuple[str, str]:
        return self._vm.port, self._second

    def _plug(self, home: Hypervisor) -> None:
        for port, side in zip(self._ports, self._sides, strict=True):
            home.edge.attach(port, side.mac)
            home.edge.raise_port(port)

    def _call(self, home: Hypervisor, verb: str) -> None:
        assert isinstance(home.station, DaemonStation) and isinstance(home.edge, VswitchEdge)
        for vsi, vid, mac in self._sides:
            described = {"type": self._type, "version": 1, "filters": [str(vid)], "port": home.edge.tap(mac)}
            answer = home.station.call(verb, vsi, **({} if verb == "release" else described))
            assert answer["ok"], (verb, vid, answer)
