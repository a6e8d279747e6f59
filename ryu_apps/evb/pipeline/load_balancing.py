"""Connections through a load balancer as rules of the table BALANCER_PINS: how a switch notes and follows them.

A frame for a virtual address is looked up among the pins.  A pin writes the addresses of the back end that
has the connection.  What begins a connection goes to a select group instead, which picks a back end; what was
picked is noted, two pins a connection: one for each direction.  So who was picked counts, and neither the
switch's hash nor a change of the group moves a connection that stands.

The switch of the client does all that, for a VSI in its body and for end systems at host ports; back ends
and everybody on the way see the back end's own address.  Pins name nothing but addresses: on another switch
they mean the same.

A pin's timeout cannot be made longer once it is there, so TCP has two pairs: one that comes with the SYN and does
not last, and one that comes when the client answers the back end.  For the same reason a SYN on the ports of a
connection that lasts, closed or not, is noted anew, in the next *life*: pins are looked up from the newest life
on, and whichever is found first has made the frame one that no older pin is about.

A SYN always asks the group, so a client whose back end is gone, or is to have no more connections, is led to another
one by the next that it begins.  It is picked by the addresses that the client has sent to: one that is
repeated while the group stays as it is goes where the first went.

UDP has no SYN.  So each datagram that has a pin asks whether the back end that this names is still in rotation: a group
of each back end says so.  If it is not, the datagram is picked for as the first one was, and the pin is written anew.

To know how many there are the switch counts them, every time: so only the first of up to four pins has a limit.
It leaves room for those that may follow from the ones that are there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import NamedTuple

from ryu_apps.evb.flow.errors import icmp_errors
from ryu_apps.evb.flow.rule import (
    Action,
    Bits,
    Learn,
    LearnSpec,
    MatchFields,
    RegLoad,
    Resubmit,
    Rule,
    StackPop,
    StackPush,
    match,
    whole,
)
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
#: ``(value, mask)`` of TCP flags: of a first segment and no other; of one that answers.
_FIRST, _ANSWER = (_SYN, _FIN | _SYN | _RST | _ACK), (_ACK, _SYN | _RST | _ACK)
#: Priorities in BALANCE_DECIDE; in BALANCE_NOTE and BALANCE_ROOM those of what follows another one.
_FOLLOWS, _NO_LIFE_LEFT = 240, 250
_AGAIN, _OPENS, _CHECKED, _STANDS, _ANSWERED, _PINNED, _NEW = 360, 350, 310, 300, 225, 200, 100
#: Where the address and port are kept that the client has sent to.
_VIRTUAL_IP = {IPV4: whole("reg4"), IPV6: whole("xxreg1")}
_VIRTUAL_PORT = Bits("reg8", 0, 16)
#: Connections of the same ports one after the other, each of them begun before the timeout of the last has ended.
LIVES = 1 << BALANCED_LIFE.width
#: Whose frames a rule is about: fields of a match.
Scope = Mapping[str, int | tuple[int, int]]
#: Pins of a connection that stands, or of one that opens; and of one that does both.
_PAIR, PINS_EACH = 2, 4
_ONWARD: tuple[Action, ...] = (Resubmit(Table.FORWARD),)


class PacketKind(NamedTuple):
    """One kind of connection."""

    eth_type: int
    ip_proto: int

    @property
    def match(self) -> MatchFields:
        """What all of its frames match."""
        return {"eth_type": self.eth_type, "ip_proto": self.ip_proto}

    @property
    def source(self) -> tuple[str, str]:
        """The fields of the address and the port that a frame comes from."""
        return self._end("src")

    @property
    def destination(self) -> tuple[str, str]:
        """The fields of the address and the port that a frame goes to."""
        return self._end("dst")

    def _end(self, end: str) -> tuple[str, str]:
        ip, transport = "ipv4" if self.eth_type == IPV4 else "ipv6", "tcp" if self.ip_proto == TCP else "udp"
        return f"{ip}_{end}", f"{transport}_{end}"


ALL_KINDS = tuple(PacketKind(eth_type, ip_proto) for eth_type in (IPV4, IPV6) for ip_proto in (TCP, UDP))


class PinBits(IntEnum):
    """How far a connection has got; the value is the priority in the table."""

    OPENING = 100
    LASTING = 200


class Client(NamedTuple):
    """Whose connections are noted.

    Attributes:
        cookie: of the pins.
        vsi: index of the VSI; 0 for end systems.
        there, back: which way frames go to the load balancer, and back.
        max_connections: at a time.
        opening, idle, udp, closing: seconds without a frame until one is forgotten: TCP before the client has
            answered and from then on, UDP, and TCP after a FIN or RST.
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


# --- on the way to a back end ---------------------------------------------------------------------
def stash(kind: PacketKind) -> tuple[Action, ...]:
    """Keep where the frame was sent to: what is noted of it comes after it has the back end's addresses."""
    address, port = map(whole, kind.destination)
    return StackPush(address), StackPop(_VIRTUAL_IP[kind.eth_type]), StackPush(port), StackPop(_VIRTUAL_PORT)


def established_rules(cookie: int) -> Iterator[Rule]:
    """What has a back end goes there."""
    for priority, bit in ((_STANDS, BALANCED_LASTS), (_PINNED, BALANCED)):
        yield Rule(Table.BALANCE_DECIDE, priority, match(**_reg2((bit, 1))), cookie, _ONWARD)


def staying(kinds: Iterable[PacketKind], cookie: int) -> Iterator[Rule]:
    """A datagram goes to the back end that it has as long as that is in rotation, and then to another one."""
    for kind in kinds:
        nobody = match(**kind.match)
        yield Rule(Table.BALANCE_STAY, Priority.DEFAULT, nobody, cookie, (Resubmit(Table.BALANCE_ANEW),))
        pinned = match(**kind.match, **_reg2((BALANCED_LASTS, 1)))
        yield Rule(Table.BALANCE_DECIDE, _CHECKED, pinned, cookie, (Resubmit(Table.BALANCE_STAY),))
        as_new = RegLoad(BALANCED, 0), RegLoad(BALANCED_LASTS, 0), RegLoad(BALANCED_AGAIN, 1), *_as_sent(kind)
        yield Rule(Table.BALANCE_ANEW, Priority.EXACT, nobody, cookie, (*as_new, Resubmit(Table.BALANCE_PICK)))


def look_up(kind: PacketKind) -> Iterator[Action]:
    """In every life there may be, the newest first: what has been found is in no older one by its new addresses."""
    for life in reversed(range(LIVES if kind.ip_proto == TCP else 1)):
        yield from (RegLoad(BALANCED_LIFE, life), Resubmit(Table.BALANCER_PINS))


def decide() -> Iterator[Action]:
    """What becomes of it; what is noted is of the newest life that was found, or of the first."""
    yield from (StackPush(BALANCED_NEWEST), StackPop(BALANCED_LIFE), Resubmit(Table.BALANCE_DECIDE))


def selection_rules(scope: Scope, kinds: Iterable[PacketKind], cookie: int) -> Iterator[Rule]:
    """What begins a connection gets a back end."""
    for kind in kinds:
        pick = (*_as_sent(kind), Resubmit(Table.BALANCE_PICK))
        if kind.ip_proto == UDP:
            yield Rule(Table.BALANCE_DECIDE, _NEW, match(**scope, **kind.match), cookie, pick)
            continue
        first = match(**scope, **kind.match, tcp_flags=_FIRST)
        yield Rule(Table.BALANCE_DECIDE, _OPENS, first, cookie, pick)
        for life in range(LIVES - 1):
            stood = _reg2((BALANCED_LASTS, 1), (BALANCED_NEWEST, life))
            again = match(**scope, **kind.match, tcp_flags=_FIRST, **stood)
            next_life = RegLoad(BALANCED_LASTS, 0), RegLoad(BALANCED_AGAIN, 1), RegLoad(BALANCED_LIFE, life + 1)
            yield Rule(Table.BALANCE_DECIDE, _AGAIN, again, cookie, (*next_life, *pick))


def _as_sent(kind: PacketKind) -> tuple[Action, ...]:
    """Undo what a pin has written: the datapath picks by the addresses of the frame."""
    address, port = map(whole, kind.destination)
    return StackPush(_VIRTUAL_IP[kind.eth_type]), StackPop(address), StackPush(_VIRTUAL_PORT), StackPop(port)


def learn_rules(scope: Scope, kinds: Iterable[PacketKind], client: Client, cookie: int) -> Iterator[Rule]:
    """Notes the back end that was picked, and that the client has answered it."""
    for kind in kinds:
        begun = PinBits.OPENING if kind.ip_proto == TCP else PinBits.LASTING
        limit = _PAIR * client.max_connections
        picked = (_there(kind, client, begun, limit), Resubmit(Table.BALANCE_ROOM))
        yield Rule(Table.BALANCE_NOTE, Priority.EXACT, match(**scope, **kind.match), cookie, picked)
        lasting = _there(kind, client, PinBits.LASTING), _back(kind, client, PinBits.LASTING)
        noted = match(**scope, **kind.match, **_reg2((BALANCE_NOTED, 1)))
        yield Rule(Table.BALANCE_ROOM, Priority.EXACT, noted, cookie, (_back(kind, client, begun), *_ONWARD))
        if kind.ip_proto == TCP:
            matched = match(**scope, **kind.match, tcp_flags=_ANSWER, **_reg2((BALANCED, 1)))
            yield Rule(Table.BALANCE_DECIDE, _ANSWERED, matched, cookie, (*lasting, *_ONWARD))
            yield from _following(scope, kind, client, cookie)
        else:
            # Its pin there is written anew and takes no room; the way back is another one, until the old one ends.
            again = match(**scope, **kind.match, **_reg2((BALANCED_AGAIN, 1)))
            noted_anew = _there(kind, client, PinBits.LASTING, PINS_EACH * client.max_connections)
            yield Rule(Table.BALANCE_NOTE, _FOLLOWS, again, cookie, (noted_anew, Resubmit(Table.BALANCE_ROOM)))
    # Counts what had to be turned away.
    yield Rule(Table.BALANCE_ROOM, Priority.DEFAULT, match(**scope), cookie)


def _following(scope: Scope, kind: PacketKind, client: Client, cookie: int) -> Iterator[Rule]:
    """Notes the back end of a connection whose ports had another one before: with the SYN, and to last.

    The datapath has cached what follows a SYN of these ports, and asks for nothing that acknowledges this one.
    """
    there, back = _there(kind, client, PinBits.LASTING), _back(kind, client, PinBits.LASTING)
    limited = _there(kind, client, PinBits.LASTING, _PAIR * client.max_connections)
    # No life is left, or no room: the pins that are there lead to this back end from now on.
    instead = StackPush(BALANCED_NEWEST), StackPop(BALANCED_LIFE), there, back, *_ONWARD
    for table, priority, reg2, actions in (
        (Table.BALANCE_NOTE, _NO_LIFE_LEFT, [(BALANCED_LASTS, 1)], (there, back, *_ONWARD)),
        (Table.BALANCE_NOTE, _FOLLOWS, [(BALANCED_AGAIN, 1)], (limited, Resubmit(Table.BALANCE_ROOM))),
        (Table.BALANCE_ROOM, _FOLLOWS, [(BALANCE_NOTED, 1), (BALANCED_AGAIN, 1)], (back, *_ONWARD)),
        (Table.BALANCE_ROOM, _FOLLOWS, [(BALANCE_NOTED, 0), (BALANCED_AGAIN, 1)], instead),
    ):
        yield Rule(table, priority, match(**scope, **kind.match, **_reg2(*reg2)), cookie, actions)


def return_rules(scope: Scope, kinds: Iterable[PacketKind], goto: Table, cookie: int) -> Iterator[Rule]:
    """What comes from a back end bears the load balancer's address again before the client's policy sees it.

    Of ICMP errors the controller gets a copy, last: the copies are bounded, and the bound must not cost the client any.
    What it has translated is not copied to it again.
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
    """A match on some bits."""
    value, mask = 0, 0
    for bits, one in wanted:
        value, mask = value | one << bits.offset, mask | (1 << bits.width) - 1 << bits.offset
    return {"reg2": (value, mask)}


# --- pins -----------------------------------------------------------------------------------------
def _there(kind: PacketKind, client: Client, pin: PinBits, limit: int = 0) -> Learn:
    """The pin of what the client sends, made of a frame of its that has the back end's addresses by now."""
    (ip_src, port_src), (ip_dst, port_dst) = kind.source, kind.destination
    match = {ip_src: whole(ip_src), port_src: whole(port_src), ip_dst: _VIRTUAL_IP[kind.eth_type]}
    writes = (
        *(LearnSpec(whole(one), whole(one)) for one in ("eth_dst", ip_dst, port_dst)),
        LearnSpec(BALANCED, 1),
        *([LearnSpec(BALANCED_LASTS, 1)] if pin is PinBits.LASTING else []),
        *([LearnSpec(BALANCED_NEWEST, BALANCED_LIFE)] if kind.ip_proto == TCP else []),
    )
    verdict = BALANCE_NOTED if limit else None
    return _pin(kind, client, client.there, pin, {**match, port_dst: _VIRTUAL_PORT}, writes, limit, verdict)


def _back(kind: PacketKind, client: Client, pin: PinBits) -> Learn:
    """The pin of what the back end answers, made of the same frame."""
    (ip_src, port_src), (ip_dst, port_dst) = kind.source, kind.destination
    ends = {ip_src: ip_dst, port_src: port_dst, ip_dst: ip_src, port_dst: port_src}
    writes = LearnSpec(whole(ip_src), _VIRTUAL_IP[kind.eth_type]), LearnSpec(whole(port_src), _VIRTUAL_PORT)
    return _pin(kind, client, client.back, pin, {one: whole(other) for one, other in ends.items()}, writes)


def _pin(
    kind: PacketKind,
    client: Client,
    direction: Direction,
    pin: PinBits,
    ends: Mapping[str, Bits],
    writes: tuple[LearnSpec, ...],
    limit: int = 0,
    verdict: Bits | None = None,
) -> Learn:
    idle = client.udp if kind.ip_proto == UDP else client.idle
    return Learn(
        table=Table.BALANCER_PINS,
        priority=pin,
        cookie=client.cookie,
        idle_timeout=client.opening if pin is PinBits.OPENING else idle,
        fin_idle_timeout=client.closing if kind.ip_proto == TCP else 0,
        limit=limit,
        result_dst=verdict,
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
