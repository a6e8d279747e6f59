"""Connection tracking of load balancers: rules that learn and follow pins in the table BALANCER_PINS.

A frame to a virtual address is looked up among the pins.  A pin writes the addresses of the connection's back
end.  The first packet of a connection goes to a select group instead, which picks a back end; the result is
learnt as two pins, one for each direction.  Neither the switch's hash nor a change of the group moves an
established connection.

This happens at the switch of the client, for a VSI in its body and for end systems at host ports; back ends
and switches on the path see the back end's own address.  Pins contain only addresses, so they are valid at
another switch after a migration.

The timeout of a learnt rule cannot be extended, so TCP has two pairs of pins: a short-lived one from the SYN,
and a lasting one from the client's acknowledgement of the back end.  For the same reason a SYN on the ports of a
lasting connection, closed or not, is learnt anew, in the next *life*: pins are looked up from the newest life
on, and the first pin that matches rewrites the addresses, so that no older pin matches any more.

A SYN always goes to the group, so a client whose back end has failed or is being drained gets another back end
with its next connection.  The group's hash covers the addresses as the client sent them: a repeated SYN gets the
same back end while the group is unchanged.

UDP has no SYN.  Each datagram with a pin tests, by a group of its back end, that the back end is still in rotation.
If not, a back end is picked as for the first datagram, and the pin is overwritten.

The switch enforces a limit by counting all rules of the cookie at every learn action, so only the first of up to
four pins has one.  The limit reserves room for the pins that follow from those present.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    Learn,
    LearnSpec,
    RegLoad,
    Resubmit,
    StackPop,
    StackPush,
    whole,
)
from ryu_apps.evb.flow.errors import icmp_errors
from ryu_apps.evb.flow.match import MatchFields, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import (
    BALANCE_NOTED,
    BALANCED,
    BALANCED_AGAIN,
    BALANCED_LASTS,
    BALANCED_LIFE,
    BALANCED_NEWEST,
    DIRECTION_BITS,
    DIRECTION_SHIFT,
    TRANSLATED,
    VSI_BITS,
    VSI_SHIFT,
    Direction,
    Priority,
    Table,
)

IPV4, IPV6 = 0x0800, 0x86DD
TCP, UDP = 6, 17
_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
#: ``(value, mask)`` of TCP flags: of a first segment (SYN only); of an acknowledgement.
_FIRST, _ANSWER = (_SYN, _FIN | _SYN | _RST | _ACK), (_ACK, _SYN | _RST | _ACK)
#: Priorities in BALANCE_NOTE and BALANCE_ROOM of connections on ports that had another one; and in BALANCE_DECIDE.
_FOLLOWS, _NO_LIFE_LEFT = 240, 250
_AGAIN, _OPENS, _CHECKED, _STANDS, _ANSWERED, _PINNED, _NEW = 360, 350, 310, 300, 225, 200, 100
#: Registers that keep the virtual address and port.
_VIRTUAL_IP = {IPV4: whole("reg4"), IPV6: whole("xxreg1")}
_VIRTUAL_PORT = Bits("reg8", 0, 16)
#: Successive connections on the same ports that may have pins at once: each begun before the last one's pins expired.
LIVES = 1 << BALANCED_LIFE.width
#: Match fields that select the frames of a VSI type or of end systems.
Scope = Mapping[str, int | tuple[int, int]]
#: Pins of a connection that is opening or established; and of one that has both pairs.
_PAIR, PINS_EACH = 2, 4
_ONWARD: tuple[Action, ...] = (Resubmit(Table.FORWARD),)


class PacketKind(NamedTuple):
    """IP version and transport protocol of a connection."""

    eth_type: int
    ip_proto: int

    @property
    def match(self) -> MatchFields:
        """Match fields of all its frames."""
        return {"eth_type": self.eth_type, "ip_proto": self.ip_proto}

    @property
    def source(self) -> tuple[str, str]:
        """The fields of the source address and port."""
        return self._end("src")

    @property
    def destination(self) -> tuple[str, str]:
        """The fields of the destination address and port."""
        return self._end("dst")

    def _end(self, end: str) -> tuple[str, str]:
        ip, transport = "ipv4" if self.eth_type == IPV4 else "ipv6", "tcp" if self.ip_proto == TCP else "udp"
        return f"{ip}_{end}", f"{transport}_{end}"


ALL_KINDS = tuple(PacketKind(eth_type, ip_proto) for eth_type in (IPV4, IPV6) for ip_proto in (TCP, UDP))


class PinBits(IntEnum):
    """State of a connection; the value is the priority of its pins."""

    OPENING = 100
    LASTING = 200


class Client(NamedTuple):
    """The clients whose connections are learnt: one VSI, or the end systems of a switch.

    Attributes:
        cookie: of the pins.
        vsi: index of the VSI; 0 for end systems.
        there, back: direction of frames to the load balancer, and of those back.
        max_connections: at the same time.
        opening, idle, udp, closing: seconds without a frame until a connection expires: TCP before and after the
            client's first acknowledgement, UDP, and TCP after a FIN or RST.
    """

    cookie: int
    vsi: int
    there: Direction
    back: Direction
    max_connections: int
    opening: int
    idle: int
    udp: int
    closing: int


# --- to a back end --------------------------------------------------------------------------------
def stash(kind: PacketKind) -> tuple[Action, ...]:
    """Copy the destination to registers: pins are learnt after the back end's addresses have replaced it."""
    address, port = map(whole, kind.destination)
    return StackPush(address), StackPop(_VIRTUAL_IP[kind.eth_type]), StackPush(port), StackPop(_VIRTUAL_PORT)


def established_rules(cookie: int) -> Iterator[Rule]:
    """Rules that forward frames for which a pin was found."""
    for priority, bit in ((_STANDS, BALANCED_LASTS), (_PINNED, BALANCED)):
        yield Rule(Table.BALANCE_DECIDE, priority, match(**_reg2((bit, 1))), cookie, _ONWARD)


def staying(kinds: Iterable[PacketKind], cookie: int) -> Iterator[Rule]:
    """Rules that keep a datagram at its back end while that is in rotation, and else pick another one."""
    # UDP only: no segment begins a connection anew, so each datagram has to test that its back end still serves.
    for kind in kinds:
        datagrams = match(**kind.match)
        # The back end of the pin is not configured any more: it has no group that could be tested.
        yield Rule(Table.BALANCE_STAY, Priority.DEFAULT, datagrams, cookie, (Resubmit(Table.BALANCE_ANEW),))
        pinned = match(**kind.match, **_reg2((BALANCED_LASTS, 1)))
        yield Rule(Table.BALANCE_DECIDE, _CHECKED, pinned, cookie, (Resubmit(Table.BALANCE_STAY),))
        as_new = RegLoad(BALANCED, 0), RegLoad(BALANCED_LASTS, 0), RegLoad(BALANCED_AGAIN, 1), *_as_sent(kind)
        yield Rule(Table.BALANCE_ANEW, Priority.EXACT, datagrams, cookie, (*as_new, Resubmit(Table.BALANCE_PICK)))


def look_up(kind: PacketKind) -> Iterator[Action]:
    """Look the frame up in every life, the newest first.

    A pin that matches rewrites the addresses, so no pin of an older life matches after it.
    """
    for life in reversed(range(LIVES if kind.ip_proto == TCP else 1)):
        yield from (RegLoad(BALANCED_LIFE, life), Resubmit(Table.BALANCER_PINS))


def decide() -> Iterator[Action]:
    """Continue in BALANCE_DECIDE, with the newest life that was found (or the first) as the life to learn."""
    yield from (StackPush(BALANCED_NEWEST), StackPop(BALANCED_LIFE), Resubmit(Table.BALANCE_DECIDE))


def selection_rules(scope: Scope, kinds: Iterable[PacketKind], cookie: int) -> Iterator[Rule]:
    """Rules that send the first packet of a connection to the select group."""
    for kind in kinds:
        pick = (*_as_sent(kind), Resubmit(Table.BALANCE_PICK))
        if kind.ip_proto == UDP:
            yield Rule(Table.BALANCE_DECIDE, _NEW, match(**scope, **kind.match), cookie, pick)
            continue
        first = match(**scope, **kind.match, tcp_flags=_FIRST)
        yield Rule(Table.BALANCE_DECIDE, _OPENS, first, cookie, pick)
        # A rule for each life: an action can load a constant or copy a field, but not add one.  For the last life there
        # is none: its pins are overwritten.
        for life in range(LIVES - 1):
            stood = _reg2((BALANCED_LASTS, 1), (BALANCED_NEWEST, life))
            again = match(**scope, **kind.match, tcp_flags=_FIRST, **stood)
            next_life = RegLoad(BALANCED_LASTS, 0), RegLoad(BALANCED_AGAIN, 1), RegLoad(BALANCED_LIFE, life + 1)
            yield Rule(Table.BALANCE_DECIDE, _AGAIN, again, cookie, (*next_life, *pick))


def _as_sent(kind: PacketKind) -> tuple[Action, ...]:
    """Restore the virtual address after a pin has overwritten it: the group's hash covers the frame's addresses."""
    address, port = map(whole, kind.destination)
    return StackPush(_VIRTUAL_IP[kind.eth_type]), StackPop(address), StackPush(_VIRTUAL_PORT), StackPop(port)


def learn_rules(scope: Scope, kinds: Iterable[PacketKind], client: Client, cookie: int) -> Iterator[Rule]:
    """Rules that learn the picked back end, and the client's acknowledgement of it."""
    for kind in kinds:
        begun = PinBits.OPENING if kind.ip_proto == TCP else PinBits.LASTING
        limit = _PAIR * client.max_connections
        picked = (_there(kind, client, begun, limit), Resubmit(Table.BALANCE_ROOM))
        yield Rule(Table.BALANCE_NOTE, Priority.EXACT, match(**scope, **kind.match), cookie, picked)
        lasting = _there(kind, client, PinBits.LASTING), _back(kind, client, PinBits.LASTING)
        noted = match(**scope, **kind.match, **_reg2((BALANCE_NOTED, 1)))
        yield Rule(Table.BALANCE_ROOM, Priority.EXACT, noted, cookie, (_back(kind, client, begun), *_ONWARD))
        if kind.ip_proto == TCP:
            # An acknowledgement by the client shows that its back end has answered: from here on the pins last.
            matched = match(**scope, **kind.match, tcp_flags=_ANSWER, **_reg2((BALANCED, 1)))
            yield Rule(Table.BALANCE_DECIDE, _ANSWERED, matched, cookie, (*lasting, *_ONWARD))
            yield from _following(scope, kind, client, cookie)
        else:
            # The pin towards the back end is overwritten in place; the one back is new, and the old one stays until
            # it expires.
            again = match(**scope, **kind.match, **_reg2((BALANCED_AGAIN, 1)))
            noted_anew = _there(kind, client, PinBits.LASTING, PINS_EACH * client.max_connections)
            yield Rule(Table.BALANCE_NOTE, _FOLLOWS, again, cookie, (noted_anew, Resubmit(Table.BALANCE_ROOM)))
    # Drops, and counts the connections beyond the limit.
    yield Rule(Table.BALANCE_ROOM, Priority.DEFAULT, match(**scope), cookie)


def _following(scope: Scope, kind: PacketKind, client: Client, cookie: int) -> Iterator[Rule]:
    """Rules that learn a connection on ports that had another one: lasting pins with the SYN.

    The datapath has cached flows of these ports behind the SYN, so no acknowledgement would reach the learn action.
    """
    there, back = _there(kind, client, PinBits.LASTING), _back(kind, client, PinBits.LASTING)
    limited = _there(kind, client, PinBits.LASTING, _PAIR * client.max_connections)
    # Without a life or without room the present pins are overwritten and lead to this back end.
    instead = StackPush(BALANCED_NEWEST), StackPop(BALANCED_LIFE), there, back, *_ONWARD
    for table, priority, reg2, actions in (
        (Table.BALANCE_NOTE, _NO_LIFE_LEFT, [(BALANCED_LASTS, 1)], (there, back, *_ONWARD)),
        (Table.BALANCE_NOTE, _FOLLOWS, [(BALANCED_AGAIN, 1)], (limited, Resubmit(Table.BALANCE_ROOM))),
        (Table.BALANCE_ROOM, _FOLLOWS, [(BALANCE_NOTED, 1), (BALANCED_AGAIN, 1)], (back, *_ONWARD)),
        (Table.BALANCE_ROOM, _FOLLOWS, [(BALANCE_NOTED, 0), (BALANCED_AGAIN, 1)], instead),
    ):
        yield Rule(table, priority, match(**scope, **kind.match, **_reg2(*reg2)), cookie, actions)


def return_rules(scope: Scope, kinds: Iterable[PacketKind], goto: Table, cookie: int) -> Iterator[Rule]:
    """Rules that restore the virtual address in frames of a back end, before the client's policy.

    The controller gets a copy of ICMP errors.  The copy is the last action: its meter drops the frame above the
    rate, and must not drop the client's.  Errors that the controller has translated are not copied again.
    """
    yield Rule(Table.BALANCE_TO, Priority.DEFAULT, match(**scope), cookie, goto=goto)
    for fields in icmp_errors():
        error = match(**scope, **fields, **_reg2((TRANSLATED, 0)))
        copied = Resubmit(goto), Resubmit(Table.BALANCE_ERRORS)
        yield Rule(Table.BALANCE_TO, Priority.EXACT, error, cookie, copied)
    for kind in kinds:
        yield Rule(
            Table.BALANCE_TO, Priority.EXACT, match(**scope, **kind.match), cookie, tuple(look_up(kind)), goto=goto
        )


def _reg2(*wanted: tuple[Bits, int]) -> MatchFields:
    """Match fields of some bits of ``reg2``."""
    # One match on reg2 only: the same field cannot stand twice in a match.
    value, mask = 0, 0
    for bits, number in wanted:
        value, mask = value | number << bits.offset, mask | (1 << bits.width) - 1 << bits.offset
    return {"reg2": (value, mask)}


# --- pins -----------------------------------------------------------------------------------------
def _there(kind: PacketKind, client: Client, pin: PinBits, limit: int = 0) -> Learn:
    """The pin for frames of the client, learnt from its frame after the back end's addresses are written."""
    (ip_src, port_src), (ip_dst, port_dst) = kind.source, kind.destination
    match = {ip_src: whole(ip_src), port_src: whole(port_src), ip_dst: _VIRTUAL_IP[kind.eth_type]}
    # By now the frame has the back end's addresses: they are copied from it, so that a pin has no number of a back end,
    # and is valid at any switch.
    writes = (
        *(LearnSpec(whole(name), whole(name)) for name in ("eth_dst", ip_dst, port_dst)),
        LearnSpec(BALANCED, 1),
        *([LearnSpec(BALANCED_LASTS, 1)] if pin is PinBits.LASTING else []),
        *([LearnSpec(BALANCED_NEWEST, BALANCED_LIFE)] if kind.ip_proto == TCP else []),
    )
    result_dst = BALANCE_NOTED if limit else None
    return _pin(kind, client, client.there, pin, {**match, port_dst: _VIRTUAL_PORT}, writes, limit, result_dst)


def _back(kind: PacketKind, client: Client, pin: PinBits) -> Learn:
    """The pin for frames of the back end, learnt from the same frame."""
    (ip_src, port_src), (ip_dst, port_dst) = kind.source, kind.destination
    ends = {ip_src: ip_dst, port_src: port_dst, ip_dst: ip_src, port_dst: port_src}
    writes = LearnSpec(whole(ip_src), _VIRTUAL_IP[kind.eth_type]), LearnSpec(whole(port_src), _VIRTUAL_PORT)
    return _pin(kind, client, client.back, pin, {name: whole(source) for name, source in ends.items()}, writes)


def _pin(
    kind: PacketKind,
    client: Client,
    direction: Direction,
    pin: PinBits,
    ends: Mapping[str, Bits],
    writes: tuple[LearnSpec, ...],
    limit: int = 0,
    result_dst: Bits | None = None,
) -> Learn:
    idle = client.udp if kind.ip_proto == UDP else client.idle
    return Learn(
        table=Table.BALANCER_PINS,
        priority=pin,
        cookie=client.cookie,
        idle_timeout=client.opening if pin is PinBits.OPENING else idle,
        # A FIN or RST shortens the timeout, and nothing extends it again: hence lives.
        fin_idle_timeout=client.closing if kind.ip_proto == TCP else 0,
        limit=limit,
        result_dst=result_dst,
        match=(
            LearnSpec(Bits("metadata", VSI_SHIFT, VSI_BITS), client.vsi),
            LearnSpec(Bits("metadata", DIRECTION_SHIFT, DIRECTION_BITS), direction),
            LearnSpec(whole("vlan_vid"), whole("vlan_vid")),
            LearnSpec(whole("eth_type"), kind.eth_type),
            LearnSpec(whole("ip_proto"), kind.ip_proto),
            *(LearnSpec(whole(name), source) for name, source in ends.items()),
            *([LearnSpec(BALANCED_LIFE, BALANCED_LIFE)] if kind.ip_proto == TCP else []),
        ),
        writes=writes,
    )
