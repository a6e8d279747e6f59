"""The stateful firewall: who may begin a connection; what belongs to one passes, in both directions.

Frames are looked up in CONNECTIONS first.  Those of a known connection pass.  Of the others, TCP
passes no further unless it is a SYN and nothing else, and what the rules allow is noted and passes; if
there is no room to note it, it does not.  A SYN on ports of an established connection begins another one,
be the first closed or not: the rules judge it, and it gets timeouts of its own.  IP that is neither TCP,
UDP nor an echo request passes by the rules alone, frame by frame.  What is not IP is none of the firewall's
business, and neither are ICMP errors, neighbour discovery and group membership: connections do not work
without them.

Fragments behind the first have no ports and never come here (``services.fragments``).
"""

from __future__ import annotations

from collections.abc import Iterator
from operator import attrgetter

from ryu_apps.evb.flow.actions import Action, Resubmit, SetField
from ryu_apps.evb.flow.errors import icmp_errors
from ryu_apps.evb.flow.match import MatchFields, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, Priority, Table, cookie, type_metadata, vsi_metadata
from ryu_apps.evb.policy.model import Acl, VsiType
from ryu_apps.evb.services.address_sets import SetBits, fields_of, set_bits
from ryu_apps.evb.services.base import DIRECT, LearnedState, Route, Service
from ryu_apps.evb.services.firewall.connections import (
    ESTABLISHED,
    FOLLOWS,
    ICMPV6,
    IPV4,
    IPV6,
    KNOWN,
    LIFE,
    LIVES,
    NEWEST,
    NOTED,
    PROTOCOLS,
    TCP,
    ConnectionStage,
    capacity,
    lookups,
    note,
)
from ryu_apps.evb.services.firewall.schema import NAME, SECTION, FirewallPolicy
from ryu_apps.evb.services.learnt import parts_of

#: Where each direction is judged: looked up, decided, noted, and whether there was room.
_TABLES = {
    Direction.FROM_VM: (Table.FIREWALL_FROM, Table.NEW_FROM, Table.LEARN_FROM, Table.LIMIT_FROM),
    Direction.TO_VM: (Table.FIREWALL_TO, Table.NEW_TO, Table.LEARN_TO, Table.LIMIT_TO),
}
#: Priorities in NEW, above and below those of the rules, which count down from the top one.
_AGAIN, _ACKNOWLEDGES, _KNOWN, _NO_BEGINNING = 65_002, 65_001, 65_000, 64_000
_TOP, _IMPLIED, _DEFAULT = 60_000, 20, 10
#: In LEARN.
_FOLLOWS = 300

_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
#: ``(value, mask)`` of TCP flags of a first segment and no other, and what no first segment has.
_FIRST = (_SYN, _FIN | _SYN | _RST | _ACK)
_NOT_FIRST = ((0, _SYN), (_ACK, _ACK), (_RST, _RST), (_FIN, _FIN))
#: ``(value, mask)`` of TCP flags once both sides have spoken.
_ACKNOWLEDGEMENT = (_ACK, _SYN | _ACK | _RST)
#: Router and neighbour discovery, and multicast listeners, as IGMP over IPv4.
_DISCOVERY = (133, 134, 135, 136)
_LISTENERS = (130, 131, 132, 143)
_IGMP = 2


_REG0 = {"known": KNOWN, "established": ESTABLISHED, "noted": NOTED, "follows": FOLLOWS, "newest": NEWEST}


def _reg0(**bits: int) -> tuple[int, int]:
    """``(value, mask)`` of ``reg0`` for some runs of its bits."""
    named = {_REG0[name]: value for name, value in bits.items()}
    mask = sum((1 << run.width) - 1 << run.offset for run in named)
    return sum(value << run.offset for run, value in named.items()), mask


def _look_up(epoch: int, direction: Direction) -> Iterator[Rule]:
    look, new, _learn, _limit = _TABLES[direction]
    owner, scope = cookie(CookieKind.TYPE_BODY, epoch), type_metadata(epoch, direction)
    # A copy of the frame may have been looked up for another VSI before.
    forget = SetField("reg0", 0)
    yield Rule(look, Priority.DEFAULT, match(metadata=scope), owner, (forget,), goto=new)
    for fields, actions in lookups(direction):
        yield Rule(look, Priority.EXACT, match(metadata=scope, **fields), owner, (forget, *actions), goto=new)


def _judge(acl: Acl, epoch: int, direction: Direction, route: Route, bits: SetBits) -> Iterator[Rule]:
    _look, new, learn, limit = _TABLES[direction]
    following = route.after(limit)
    owner, scope = cookie(CookieKind.TYPE_BODY, epoch), type_metadata(epoch, direction)

    def rule(table: Table, priority: int, goto: Table | None, **fields: int | tuple[int, int]) -> Rule:
        return Rule(table, priority, match(metadata=scope, **fields), owner, goto=goto)

    yield rule(new, _KNOWN, following, reg0=_reg0(known=True))
    for fields, actions in _again(new):
        yield Rule(new, _AGAIN, match(metadata=scope, **fields), owner, actions)
    for eth_type in (IPV4, IPV6):
        tcp = {"eth_type": eth_type, "ip_proto": TCP}
        opening = _reg0(known=True, established=False)
        yield rule(new, _ACKNOWLEDGES, learn, reg0=opening, tcp_flags=_ACKNOWLEDGEMENT, **tcp)
        for flags in _NOT_FIRST:
            yield rule(new, _NO_BEGINNING, None, tcp_flags=flags, **tcp)
    for position, acl_rule in enumerate(acl.rules):
        for box in acl_rule.boxes():
            yield rule(new, _TOP - position, learn if acl_rule.allow else None, **fields_of(box, bits))
    for fields in _implied():
        yield rule(new, _IMPLIED, following, **fields)
    for eth_type in (IPV4, IPV6):
        yield rule(new, _DEFAULT, learn if acl.default else None, eth_type=eth_type)
    yield rule(new, Priority.DEFAULT, following)
    yield rule(learn, Priority.DEFAULT, following)
    yield rule(limit, Priority.EXACT, following, reg0=_reg0(noted=True))
    yield rule(limit, Priority.EXACT, following, reg0=_reg0(noted=False, follows=True))


def _again(new: Table) -> Iterator[tuple[MatchFields, tuple[Action, ...]]]:
    """A first segment on the ports of an established connection: as if unknown, and to be noted in the next life.

    If all lives are taken, or there is no room, it has what the one before has left: the shorter timeout.
    """
    for life in range(LIVES):
        known = _reg0(known=True, established=True, newest=life)
        begins = SetField("reg0", 1 << FOLLOWS.offset | min(life + 1, LIVES - 1) << LIFE.offset)
        for eth_type in (IPV4, IPV6):
            yield {"eth_type": eth_type, "ip_proto": TCP, "tcp_flags": _FIRST, "reg0": known}, (begins, Resubmit(new))


def _implied() -> Iterator[MatchFields]:
    yield from icmp_errors()
    yield {"eth_type": IPV4, "ip_proto": _IGMP}
    for kind in (*_DISCOVERY, *_LISTENERS):
        yield {"eth_type": IPV6, "ip_proto": ICMPV6, "icmpv6_type": kind}


class FirewallService(Service):
    """The stateful firewall, and the connections that follow a VSI."""

    name = NAME
    section = SECTION
    tables = (Table.FIREWALL_FROM, Table.FIREWALL_TO)
    learned = LearnedState(
        Table.CONNECTIONS,
        parts_of(Table.CONNECTIONS, map(attrgetter("eth_type", "ip_proto"), PROTOCOLS), by_direction=False),
    )

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterator[Rule]:
        firewall: FirewallPolicy = vsi_type.service(NAME)
        for direction, acl in ((Direction.FROM_VM, firewall.from_vm), (Direction.TO_VM, firewall.to_vm)):
            yield from _look_up(epoch, direction)
            yield from _judge(acl, epoch, direction, route, set_bits(vsi_type, direction))

    def per_vsi(self, vsi_type: VsiType, binding: VsiBinding, route: Route = DIRECT) -> Iterator[Rule]:
        firewall: FirewallPolicy = vsi_type.service(NAME)
        owner = cookie(CookieKind.VSI_BODY, binding.vsi_index, binding.generation)
        for direction, (_look, _new, learn, limit) in _TABLES.items():
            scope = vsi_metadata(binding.vsi_index, direction)
            for protocol in PROTOCOLS:
                new = note(protocol, binding, direction, firewall)
                matched = match(metadata=scope, **protocol.beginnings)
                yield Rule(learn, Priority.WIDE, matched, owner, (new,), goto=limit)
                if protocol.ip_proto == TCP:
                    confirmed = note(protocol, binding, direction, firewall, ConnectionStage.ESTABLISHED)
                    matched = match(metadata=scope, reg0=_reg0(known=True), **protocol.match)
                    yield Rule(learn, Priority.EXACT, matched, owner, (confirmed,), goto=limit)
                    following = note(protocol, binding, direction, firewall, ConnectionStage.ESTABLISHED, begins=True)
                    matched = match(metadata=scope, reg0=_reg0(follows=True), **protocol.match)
                    yield Rule(learn, _FOLLOWS, matched, owner, (following,), goto=limit)
            # Counts what had to be turned away.
            yield Rule(limit, Priority.DEFAULT, match(metadata=scope), owner)

    def learned_capacity(self, vsi_type: VsiType) -> int:
        return capacity(vsi_type.service(NAME))


FIREWALL = FirewallService()
