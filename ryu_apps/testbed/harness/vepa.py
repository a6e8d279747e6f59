"""A hypervisor's edge as a Virtual Ethernet Port Aggregator (802.1Q 5.24.1): everything goes to the bridge and back.

Built from traffic control (u32 and mirred) on the uplink and on each VM port instead of a Linux bridge: a
bridge would eat the group addresses that lldpad listens to, and would switch between VMs by itself.

* a frame from a VM port leaves by the uplink, always;
* a frame from the uplink goes to the port whose MAC address it bears;
* a group frame goes to every port except the one of the VM that sent it (a reflected frame).

A VM whose VLAN is not the native one of the uplink has an access port of that VLAN
(:mod:`ryu_apps.station_daemon.access_port`).
"""

from __future__ import annotations

import socket
import threading
from contextlib import closing
from typing import ClassVar

from ryu_apps.evb.pipeline.punting import STATION_PROTOCOLS
from ryu_apps.station_daemon.access_port import tag_port
from ryu_apps.testbed.errors import TestbedError
from ryu_apps.testbed.harness.shell import Namespace, interface_flags, set_interface_flags

IFF_UP = 1

# Preferences of the filters of a VM's port.
_GUARDS, _OUT = 1, 1000
# Preferences of the uplink's filters; the group filters live in one of two banks, see ``_rewrite_groups``.
_UNICAST = 100
_BANKS = (1000, 2000)
_ANY_GROUP = 99


class VepaEdge:
    """The ports behind ``uplink`` in a hypervisor's namespace."""

    #: Ports may have a VLAN of their own; False: all have that of untagged frames.
    ACCESS_PORTS: ClassVar[bool] = True

    def __init__(self, namespace: Namespace, uplink: str) -> None:
        self.namespace = namespace
        self.uplink = uplink
        self._ports: dict[str, str] = {}
        self._slots: dict[str, int] = {}
        self._tags: dict[str, int] = {}
        self._groups: list[int] = []
        self._control = namespace.socket(socket.AF_INET, socket.SOCK_DGRAM)
        # Several VMs may come and go at a time.
        self._turn = threading.Lock()
        namespace.tc(f"qdisc add dev {uplink} clsact")

    @property
    def ports(self) -> dict[str, str]:
        """Port name -> MAC address."""
        return dict(self._ports)

    def attach(self, port: str, mac: str, used: bool = True) -> None:
        """Connect a port, an interface that is in the namespace already; see :meth:`raise_port`.

        Args:
            used: a VM uses the port, or is about to; a VEB has learned the address of such a port.
        """
        del used
        with self._turn:
            slot = next(number for number in range(90) if number not in self._slots.values())
            self._ports[port], self._slots[port] = mac, slot
            self.namespace.tc(
                f"qdisc add dev {port} clsact",
                f"filter add dev {self.uplink} ingress protocol all pref {_UNICAST + slot} u32"
                f" {match_destination(mac)} {redirected(port)}",
                *self._rewrite_groups(),
            )
            self._lead_out(port)

    def assign(self, mac: str, tci: int | None) -> None:
        """Note the VLAN of the VM with an address, as the bridge has answered it, for its ports now and later.

        Args:
            tci: VID and PCP; None: that of untagged frames.

        Raises:
            TestbedError: this edge has no ports with a VLAN of their own.
        """
        if tci is not None and not self.ACCESS_PORTS:
            raise TestbedError(f"{self.namespace.name}: the ports of this edge have no VLAN but the native one")
        with self._turn:
            before = self._tags.get(mac)
            if before == tci:
                return
            self._tags = {other: tag for other, tag in self._tags.items() if other != mac}
            if tci is not None:
                self._tags[mac] = tci
            for port in [port for port, owner in self._ports.items() if owner == mac]:
                directions = ("ingress",) if before is None else ("ingress", "egress")
                self.namespace.tc(*(f"filter del dev {port} {way} protocol all pref {_OUT}" for way in directions))
                self._lead_out(port)

    def _lead_out(self, port: str) -> None:
        """Lead what the VM of a port sends to the uplink, in its VLAN."""
        tci = self._tags.get(self._ports[port])
        if tci is not None:
            with closing(self.namespace.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE)) as rtnetlink:
                tag_port(rtnetlink, port, self.uplink, tci, _OUT)
            return
        everything = f"u32 match u32 0 0 {redirected(self.uplink)}"
        self.namespace.tc(f"filter add dev {port} ingress protocol all pref {_OUT} {everything}")

    def guard(self, port: str) -> None:
        """Let no guest at a port speak for the station; what docs/security.rst asks of a hypervisor."""
        for number, protocol in enumerate(STATION_PROTOCOLS, start=_GUARDS):
            # Ended here the frame is not redirected to the uplink, and the hypervisor itself has no use for it; "action
            # drop" needs a module that not every kernel has.
            rule = f"protocol {protocol:#06x} pref {number} u32 match u32 0 0 flowid 1:1"
            self.namespace.tc(f"filter add dev {port} ingress {rule}")

    def raise_port(self, port: str) -> None:
        """Bring a port up, in microseconds: a guest that is resumed waits for this."""
        set_interface_flags(self._control, port, interface_flags(self._control, port) | IFF_UP)

    def detach(self, port: str) -> None:
        """Disconnect a port; frames for its VM die at the uplink from now on."""
        with self._turn:
            del self._ports[port]
            slot = self._slots.pop(port)
            self.namespace.tc(
                f"filter del dev {self.uplink} ingress protocol all pref {_UNICAST + slot}",
                f"qdisc del dev {port} clsact",
                *self._rewrite_groups(),
            )

    def _rewrite_groups(self) -> list[str]:
        """Write the group filters into the bank not in use, then drop the others: no frame meets half a set."""
        old, base = self._groups, _BANKS[bool(self._groups) and self._groups[0] < _BANKS[1]]
        filters = [
            (base + number, _match_source(mac), [other for other in self._ports if other != port])
            for number, (port, mac) in enumerate(self._ports.items())
        ]
        filters.append((base + _ANY_GROUP, "", list(self._ports)))
        self._groups = [pref for pref, _, _ in filters]
        return [
            f"filter add dev {self.uplink} ingress protocol all pref {pref} u32 {GROUP_BIT} {source} {_copies(ports)}"
            for pref, source, ports in filters
        ] + [f"filter del dev {self.uplink} ingress protocol all pref {pref}" for pref in old]


#: Match of frames with a group address as destination.
GROUP_BIT = "match u8 0x01 0x01 at -14"


def match_destination(mac: str) -> str:
    """Match of frames with a destination address."""
    octets = mac.replace(":", "")
    return f"match u16 0x{octets[:4]} 0xffff at -14 match u32 0x{octets[4:]} 0xffffffff at -12"


def _match_source(mac: str) -> str:
    octets = mac.replace(":", "")
    return f"match u32 0x{octets[:8]} 0xffffffff at -8 match u16 0x{octets[8:]} 0xffff at -4"


def redirected(port: str) -> str:
    """Action: send the frame out of a port, and end with it."""
    return f"action mirred egress redirect dev {port}"


def mirrored(port: str) -> str:
    """Action: send a copy of the frame out of a port."""
    return f"action mirred egress mirror dev {port}"


def _copies(ports: list[str]) -> str:
    # The class makes the filter the last one even when there is no port to copy to.
    return " ".join(["flowid 1:1", *map(mirrored, ports)])
