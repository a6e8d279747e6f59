"""Appliances, as seen by a VM: traffic of its type that goes through a VM which the bridge has put in its way.

A frame from the VM is judged by its policy first, and taken out where it would be forwarded; a frame to the VM is taken
out before its policy, and comes back to it from the appliance.  Both happen at the switch of the VM.  What follows is
the fabric's (:mod:`ryu_apps.evb.pipeline.appliances`): no rule here names an instance, so the body is the same at every
switch.  What the VM needs to find its neighbours is never taken out: broadcasts, ARP and neighbour discovery.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

from ryu_apps.evb.flow.actions import Action, RegLoad, Resubmit, SetField
from ryu_apps.evb.flow.match import ANY_FRAGMENT, GROUP_BIT, MatchFields, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.appliances import NUMBER, appliance_number
from ryu_apps.evb.pipeline.tables import STEERED, CookieKind, Direction, Priority, Table, cookie, type_metadata
from ryu_apps.evb.policy.document import Finding
from ryu_apps.evb.policy.fields import Masked
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.policy.rule_kinds import ICMPV6, IPV4, IPV6, UDP
from ryu_apps.evb.services.appliance.schema import NAME, SECTION, AppliancePolicy, Traffic
from ryu_apps.evb.services.base import DIRECT, Route, Service
from ryu_apps.evb.topology.fabric import Fabric

#: Above the traffic that is chosen.
_NEVER = Priority.EXACT + 100
#: Router and neighbour discovery, redirects.
_DISCOVERY = (133, 134, 135, 136, 137)
_VERSIONS = {IPV4: 4, IPV6: 6}

#: On as if there were no appliance, from FORWARD and from the gate.
_GO_ON: dict[Direction, tuple[Action, ...]] = {
    # A copy of a broadcast for another VSI may follow, so the bit is cleared again.
    Direction.FROM_VM: (RegLoad(STEERED, 1), Resubmit(Table.FORWARD), RegLoad(STEERED, 0)),
    Direction.TO_VM: (Resubmit(Table.ACL_TO),),
}


def go_on(direction: Direction) -> tuple[Action, ...]:
    """Actions of a frame in STEER that goes on as if there were no appliance."""
    return _GO_ON[direction]


def _take_out(epoch: int, owner: int) -> Iterator[Rule]:
    """Rules that take IP from a VM out of FORWARD, unless it goes to a group."""
    scope = type_metadata(epoch, Direction.FROM_VM)
    once: MatchFields = {"eth_dst": (0, GROUP_BIT), STEERED.name: (0, 1 << STEERED.offset)}
    for eth_type in _VERSIONS:
        fields = match(metadata=scope, eth_type=eth_type, **once)
        yield Rule(Table.FORWARD, Priority.STEER, fields, owner, goto=Table.STEER)


def _discovery() -> Iterator[MatchFields]:
    for icmp_type in _DISCOVERY:
        yield {"eth_type": IPV6, "ip_proto": ICMPV6, "icmpv6_type": icmp_type}


def _chosen(policy: AppliancePolicy, direction: Direction) -> Iterator[MatchFields]:
    """Matches of chosen traffic in a direction."""
    for entry, eth_type in product(policy.traffic, _VERSIONS):
        for peer in _peers(entry, direction, eth_type):
            for protocol, port, peer_port in product(*map(_any, (entry.protocols, entry.ports, entry.peer_ports))):
                fields: MatchFields = {"eth_type": eth_type, **peer}
                if protocol is not None:
                    fields["ip_proto"] = protocol.value
                    own, other = _port_fields(protocol, direction)
                    fields |= {name: (at.value, at.mask) for name, at in ((own, port), (other, peer_port)) if at}
                yield fields
            if entry.protocols:
                # Later fragments have no ports, over IPv6 no protocol either, and take the way of their first one.
                yield {"eth_type": eth_type, "ip_frag": ANY_FRAGMENT, **peer}


def _any(alternatives: tuple[Masked, ...]) -> tuple[Masked | None, ...]:
    return alternatives or (None,)


def _peers(entry: Traffic, direction: Direction, eth_type: int) -> Iterator[MatchFields]:
    name = f"ipv{_VERSIONS[eth_type]}_{'dst' if direction is Direction.FROM_VM else 'src'}"
    if not entry.peers:
        yield {}
    for version, value, mask in entry.peers:
        if version == _VERSIONS[eth_type]:
            yield {name: (value, mask)}


def _port_fields(protocol: Masked, direction: Direction) -> tuple[str, str]:
    """Names of the fields with the port of the VM, and of the other end."""
    prefix = "udp" if protocol.value == UDP else "tcp"
    ends = f"{prefix}_src", f"{prefix}_dst"
    return ends if direction is Direction.FROM_VM else (ends[1], ends[0])


class ApplianceService(Service):
    """Chosen traffic of a VM through an appliance, and the frames of the VMs that are its instances."""

    name = NAME
    section = SECTION

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterator[Rule]:
        policy: AppliancePolicy = vsi_type.service(NAME)
        owner = cookie(CookieKind.TYPE_BODY, epoch)
        if policy.instance_of:
            fresh = match(metadata=type_metadata(epoch, Direction.FROM_VM), **{STEERED.name: (0, 1 << STEERED.offset)})
            yield Rule(Table.FORWARD, Priority.STEER, fresh, owner, goto=Table.STEER_BACK)
            return
        yield from _take_out(epoch, owner)
        for direction, actions in _GO_ON.items():
            scope = type_metadata(epoch, direction)
            for fields in _discovery():
                yield Rule(Table.STEER, _NEVER, match(metadata=scope, **fields), owner, actions)
            number = (SetField(NUMBER, appliance_number(policy.through)),)
            for fields in _chosen(policy, direction):
                chosen = match(metadata=scope, **fields)
                yield Rule(Table.STEER, Priority.EXACT, chosen, owner, number, goto=Table.STEER_SHARE)
            yield Rule(Table.STEER, Priority.DEFAULT, match(metadata=scope), owner, actions)
            # A rule that drops, too: it counts what was blocked.
            failed = actions if policy.passes else ()
            yield Rule(Table.STEER_FAILED, Priority.EXACT, match(metadata=scope), owner, failed)

    def missing_names(self, vsi_type: VsiType, fabric: Fabric) -> Iterator[Finding]:
        policy: AppliancePolicy = vsi_type.service(NAME)
        key, name = ("instance_of", policy.instance_of) if policy.instance_of else ("through", policy.through)
        if all(found.name != name for found in fabric.appliances):
            yield (NAME, key), f"the configuration has no appliance {name!r}"

    def missing_requirement(self, vsi_type: VsiType, fabric: Fabric, dpid: int, vids: tuple[int, ...]) -> str | None:
        policy: AppliancePolicy = vsi_type.service(NAME)
        if policy.instance_of:
            known = any(found.name == policy.instance_of for found in fabric.appliances)
            return None if known else f"the configuration has no appliance {policy.instance_of!r}"
        missing = next((vid for vid in vids if fabric.appliance(policy.through, vid) is None), None)
        return None if missing is None else f"there is no appliance {policy.through!r} for VLAN {missing}"


APPLIANCE = ApplianceService()
