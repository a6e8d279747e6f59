"""The load balancer, as seen by a VM: its connections keep their back end wherever it goes, and it may be a back end.

What the VM sends to a virtual address is judged by its policy as such; behind that, in FORWARD, it gets a back
end.  What a back end answers bears the virtual address again before the policy sees it.  How connections are
noted is :mod:`ryu_apps.evb.pipeline.load_balancing`; the virtual addresses are the fabric's, no rule here names one.

A back end needs no rule and has no state: the client's switch writes its address, and the gate does the rest.
It is in rotation exactly while its VSI is active.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.load_balancing import (
    ALL_KINDS,
    PINS_EACH,
    Client,
    learn_rules,
    return_rules,
    selection_rules,
)
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, Table, cookie, type_metadata, vsi_metadata
from ryu_apps.evb.policy.document import Finding
from ryu_apps.evb.policy.model import VsiType
from ryu_apps.evb.services.base import DIRECT, LearnedState, Route, Service
from ryu_apps.evb.services.learnt import owner, parts_of
from ryu_apps.evb.services.load_balancer.schema import NAME, SECTION, Balanced
from ryu_apps.evb.topology.fabric import Fabric


class LoadBalancerService(Service):
    """Clients of load balancers, and the pins that follow them."""

    name = NAME
    section = SECTION
    tables = (Table.BALANCE_TO,)
    learned = LearnedState(Table.BALANCER_PINS, parts_of(Table.BALANCER_PINS, ALL_KINDS))

    def per_type(self, vsi_type: VsiType, epoch: int, route: Route = DIRECT) -> Iterator[Rule]:
        mine = cookie(CookieKind.TYPE_BODY, epoch)
        from_vm, to_vm = ({"metadata": type_metadata(epoch, way)} for way in (Direction.FROM_VM, Direction.TO_VM))
        # The ACLs see the virtual address both ways: selection comes after them, and answers are rewritten before them.
        yield from selection_rules(from_vm, ALL_KINDS, mine)
        yield from return_rules(to_vm, ALL_KINDS, Table.ACL_TO, mine)

    def per_vsi(self, vsi_type: VsiType, binding: VsiBinding, route: Route = DIRECT) -> Iterator[Rule]:
        value: Balanced = vsi_type.service(NAME)
        mine = cookie(CookieKind.VSI_BODY, binding.vsi_index, binding.generation)
        scope = {"metadata": vsi_metadata(binding.vsi_index, Direction.FROM_VM)}
        client = Client(
            owner(binding),
            binding.vsi_index,
            Direction.FROM_VM,
            Direction.TO_VM,
            value.max_connections,
            value.opening,
            value.idle,
            value.udp,
            value.closing,
        )
        # Learn actions name the VSI in their cookies and limits, so these rules cannot be shared by the type.
        yield from learn_rules(scope, ALL_KINDS, client, mine)

    def learned_capacity(self, vsi_type: VsiType) -> int:
        value: Balanced = vsi_type.service(NAME)
        # Each connection that was admitted may need all its pins, so the rule budget reserves them from the start.
        return PINS_EACH * value.max_connections

    def missing_names(self, vsi_type: VsiType, fabric: Fabric) -> Iterator[Finding]:
        value: Balanced = vsi_type.service(NAME)
        known = {balancer.name for balancer in fabric.balancers}
        for index, name in enumerate(value.backend_of):
            if name not in known:
                yield (NAME, "backend_of", index), f"the configuration has no load balancer {name!r}"

    def missing_requirement(self, vsi_type: VsiType, fabric: Fabric, dpid: int, vids: tuple[int, ...]) -> str | None:
        value: Balanced = vsi_type.service(NAME)
        # Only names are compared: the rotation matches addresses when the gate opens.
        there = {balancer.name for balancer in fabric.balancers if balancer.vid in vids}
        missing = next((name for name in value.backend_of if name not in there), None)
        return None if missing is None else f"there is no load balancer {missing} in VLAN {', '.join(map(str, vids))}"


LOAD_BALANCER = LoadBalancerService()
