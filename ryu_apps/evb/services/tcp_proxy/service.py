"""Ports of a VM that stand behind a transparent proxy: an appliance on a host port, one a switch and VLAN.

The switch leads TCP for such a port to the proxy instead of the VM by the Ethernet address alone, so
the proxy sees the addresses that both ends have.  A connection begins with a SYN, which goes to the
proxy of this switch; a pin notes which one that is, and what follows goes there, wherever the VM is
by then.  What a proxy sends to the VM passes; what the VM answers goes back to it.

What belongs to no connection known here, and begins none, goes nowhere: the VM must not see it, and a
proxy that does not know it would end, with a reset, a connection whose pin may just be on its way.

No rule here names a proxy, so one body serves all switches: ``program.appliances`` says who is there.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.actions import Action, Bits, ClearInPort, OutputGroup, RegLoad, Resubmit, SetField
from ryu_apps.evb.flow.errors import icmp_errors
from ryu_apps.evb.flow.match import MatchFields, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import (
    FROM_PROXY,
    PIN_AGAIN,
    PIN_LASTS,
    PIN_LIFE,
    PIN_NEWEST,
    PIN_NOTED,
    PIN_SOUGHT,
    PINNED,
    PROXY_FOUND,
    PROXY_GROUP,
    CookieKind,
    Direction,
    Priority,
    Table,
    cookie,
    type_metadata,
    vsi_metadata,
)
from ryu_apps.evb.policy.document import Finding
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.policy.rule_kinds import IPV4, IPV6, TCP
from ryu_apps.evb.services.base import DIRECT, LearnedState, Route, Service
from ryu_apps.evb.services.learnt import parts_of
from ryu_apps.evb.services.tcp_proxy.pins import LIVES, ProxyPin, capacity, look_up, note, seek_answers
from ryu_apps.evb.services.tcp_proxy.schema import NAME, SECTION, Proxied
from ryu_apps.evb.topology.fabric import Fabric

_FIN, _SYN, _RST, _ACK = 0x01, 0x02, 0x04, 0x10
#: ``(value, mask)`` of TCP flags: of a first segment and no other; of one that answers.
_FIRST, _ANSWER = (_SYN, _FIN | _SYN | _RST | _ACK), (_ACK, _SYN | _RST | _ACK)
#: Priorities in PROXY_DECIDE.
_NEXT_LIFE, _SEEK, _OPENED, _PROXYS, _FOLLOWS, _STANDS, _PINNED, _NEW = 420, 410, 400, 300, 275, 250, 200, 100

#: To the proxy whose address the frame has by now; it may have to leave by the port it came in by.
_TO_PROXY: tuple[Action, ...] = (ClearInPort(), Resubmit(Table.FORWARD))


#: A copy of the frame may have been looked up for another VSI before.
_LOOK_UP: dict[Direction, tuple[Action, ...]] = {
    Direction.FROM_VM: (SetField("reg2", 0), *look_up(), Resubmit(Table.PROXY_DECIDE)),
    Direction.TO_VM: (
        SetField("reg2", 0),
        Resubmit(Table.PROXY_SOURCES),
        *look_up(),
        Resubmit(Table.PROXY_DECIDE),
    ),
}


def _next_lives(epoch: int) -> Iterator[Rule]:
    """Rules for a first segment on the ports of a lasting pin: it is noted in the next life."""
    owner, scope = cookie(CookieKind.TYPE_BODY, epoch), type_metadata(epoch, Direction.TO_VM)
    decide = Resubmit(Table.PROXY_DECIDE)
    for eth_type in (IPV4, IPV6):
        first: MatchFields = {"metadata": scope, "eth_type": eth_type, "ip_proto": TCP, "tcp_flags": _FIRST}
        sought = match(**first, **_reg2(FROM_PROXY, clear=(PIN_SOUGHT,)))
        seek = *seek_answers(eth_type), RegLoad(PIN_SOUGHT, 1), decide
        yield Rule(Table.PROXY_DECIDE, _SEEK, sought, owner, seek)
        for of, clear in (((PINNED,), (FROM_PROXY,)), ((FROM_PROXY, PIN_SOUGHT), ())):
            for life in range(LIVES - 1):
                again = match(**first, **_reg2(*of, PIN_LASTS, clear=(*clear, PIN_AGAIN), life=life))
                noted = RegLoad(PIN_LIFE, life + 1), RegLoad(PIN_AGAIN, 1), decide
                yield Rule(Table.PROXY_DECIDE, _NEXT_LIFE, again, owner, noted)


def _take_over(value: Proxied, epoch: int, route: Route) -> Iterator[Rule]:
    """Rules that look frames up; others go on, and undecided ones are counted."""
    owner = cookie(CookieKind.TYPE_BODY, epoch)
    for direction, table, port, taken in (
        (Direction.FROM_VM, Table.PROXY_FROM, "tcp_src", Resubmit(Table.PROXY_LOOKUP)),
        (Direction.TO_VM, Table.PROXY_TO, "tcp_dst", OutputGroup(PROXY_GROUP)),
    ):
        scope = type_metadata(epoch, direction)
        for eth_type in (IPV4, IPV6):
            for block in value.ports:
                fields: MatchFields = {"eth_type": eth_type, "ip_proto": TCP, port: (block.value, block.mask)}
                yield Rule(table, Priority.EXACT, match(metadata=scope, **fields), owner, (taken,))
        yield Rule(table, Priority.DEFAULT, match(metadata=scope), owner, goto=route.after(table))
        yield from _errors(direction, table, epoch, route.after(table))
        yield Rule(Table.PROXY_LOOKUP, Priority.DEFAULT, match(metadata=scope), owner, _LOOK_UP[direction])
        yield Rule(Table.PROXY_DECIDE, Priority.DEFAULT, match(metadata=scope), owner)


def _errors(direction: Direction, table: Table, epoch: int, following: Table) -> Iterator[Rule]:
    """ICMP errors may be about what a proxy has sent, in the VM's name or in the client's: a copy to each.

    What an error quotes no switch can read, and who it is not about ignores it; so it goes on to its destination too.
    """
    owner, scope, copies = (
        cookie(CookieKind.TYPE_BODY, epoch),
        type_metadata(epoch, direction),
        (OutputGroup(PROXY_GROUP),),
    )
    for fields in icmp_errors():
        yield Rule(table, Priority.EXACT, match(metadata=scope, **fields), owner, copies, goto=following)
        to_all = SetField("reg2", 0), Resubmit(Table.PROXY_SOURCES), Resubmit(Table.PROXY_ERRORS)
        yield Rule(Table.PROXY_LOOKUP, Priority.EXACT, match(metadata=scope, **fields), owner, to_all)


def _reg2(*bits: Bits, clear: tuple[Bits, ...] = (), life: int | None = None) -> MatchFields:
    """A match on these bits being set, others not, and the newest life that was found."""
    value = sum(1 << bit.offset for bit in bits)
    mask = value | sum(1 << bit.offset for bit in clear)
    if life is not None:
        value |= life << PIN_NEWEST.offset
        mask |= LIVES - 1 << PIN_NEWEST.offset
    return {"reg2": (value, mask)}


class TcpProxyService(Service):
    """Ports of a VM behind a transparent proxy, and the pins of its connections."""

    name = NAME
    section = SECTION
    tables = (Table.PROXY_FROM, Table.PROXY_TO)
    # A connection that is opened in the last moment must not be forgotten: its client would get no answer.
    learned = LearnedState(Table.PROXY_PINS, parts_of(Table.PROXY_PINS, [(IPV4, TCP), (IPV6, TCP)]), final=True)

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterator[Rule]:
        yield from _take_over(vsi_type.service(NAME), epoch, route)
        owner = cookie(CookieKind.TYPE_BODY, epoch)
        on_from, on_to = (Resubmit(route.after(table)) for table in (Table.PROXY_FROM, Table.PROXY_TO))
        for table, priority, direction, reg2, apply in (
            (Table.PROXY_DECIDE, _PINNED, Direction.FROM_VM, (PINNED,), (on_from,)),
            (Table.PROXY_DECIDE, _PROXYS, Direction.TO_VM, (FROM_PROXY,), (on_to,)),
            (Table.PROXY_DECIDE, _PINNED, Direction.TO_VM, (PINNED,), _TO_PROXY),
            (Table.PROXY_ROOM, _PROXYS, Direction.TO_VM, (FROM_PROXY, PIN_NOTED), (on_to,)),
            # Its ports have a pin already, which has to do.
            (Table.PROXY_ROOM, _PROXYS, Direction.TO_VM, (FROM_PROXY, PIN_AGAIN), (on_to,)),
            (Table.PROXY_ROOM, _NEW, Direction.TO_VM, (PROXY_FOUND, PIN_NOTED), _TO_PROXY),
        ):
            matched = match(metadata=type_metadata(epoch, direction), **_reg2(*reg2))
            yield Rule(table, priority, matched, owner, apply)
        yield from _next_lives(epoch)

    def per_vsi(self, vsi_type: VsiType, binding: VsiBinding, route: Route = DIRECT) -> Iterator[Rule]:
        value: Proxied = vsi_type.service(NAME)
        owner = cookie(CookieKind.VSI_BODY, binding.vsi_index, binding.generation)
        scope = vsi_metadata(binding.vsi_index, Direction.TO_VM)
        here, decided = Resubmit(Table.PROXY_HERE), Resubmit(Table.PROXY_ROOM)
        for eth_type in (IPV4, IPV6):
            opening, lasting, answers = (note(value, binding, eth_type, pin) for pin in ProxyPin)
            following = note(value, binding, eth_type, ProxyPin.LASTING, begins=True)
            # That a pin lasts is noted once, and if there is no room, the frame goes its way all the same.
            not_yet: MatchFields = {"reg2": (1 << PINNED.offset, 1 << PINNED.offset | 1 << PIN_LASTS.offset)}
            for priority, flags, reg2, apply in (
                (_OPENED, _FIRST, _reg2(FROM_PROXY), (answers, decided)),
                (_FOLLOWS, _FIRST, _reg2(PIN_AGAIN), (following, *_TO_PROXY)),
                (_STANDS, _ANSWER, not_yet, (lasting, *_TO_PROXY)),
                (_NEW, _FIRST, {}, (here, opening, decided)),
            ):
                matched = match(metadata=scope, eth_type=eth_type, ip_proto=TCP, tcp_flags=flags, **reg2)
                yield Rule(Table.PROXY_DECIDE, priority, matched, owner, apply)
        # Counts what had to be turned away.
        yield Rule(Table.PROXY_ROOM, Priority.DEFAULT, match(metadata=scope), owner)

    def learned_capacity(self, vsi_type: VsiType) -> int:
        return capacity(vsi_type.service(NAME))

    def missing_names(self, vsi_type: VsiType, fabric: Fabric) -> Iterator[Finding]:
        interfaces = (each for switch in fabric.switches.values() for each in switch.interfaces.values())
        if all(interface.appliance != NAME for interface in interfaces):
            yield (NAME,), f"no switch of the configuration has an appliance {NAME}"

    def missing_requirement(self, vsi_type: VsiType, fabric: Fabric, dpid: int, vids: tuple[int, ...]) -> str | None:
        switch = fabric.switches[dpid]
        there = {
            vid for interface in switch.interfaces.values() if interface.appliance == NAME for vid in interface.vids
        }
        missing = next((vid for vid in vids if vid not in there), None)
        return None if missing is None else f"switch {switch.name} has no appliance {NAME} in VLAN {missing}"


TCP_PROXY = TcpProxyService()
