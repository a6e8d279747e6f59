"""Connections as rules of the table CONNECTIONS: how a switch learns one, and how one is carried to another.

A connection is one rule of one VSI in one of its VLANs, written as the VM sends its frames; those to the VM
are looked up with their two ends exchanged.  So whatever either side sends keeps the connection alive, and a
FIN or RST of either side ends it.  The switch writes the rule by itself when the first frame passes, so new
connections need no controller.

TCP has two such rules.  The first one comes with the SYN and does not last, so that unanswered
segments do not fill the table; the second one, above it, comes with the first segment that acknowledges.

A FIN or RST shortens the timeout of a rule for good: whatever is learnt again under its key keeps it.  So when
ports are used again while the rule is still there, the new connection gets a rule of its own, that of the next
*life*; frames are looked up in all of them, the newest last.  It comes with the SYN and lasts: a datapath that has
cached what follows a SYN of the same ports does not ask for what acknowledges this one.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    Learn,
    LearnSpec,
    RegLoad,
    Resubmit,
    SetField,
    StackPop,
    StackPush,
    whole,
)
from ryu_apps.evb.flow.match import MatchFields
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import Direction, Table
from ryu_apps.evb.services.firewall.schema import FirewallPolicy, Lifetimes
from ryu_apps.evb.services.learnt import OF_VLAN, of_vsi, owner

IPV4, IPV6 = 0x0800, 0x86DD
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58

#: ``reg0``: a known connection; one that is established; whether a new one could be noted.
KNOWN, ESTABLISHED, NOTED = Bits("reg0", 0, 1), Bits("reg0", 1, 1), Bits("reg0", 2, 1)
#: ``reg0``: it is the beginning of one that follows another one of the same ports; the life that is looked up
#: or noted; the newest that was found.
FOLLOWS, LIFE, NEWEST = Bits("reg0", 3, 1), Bits("reg0", 4, 2), Bits("reg0", 6, 2)
#: Connections of the same ports one after the other, each of them begun before the timeout of the last has ended.
LIVES = 1 << LIFE.width


class ConnectionStage(IntEnum):
    """Stage of a connection; the value is the priority of its rule."""

    OPENING = 100
    ESTABLISHED = 200


class TrackedProtocol(NamedTuple):
    """One kind of connection over one version of IP.

    Attributes:
        eth_type, ip_proto: which.
        source, destination: the fields of its ends.
        echo: names the ICMP type, and the types of a request and of its reply; None: it is not ICMP.
    """

    eth_type: int
    ip_proto: int
    source: tuple[str, ...]
    destination: tuple[str, ...]
    echo: tuple[str, int, int] | None = None

    @property
    def match(self) -> MatchFields:
        """Match of all frames of the protocol."""
        return {"eth_type": self.eth_type, "ip_proto": self.ip_proto}

    @property
    def beginnings(self) -> MatchFields:
        """Match of the first frame of a connection; the flags of TCP are matched before."""
        return {**self.match, self.echo[0]: self.echo[1]} if self.echo else self.match


# Types of echo requests and replies: 8 and 0 (RFC 792), 128 and 129 (RFC 4443).  A ping has no ports: its addresses are
# the connection.
PROTOCOLS = (
    TrackedProtocol(IPV4, TCP, ("ipv4_src", "tcp_src"), ("ipv4_dst", "tcp_dst")),
    TrackedProtocol(IPV4, UDP, ("ipv4_src", "udp_src"), ("ipv4_dst", "udp_dst")),
    TrackedProtocol(IPV4, ICMP, ("ipv4_src",), ("ipv4_dst",), ("icmpv4_type", 8, 0)),
    TrackedProtocol(IPV6, TCP, ("ipv6_src", "tcp_src"), ("ipv6_dst", "tcp_dst")),
    TrackedProtocol(IPV6, UDP, ("ipv6_src", "udp_src"), ("ipv6_dst", "udp_dst")),
    TrackedProtocol(IPV6, ICMPV6, ("ipv6_src",), ("ipv6_dst",), ("icmpv6_type", 128, 129)),
)


# --- looking up -----------------------------------------------------------------------------------
def lookups(direction: Direction) -> Iterator[tuple[MatchFields, tuple[Action, ...]]]:
    """Yield a match of frames of a direction and the actions that look them up."""
    if direction is Direction.FROM_VM:
        for protocol in PROTOCOLS:
            yield protocol.match, _look_up(protocol)
        return
    for protocol in PROTOCOLS:
        swapped = tuple(_exchange(protocol))
        if protocol.echo is None:
            yield protocol.match, (*swapped, *_look_up(protocol), *swapped)
            continue
        name, *kinds = protocol.echo
        for kind, opposite in (kinds, kinds[::-1]):
            there, back = SetField(name, opposite), SetField(name, kind)
            yield {**protocol.match, name: kind}, (*swapped, there, *_look_up(protocol), back, *swapped)


def _look_up(protocol: TrackedProtocol) -> tuple[Action, ...]:
    """In every life that there may be; what is noted then is of the newest that was found."""
    # Only TCP has lives: nothing ends a rule of UDP or ICMP but its timeout, so a new exchange keeps the old rule.
    once: tuple[Action, ...] = (Resubmit(Table.CONNECTIONS),)
    if protocol.ip_proto != TCP:
        return once
    later = (action for life in range(1, LIVES) for action in (RegLoad(LIFE, life), *once))
    return (*once, *later, StackPush(NEWEST), StackPop(LIFE))


def _exchange(protocol: TrackedProtocol) -> Iterator[Action]:
    for source, destination in zip(map(whole, protocol.source), map(whole, protocol.destination), strict=True):
        # Through the stack: OpenFlow has no action that exchanges two fields.
        yield from (StackPush(source), StackPush(destination), StackPop(source), StackPop(destination))


# --- noting ---------------------------------------------------------------------------------------
def note(
    protocol: TrackedProtocol,
    binding: VsiBinding,
    direction: Direction,
    firewall: FirewallPolicy,
    stage: ConnectionStage = ConnectionStage.OPENING,
    begins: bool = False,
) -> Learn:
    """Learn action for the first frame of a connection, or of a stage of it.

    Args:
        direction: direction of the frame.
        stage: the stage that begins.
        begins: a connection begins with this stage, so it counts against the limit.
    """
    return Learn(
        table=Table.CONNECTIONS,
        priority=stage,
        cookie=owner(binding),
        idle_timeout=_idle(protocol.ip_proto, stage, firewall.lifetimes),
        fin_idle_timeout=firewall.lifetimes.tcp_closing if protocol.ip_proto == TCP else 0,
        # New connections are refused at half the capacity, so that each admitted one gets its second rule.
        limit=firewall.max_connections if begins or stage is ConnectionStage.OPENING else capacity(firewall),
        result_dst=NOTED,
        match=(
            of_vsi(binding),
            OF_VLAN,
            LearnSpec(whole("eth_type"), protocol.eth_type),
            LearnSpec(whole("ip_proto"), protocol.ip_proto),
            *_ends(protocol, direction),
            # A rule of an older life stays under its own key, with the timeout that a FIN has shortened.
            *([LearnSpec(LIFE, LIFE)] if protocol.ip_proto == TCP else []),
        ),
        writes=(LearnSpec(KNOWN, 1), *(_writes(stage) if protocol.ip_proto == TCP else [])),
    )


def _writes(stage: ConnectionStage) -> Iterator[LearnSpec]:
    """Bits that a look-up of TCP loads; they replace those of an older life."""
    yield LearnSpec(ESTABLISHED, stage is ConnectionStage.ESTABLISHED)
    yield LearnSpec(NEWEST, LIFE)


def capacity(firewall: FirewallPolicy) -> int:
    """The most rules that a switch may hold of one VSI: each connection that begins may still have both."""
    return 2 * firewall.max_connections


def _idle(ip_proto: int, stage: ConnectionStage, lifetimes: Lifetimes) -> int:
    # The timeout of a rule cannot be changed afterwards, so an unanswered SYN has a rule of its own.
    if ip_proto == TCP:
        return lifetimes.tcp if stage is ConnectionStage.ESTABLISHED else lifetimes.tcp_opening
    return lifetimes.udp if ip_proto == UDP else lifetimes.icmp


def _ends(protocol: TrackedProtocol, direction: Direction) -> Iterator[LearnSpec]:
    """Both ends as frames from the VM have them."""
    # One rule for both directions: each frame refreshes it, and a FIN or RST of either side ends it.
    from_vm = direction is Direction.FROM_VM
    for source, destination in zip(map(whole, protocol.source), map(whole, protocol.destination), strict=True):
        yield LearnSpec(source, source if from_vm else destination)
        yield LearnSpec(destination, destination if from_vm else source)
    if protocol.echo is not None:
        name, request, reply = protocol.echo
        yield LearnSpec(whole(name), request if from_vm else reply)
