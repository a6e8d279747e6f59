"""Connections as rules of the table CONNECTIONS: how a switch learns one, and how one is carried to another.

A connection is two rules of one VSI, one for each direction, that say in ``reg0`` that the frame
belongs to it.  The switch writes both by itself when the first frame passes, so new connections need
no controller.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ryu_apps.evb.flow.pipeline import Direction, Table
from ryu_apps.evb.flow.rule import Bits, Fields, Learn, Learned, whole
from ryu_apps.evb.services.firewall.schema import Lifetimes
from ryu_apps.evb.services.learnt import of_vsi, owner
from ryu_apps.evb.vsi.model import VsiBinding

IPV4, IPV6 = 0x0800, 0x86DD
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
_ECHO = {ICMP: (8, 0), ICMPV6: (128, 129)}

#: ``reg0``: bit 0 a known connection, bits 1 and 2 whether its two rules could be learnt.
ESTABLISHED = Bits("reg0", 0, 1)
_NOTED = {True: Bits("reg0", 1, 1), False: Bits("reg0", 2, 1)}
#: ``(value, mask)`` of ``reg0`` when both were.
BOTH_NOTED = (0b110, 0b110)

_PRIORITY = 100
_OPPOSITE = {Direction.FROM_VM: Direction.TO_VM, Direction.TO_VM: Direction.FROM_VM}


class Protocol(NamedTuple):
    """One kind of connection over one version of IP.

    Attributes:
        eth_type, ip_proto: which.
        fields: what the first frame of such a connection matches besides them.
    """

    eth_type: int
    ip_proto: int
    fields: Fields

    @property
    def match(self) -> Fields:
        """What its first frame matches."""
        return {"eth_type": self.eth_type, "ip_proto": self.ip_proto, **self.fields}


PROTOCOLS = (
    *(Protocol(eth_type, ip_proto, {}) for eth_type in (IPV4, IPV6) for ip_proto in (TCP, UDP)),
    Protocol(IPV4, ICMP, {"icmpv4_type": _ECHO[ICMP][0]}),
    Protocol(IPV6, ICMPV6, {"icmpv6_type": _ECHO[ICMPV6][0]}),
)


def notes(
    protocol: Protocol, binding: VsiBinding, direction: Direction, lifetimes: Lifetimes, limit: int
) -> tuple[Learn, Learn]:
    """What a switch does upon the first frame of a connection: learn both directions.

    Args:
        direction: which way the first frame goes.
        limit: connections that the VSI may have.
    """

    def note(forth: bool) -> Learn:
        return Learn(
            table=Table.CONNECTIONS,
            priority=_PRIORITY,
            cookie=owner(binding),
            idle_timeout=_idle(protocol.ip_proto, lifetimes),
            fin_idle_timeout=lifetimes.tcp_closing if protocol.ip_proto == TCP else 0,
            limit=2 * limit,
            verdict=_NOTED[forth],
            match=(
                *of_vsi(binding, direction if forth else _OPPOSITE[direction]),
                Learned(whole("eth_type"), protocol.eth_type),
                Learned(whole("ip_proto"), protocol.ip_proto),
                *_ends(protocol, forth),
            ),
            writes=(Learned(ESTABLISHED, 1),),
        )

    return note(True), note(False)


def _idle(ip_proto: int, lifetimes: Lifetimes) -> int:
    return {TCP: lifetimes.tcp, UDP: lifetimes.udp}.get(ip_proto, lifetimes.icmp)


def _ends(protocol: Protocol, forth: bool) -> Iterator[Learned]:
    """Both ends of the connection, as they are in the frame or, for the way back, swapped."""
    version = "ipv4" if protocol.eth_type == IPV4 else "ipv6"
    yield from _pair(version, forth)
    if protocol.ip_proto in _ECHO:
        request, reply = _ECHO[protocol.ip_proto]
        name = "icmpv4_type" if version == "ipv4" else "icmpv6_type"
        yield Learned(whole(name), request if forth else reply)
    else:
        yield from _pair("tcp" if protocol.ip_proto == TCP else "udp", forth)


def _pair(prefix: str, forth: bool) -> Iterator[Learned]:
    source, destination = whole(f"{prefix}_src"), whole(f"{prefix}_dst")
    yield Learned(source, source if forth else destination)
    yield Learned(destination, destination if forth else source)
