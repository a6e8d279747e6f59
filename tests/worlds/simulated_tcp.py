"""TCP segments through simulated switches: from an edge port of a ``World`` to the edge ports they leave by."""

from __future__ import annotations

from dataclasses import dataclass, replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from ryu_apps.evb.flow.match import REGISTERS
from ryu_apps.evb.simulation.switch import forward
from ryu_apps.evb.topology.port_id import PortId
from tests.worlds.bridge import World

FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10
#: Most steps of a segment and its copies; more of them are a loop.
_MAX_STEPS = 50
#: Fields that a frame has only inside a switch.
_INTERNAL = ("in_port", "metadata", *REGISTERS)


class Arrived(NamedTuple):
    """A segment and the edge port that it left by."""

    port: PortId
    segment: Segment


@dataclass(frozen=True)
class Segment:
    """A TCP segment on the wire of an edge port."""

    eth_src: int
    eth_dst: int
    source: tuple[str, int]
    target: tuple[str, int]
    flags: int = ACK

    def flagged(self, flags: int) -> Segment:
        """Return a segment of the same ends with other flags."""
        return replace(self, flags=flags)

    def answered(self, eth_src: int, flags: int = ACK) -> Segment:
        """Return a segment of the other end, from an Ethernet address to the source of this one."""
        return Segment(eth_src, self.eth_src, self.target, self.source, flags)

    @property
    def fields(self) -> dict[str, int]:
        """Fields of the segment as a match has them."""
        addresses = ip_address(self.source[0]), ip_address(self.target[0])
        version = "ipv4" if isinstance(addresses[0], IPv4Address) else "ipv6"
        return {
            "eth_src": self.eth_src,
            "eth_dst": self.eth_dst,
            "eth_type": 0x0800 if version == "ipv4" else 0x86DD,
            "ip_proto": 6,
            f"{version}_src": int(addresses[0]),
            f"{version}_dst": int(addresses[1]),
            "tcp_src": self.source[1],
            "tcp_dst": self.target[1],
            "tcp_flags": self.flags,
            "vlan_vid": 0,
        }

    @classmethod
    def of(cls, fields: dict[str, int]) -> Segment:
        """Build a segment from its fields."""
        make, version = (IPv4Address, "ipv4") if "ipv4_src" in fields else (IPv6Address, "ipv6")
        source, target = ((str(make(fields[f"{version}_{end}"])), fields[f"tcp_{end}"]) for end in ("src", "dst"))
        return cls(fields["eth_src"], fields["eth_dst"], source, target, fields["tcp_flags"])


def send(world: World, port: PortId, segment: Segment) -> list[Arrived]:
    """Send a segment into an edge port; returns what leaves by edge ports, in order."""
    arrived: list[Arrived] = []
    under_way = [(port, segment.fields)]
    for _ in range(_MAX_STEPS):
        if not under_way:
            return arrived
        where, fields = under_way.pop(0)
        for emitted in forward(world.tables[where.dpid], {**fields, "in_port": where.port_no}):
            out = PortId(where.dpid, emitted.port)
            interface = world.fabric.interface(out)
            assert interface is not None
            if interface.peer is None:
                arrived.append(Arrived(out, Segment.of(emitted.fields)))
            else:
                onward = {name: value for name, value in emitted.fields.items() if name not in _INTERNAL}
                under_way.append((interface.peer, onward))
    raise AssertionError("the segment is in a loop")
