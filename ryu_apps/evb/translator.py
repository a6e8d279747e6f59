"""ICMP errors about connections through load balancers: led to the back end, about its own addresses.

A router that cannot forward what a back end has sent tells the virtual address, for that is what it has seen.
Open vSwitch rewrites no quoted packet, so its switch gives such errors to the controller, a few a second.
They quote the ends of a connection; the switch is asked for the pins of just that one, and what they name is
who gets the error, about the addresses that it knows itself by.  Without such a pin nobody does.

Nothing is remembered but what has been asked for, and of that not much.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from ryu_apps.evb.flow.pipeline import BALANCED_LIFE, Kind, Table, cookie
from ryu_apps.evb.flow.rule import TABLES, CookieMask, Fields, LoadBits, Rule, match
from ryu_apps.evb.io import ReadRules, SendFrame
from ryu_apps.evb.topology.fabric import Fabric, PortId
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.icmp_error import End, IcmpError
from ryu_apps.evb.wire.ip import ETHERTYPE_IPV4, ETHERTYPE_IPV6

#: Errors about which a switch has not answered yet; the oldest is forgotten for one more.
MAX_WAITING = 64
#: VSIs that may have the same ends in one VLAN, one of which is meant.
_MOST_TARGETS = 4
_STATE = CookieMask(cookie(Kind.STATE), 0xFFFFF << 44)
_PROTOCOLS = {6: "tcp", 17: "udp"}
_VID_BITS = 0xFFF


class Target(NamedTuple):
    """The back end of a connection, as its pin says."""

    eth_dst: int
    end: End


class Translator:
    """Leads errors to back ends.

    Attributes:
        counted: errors by what became of them: translated, about no connection (unknown), unreadable (malformed).
    """

    def __init__(self, fabric: Fabric, next_token: Callable[[], int]) -> None:
        self._next_token = next_token
        self._virtual = {(one.vid, one.mac): frozenset(one.addresses) for one in fabric.balancers}
        self._waiting: dict[int, tuple[int, IcmpError]] = {}
        self.counted = dict.fromkeys(("translated", "unknown", "malformed"), 0)

    def wants(self, data: bytes) -> bool:
        """Whether a frame with a tag is for the address of a load balancer."""
        return (int.from_bytes(data[14:16]) & _VID_BITS, int.from_bytes(data[:6])) in self._virtual

    def frame(self, port: PortId, data: bytes) -> Iterator[ReadRules]:
        """An error has come in: ask for the pins that it is about."""
        try:
            error = IcmpError.decode(data)
        except WireError:
            self.counted["malformed"] += 1
            return
        if error.source.address not in self._virtual[error.vid, error.eth_dst]:
            self.counted["unknown"] += 1
            return
        token = self._next_token()
        while len(self._waiting) >= MAX_WAITING:
            del self._waiting[next(iter(self._waiting))]
        self._waiting[token] = port.dpid, error
        yield ReadRules(port.dpid, token, _STATE, Table.BALANCER_PINS, match(**_there(error)))

    def read(self, token: int, pins: Iterable[Rule]) -> list[SendFrame] | None:
        """A switch has shown the pins it was asked for; None: it was asked by somebody else."""
        waiting = self._waiting.pop(token, None)
        if waiting is None:
            return None
        dpid, error = waiting
        targets = _targets(error, pins)
        self.counted["translated" if targets else "unknown"] += 1
        return [SendFrame(PortId(dpid, TABLES), error.about(one.end, one.eth_dst).encode()) for one in targets]


def _there(error: IcmpError) -> Fields:
    """What the pins of a client's segments match, whichever way it goes to the load balancer."""
    version = error.source.address.version
    protocol = _PROTOCOLS[error.protocol]
    return {
        "vlan_vid": (error.vid, _VID_BITS),
        "eth_type": ETHERTYPE_IPV4 if version == 4 else ETHERTYPE_IPV6,
        "ip_proto": error.protocol,
        f"ipv{version}_src": int(error.destination.address),
        f"ipv{version}_dst": int(error.source.address),
        f"{protocol}_src": error.destination.port,
        f"{protocol}_dst": error.source.port,
    }


def _targets(error: IcmpError, pins: Iterable[Rule]) -> list[Target]:
    """Of each client's pins the newest."""
    newest: dict[int, Rule] = {}
    for pin in sorted(pins, key=_age):
        newest[next((one.value for one in pin.match if one.name == "metadata"), 0)] = pin
    found = (_target(error, pin) for pin in newest.values())
    return list(dict.fromkeys(one for one in found if one is not None))[:_MOST_TARGETS]


def _age(pin: Rule) -> tuple[int, int]:
    life = next((one.value for one in pin.match if one.name == BALANCED_LIFE.name), 0)
    return life >> BALANCED_LIFE.offset & (1 << BALANCED_LIFE.width) - 1, pin.priority


def _target(error: IcmpError, pin: Rule) -> Target | None:
    written: dict[str, int] = {}
    for action in pin.apply:
        if isinstance(action, LoadBits):
            name, offset, _ = action.target
            written[name] = written.get(name, 0) | action.value << offset
    version = error.source.address.version
    names = "eth_dst", f"ipv{version}_dst", f"{_PROTOCOLS[error.protocol]}_dst"
    if not all(name in written for name in names):
        return None
    eth_dst, address, port = (written[name] for name in names)
    return Target(eth_dst, End(IPv4Address(address) if version == 4 else IPv6Address(address), port))
