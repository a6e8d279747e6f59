"""IP fragments of types that judge by what is behind the IP header: ports, ICMP types, whole protocols.

The switch shows the ports of a first fragment (``southbound.questions.FragmentsJob``), so it is judged as the packet
would be.  One that is too short to have them reads as port 0, which rules would judge as such: it is dropped
(RFC 1858, RFC 3128, RFC 7112).  Those behind the first have none at all.  They pass every other service by and are
looked up: a first fragment that may pass is noted, and for as long as a receiver waits for the rest, later ones of
the same addresses, protocol, VLAN and direction pass.  What comes before its first one is dropped.

OpenFlow does not see the number that tells fragments of one packet from those of another, and of later ones over IPv6
not the protocol either.  No harm in that: what a receiver makes of them has the ports of the first.

Nothing here follows a VM that moves: its peers repeat what was under way.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import ClassVar

from ryu_apps.evb.flow.actions import Action, Bits, Learn, LearnSpec, Resubmit, SetField, StackPop, StackPush, whole
from ryu_apps.evb.flow.match import FIRST_FRAGMENT, LATER_FRAGMENT, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.fragments import incomplete
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, Priority, Table, cookie, type_metadata, vsi_metadata
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.policy.rule_kinds import IPV4, IPV6
from ryu_apps.evb.services.base import DIRECT, Route, Service
from ryu_apps.evb.services.firewall.schema import NAME as FIREWALL
from ryu_apps.evb.services.learnt import in_direction, of_vsi, owner
from ryu_apps.evb.services.tcp_proxy.schema import NAME as TCP_PROXY

#: Seconds for which a receiver waits for the rest of a packet: RFC 1122 3.3.2 says 60 to 120, Linux waits 30.  More
#: than Open vSwitch keeps an idle flow in its cache (10), else it would not notice the next first one in time.
PATIENCE = 30
#: Pairs of addresses of one VSI that may have fragments under way.
MAX_NOTED = 128

#: ``reg0`` of a later fragment: its first one has passed.
BEGUN = Bits("reg0", 8, 1)
#: Priorities in the tables of the ACL: above its rules.
_INCOMPLETE, _LATER = 64_002, 64_001

#: Where each direction is judged, and where it ends.
_TABLES = {
    Direction.FROM_VM: (Table.ACL_FROM, Table.FRAGMENT_FROM),
    Direction.TO_VM: (Table.ACL_TO, Table.FRAGMENT_TO),
}
_ENDS = {IPV4: ("ipv4_src", "ipv4_dst"), IPV6: ("ipv6_src", "ipv6_dst")}
#: Tests of a rule that only a packet's first fragment can pass; over IPv6, the protocol is one.
_BEHIND_IP = ("ip_proto", "tcp_", "udp_", "icmpv4_", "icmpv6_", "ipv6_nd_")


def _seen(names: tuple[str, ...]) -> Iterator[Action]:
    """Look at some fields and change nothing.

    What Open vSwitch drops without having looked at the addresses it drops of all VMs, until it has noticed what
    it has learnt meanwhile: one stray fragment would cost others the rest of theirs.
    """
    for name in names:
        yield from (StackPush(whole(name)), StackPop(whole(name)))


@cache
def _same_packet(eth_type: int) -> tuple[LearnSpec, ...]:
    """Return the fields that later fragments share with the first one."""
    same = ["vlan_vid", *_ENDS[eth_type], *(["ip_proto"] if eth_type == IPV4 else [])]
    return LearnSpec(whole("eth_type"), eth_type), *(LearnSpec(whole(name), whole(name)) for name in same)


def _note(binding: VsiBinding, direction: Direction, eth_type: int, route: Route) -> Learn:
    """Learn action for a first fragment that passes."""
    return Learn(
        table=Table.FRAGMENTS,
        priority=Priority.EXACT,
        cookie=owner(binding),
        idle_timeout=0,
        hard_timeout=PATIENCE,
        fin_idle_timeout=0,
        limit=MAX_NOTED,
        result_dst=None,
        match=(
            of_vsi(binding),
            in_direction(direction),
            *_same_packet(eth_type),
        ),
        # The rule that has judged the first one has judged all.
        writes=(LearnSpec(BEGUN, 1), *([LearnSpec(whole("reg1"), whole("reg1"))] if route.counts_per_rule else [])),
    )


class FragmentsService(Service):
    """Later fragments of types that judge by what is behind the IP header."""

    name = "fragments"
    tables = (Table.FRAGMENT_FROM, Table.FRAGMENT_TO)
    learns: ClassVar[Mapping[Table, int]] = {Table.FRAGMENTS: MAX_NOTED}

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterator[Rule]:
        mine = cookie(CookieKind.TYPE_BODY, epoch)
        for direction, (judged, last) in _TABLES.items():
            scope = type_metadata(epoch, direction)
            acl = vsi_type.from_vm if direction is Direction.FROM_VM else vsi_type.to_vm
            refused, mark = route.refuse(judged), route.set_rule_number(acl.default_number)
            # Of those from the VM the guards let none come so far.
            for fields in incomplete() if direction is Direction.TO_VM else ():
                yield Rule(judged, _INCOMPLETE, match(metadata=scope, **fields), mine, mark, goto=refused)
            for eth_type, ends in _ENDS.items():
                # A copy of the frame may have been looked up for another VSI before.
                look_up = (SetField("reg0", 0), *mark, *_seen(ends), Resubmit(Table.FRAGMENTS))
                later = match(metadata=scope, eth_type=eth_type, ip_frag=LATER_FRAGMENT)
                yield Rule(judged, _LATER, later, mine, look_up, goto=last)
                later = match(metadata=scope, eth_type=eth_type, ip_frag=LATER_FRAGMENT, reg0=(0, 1 << BEGUN.offset))
                yield Rule(last, Priority.EXACT, later, mine, goto=refused)
            yield Rule(last, Priority.DEFAULT, match(metadata=scope), mine, goto=route.after(last))

    def per_vsi(self, vsi_type: VsiType, binding: VsiBinding, route: Route = DIRECT) -> Iterator[Rule]:
        mine = cookie(CookieKind.VSI_BODY, binding.vsi_index, binding.generation)
        for direction, (_judged, last) in _TABLES.items():
            scope = vsi_metadata(binding.vsi_index, direction)
            for eth_type in _ENDS:
                first = match(metadata=scope, eth_type=eth_type, ip_frag=FIRST_FRAGMENT)
                noted = (_note(binding, direction, eth_type, route),)
                yield Rule(last, Priority.WIDE, first, mine, noted, goto=route.after(last))

    def needed_by(self, vsi_type: VsiType) -> bool:
        """Return whether anything of a type looks behind the IP header."""
        if any(vsi_type.service(name) is not None for name in (FIREWALL, TCP_PROXY)):
            return True
        rules = (*vsi_type.from_vm.rules, *vsi_type.to_vm.rules)
        return any(name.startswith(_BEHIND_IP) for rule in rules for name, _ in rule.tests)


FRAGMENTS = FragmentsService()
