"""The inert body of a VSI: what all services together stage for it.

No rule here can be reached before the VSI's gate writes the metadata that the rules match on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import replace
from operator import attrgetter
from typing import NamedTuple

from ryu_apps.evb.flow.change import RuleBlock
from ryu_apps.evb.flow.rule import CookieMask, Meter, Rule
from ryu_apps.evb.flow.rule_parts import RulePart
from ryu_apps.evb.model import Binding, Minimum, VsiBinding
from ryu_apps.evb.pipeline.tables import PAGE_OF_BODY, Table
from ryu_apps.evb.policy.diagnostic import Diagnostic, error
from ryu_apps.evb.policy.document import Finding, read_document
from ryu_apps.evb.policy.kept import kept_by_type
from ryu_apps.evb.policy.model import Trigger, VsiType
from ryu_apps.evb.policy.section import Section
from ryu_apps.evb.services.acl import ACL
from ryu_apps.evb.services.address_sets import ADDRESS_SETS
from ryu_apps.evb.services.anti_spoofing import ANTI_SPOOFING
from ryu_apps.evb.services.appliance.claims import vid_of_others
from ryu_apps.evb.services.appliance.service import APPLIANCE
from ryu_apps.evb.services.bandwidth.service import BANDWIDTH
from ryu_apps.evb.services.base import LearnedState, Route, Service
from ryu_apps.evb.services.firewall.service import FIREWALL
from ryu_apps.evb.services.flood_classes import permitted_classes
from ryu_apps.evb.services.fragments import FRAGMENTS
from ryu_apps.evb.services.guards import GUARDS
from ryu_apps.evb.services.learnt import rewritten
from ryu_apps.evb.services.load_balancer.schema import Balanced
from ryu_apps.evb.services.load_balancer.service import LOAD_BALANCER
from ryu_apps.evb.services.mirror.service import MIRROR
from ryu_apps.evb.services.multicast.schema import MulticastPolicy
from ryu_apps.evb.services.multicast.service import MULTICAST, Room, room_for_groups
from ryu_apps.evb.services.split_horizon import SPLIT_HORIZON
from ryu_apps.evb.services.statistics.service import STATISTICS
from ryu_apps.evb.services.tcp_proxy.service import TCP_PROXY
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.switch import Profile

#: In the order in which a frame meets them.
SERVICES: tuple[Service, ...] = (
    *(MIRROR, GUARDS, ANTI_SPOOFING, ADDRESS_SETS, ACL, FIREWALL, MULTICAST, TCP_PROXY, FRAGMENTS, LOAD_BALANCER),
    *(SPLIT_HORIZON, BANDWIDTH, STATISTICS),
    APPLIANCE,
)

#: What a policy file may say of them.
SECTIONS: tuple[Section, ...] = tuple(service.section for service in SERVICES if service.section is not None)


def body_of_type(vsi_type: VsiType, epoch: int, profile: Profile = Profile.OPEN_VSWITCH) -> RuleBlock:
    """The rules that all VSIs of a type epoch share: compiled anew at each call, so keep the block.

    Args:
        vsi_type: the policy.
        epoch: its 20-bit number in metadata and cookies.
        profile: of the switch.
    """
    had, route = _services_of(vsi_type, profile)
    # By key: a report from the unspecified address passes ANTISPOOF because of two services.
    rules = {rule.key: rule for service in had for rule in service.per_type(vsi_type, epoch, route)}
    return RuleBlock(tuple(_in_pages(rules.values())))


def _in_pages(rules: Iterable[Rule]) -> Iterator[Rule]:
    """Number the pages of a body in its cookies, so that a switch can be asked for one page."""
    for number, rule in enumerate(rules):
        page = number // PAGE_OF_BODY
        yield replace(rule, cookie=rule.cookie | page) if page else rule


def pages(block: RuleBlock) -> tuple[CookieMask, ...]:
    """Masks of the pages of a body of a type, in the order in which they are deleted.

    The last one first: Open vSwitch looks at all rules of a table with the same fields when that with the highest
    priority goes, so deleting an access list from its top costs it a second or two for 10,000 rules.
    """
    cookies = dict.fromkeys(map(attrgetter("cookie"), block.rules))
    return tuple(CookieMask(cookie, (1 << 64) - 1) for cookie in reversed(cookies))


def body_of_vsi(vsi_type: VsiType, binding: VsiBinding, profile: Profile = Profile.OPEN_VSWITCH) -> tuple[Rule, ...]:
    """The rules of one VSI alone: a handful, however long its policy is."""
    had, route = _services_of(vsi_type, profile)
    return tuple(rule for service in had for rule in service.per_vsi(vsi_type, binding, route))


def meters_of_vsi(vsi_type: VsiType, binding: VsiBinding) -> tuple[Meter, ...]:
    """The meters that the rules of one VSI name."""
    had, _ = _services_of(vsi_type)
    return tuple(meter for service in had for meter in service.meters(vsi_type, binding))


def gate_meter(vsi_type: VsiType, binding: VsiBinding) -> int | None:
    """The meter of frames from a VSI, which the rule of its gate names; None: there is none."""
    had, _ = _services_of(vsi_type)
    return next((meter for service in had if (meter := service.gate_meter(vsi_type, binding)) is not None), None)


@kept_by_type
def minimum_of(vsi_type: VsiType) -> Minimum:
    """The rates that are reserved for one VSI of a type."""
    reserved = [service.minimum(vsi_type) for service in _services_of(vsi_type)[0]]
    return Minimum(sum(rates.from_vm for rates in reserved), sum(rates.to_vm for rates in reserved))


def multicast_of(vsi_type: VsiType, bindings: Iterable[Binding]) -> MulticastPolicy | None:
    """Return the multicast policy of a VSI; None: it is not snooped and receives every group.

    A VSI that owns a whole VID is not snooped: it has no address that identifies its reports.
    """
    multicast: MulticastPolicy | None = vsi_type.service(MULTICAST.name)
    return None if any(binding.mac is None for binding in bindings) else multicast


class Shape(NamedTuple):
    """Shape of a VSI: its room depends on this and its type alone.

    Attributes:
        addresses: (VID, MAC) pairs.
        vids: different VIDs.
        whole_vid: it owns a whole VID, so it is not snooped.
    """

    addresses: int
    vids: int
    whole_vid: bool


def shape_of(bindings: tuple[Binding, ...]) -> Shape:
    """Return the shape of a VSI."""
    vids = {binding.vid for binding in bindings}
    return Shape(len(bindings), len(vids), any(binding.mac is None for binding in bindings))


def room_for(vsi_type: VsiType, shape: Shape) -> Room:
    """The rules that the group memberships of a VSI may come to."""
    multicast: MulticastPolicy | None = vsi_type.service(MULTICAST.name)
    if multicast is None or shape.whole_vid:
        return Room(Counter(), Counter())
    return room_for_groups(multicast, shape.addresses, shape.vids)


def _services_of(vsi_type: VsiType, profile: Profile = Profile.OPEN_VSWITCH) -> tuple[tuple[Service, ...], Route]:
    return _served(vsi_type, profile)


@kept_by_type
def _served(vsi_type: VsiType, profile: Profile) -> tuple[tuple[Service, ...], Route]:
    extended = profile is Profile.OPEN_VSWITCH
    had = tuple(service for service in SERVICES if (extended or service.plain) and service.serves(vsi_type))
    return had, Route(
        tables=tuple(table for service in had for table in service.tables),
        refused=tuple(table for service in had for table in service.refused),
        counts_per_rule=any(service.counts_per_rule(vsi_type) for service in had),
        steers=APPLIANCE in had and bool(vsi_type.service(APPLIANCE.name).through),
    )


def counters_of_vsi(vsi_type: VsiType, binding: VsiBinding) -> tuple[Meter, ...]:
    """The meters that the rules of one VSI count with."""
    return tuple(meter for service in _serving(vsi_type) for meter in service.counters(vsi_type, binding))


@kept_by_type
def _serving(vsi_type: VsiType) -> tuple[Service, ...]:
    return tuple(service for service in SERVICES if service.serves(vsi_type))


def state_capacity(vsi_type: VsiType) -> int:
    """The most rules that may follow a VSI of a type."""
    return sum(service.learned_capacity(vsi_type) for service in _services_of(vsi_type)[0])


def learnt_capacity(vsi_type: VsiType) -> Counter[int]:
    """The same by table, with those that go nowhere when the VSI moves."""
    capacity: Counter[int] = Counter()
    for service in _services_of(vsi_type)[0]:
        capacity.update({} if service.learned is None else {service.learned.table: service.learned_capacity(vsi_type)})
        capacity.update(service.learns)
    return +capacity


def counted_by_service(state: Iterable[Rule]) -> Counter[str]:
    """Count the rules of state by service."""
    names: dict[int, str] = {service.learned.table: service.name for service in SERVICES if service.learned is not None}
    return Counter(names[rule.table] for rule in state if rule.table in names)


def services_of(vsi_type: VsiType) -> tuple[str, ...]:
    """The services that VSIs of a type have, in the order in which a frame meets them."""
    return tuple(service.name for service in _serving(vsi_type))


def extracted_early(vsi_type: VsiType) -> bool:
    """True if all state of a VSI moves when its source de-associates; False: some of it waits for the Associate."""
    early = _learned(vsi_type, early=True)
    return len(early) == len(_learned(vsi_type)) and not any(state.final for state in early)


def missing_requirement(vsi_type: VsiType, fabric: Fabric, dpid: int, vids: tuple[int, ...]) -> str | None:
    """Return a requirement of a type in these VLANs that a switch does not meet; None: it meets all."""
    if not fabric.switches[dpid].extended and (needed := extensions_needed(vsi_type)):
        return f"{needed}, and the profile of {fabric.switches[dpid].name} is {Profile.OPENFLOW13.value}"
    if taken := vid_of_others(vsi_type, fabric, vids):
        return taken
    missing = (service.missing_requirement(vsi_type, fabric, dpid, vids) for service in _services_of(vsi_type)[0])
    return next((requirement for requirement in missing if requirement), None)


def missing_names(vsi_type: VsiType, fabric: Fabric) -> list[Diagnostic]:
    """Return what a type names and a configuration has nowhere, each with its line: its VSIs would be refused."""
    found: list[Finding] = [
        (("network", "group", index), f"GroupID {group} has no VID in the configuration")
        for index, group in enumerate(vsi_type.network.groups)
        if group not in fabric.groups
    ]
    for service in _services_of(vsi_type)[0]:
        found += service.missing_names(vsi_type, fabric)
    if not found:
        return []
    document = read_document(vsi_type.file, vsi_type.text)
    return [error(vsi_type.file, document.value_place(path), reason) for path, reason in found]


def extensions_needed(vsi_type: VsiType) -> str | None:
    """Return the reason for which OpenFlow 1.3 alone cannot serve a type; None: it can."""
    # A switch without extensions drops all fragments, so it needs no rules for them.
    needed = [service.name for service in SERVICES if service.serves(vsi_type) and not service.plain]
    names = ", ".join(name for name in needed if name != FRAGMENTS.name)
    return f"{vsi_type.name} needs the extensions of Open vSwitch for {names}" if names else None


def classes_of(vsi_type: VsiType, binding: Binding) -> frozenset[int]:
    """Classes of broadcasts that a VSI of a type receives from a switch without extensions."""
    return permitted_classes(vsi_type, binding.vid)


def entry_of(vsi_type: VsiType) -> Table:
    """First table of a frame for a VSI of a type behind its gate."""
    return _services_of(vsi_type)[1].entry


def backend_of(vsi_type: VsiType) -> tuple[str, ...]:
    """The load balancers that VSIs of a type may be back ends of, by name."""
    balanced: Balanced | None = vsi_type.service(LOAD_BALANCER.name)
    return () if balanced is None else balanced.backend_of


def carried_state(vsi_type: VsiType, learnt: Iterable[Rule], binding: VsiBinding, early: bool = False) -> list[Rule]:
    """Rules learnt for a VSI, rewritten for another switch.

    Args:
        vsi_type: the VSI's type at the destination; state of services that it does not have is left out.
        learnt: rules of the source, for any index of the VSI.
        binding: of the VSI at the destination.
        early: only of services whose state goes ahead of the Associate.
    """
    tables = carried_tables(vsi_type, early)
    return [rewritten(rule, binding) for rule in learnt if rule.table in tables]


def carried_tables(vsi_type: VsiType, early: bool = False) -> frozenset[int]:
    """Return the tables of the rules that :func:`carried_state` takes."""
    return frozenset(state.table for state in _learned(vsi_type, early))


def state_parts(vsi_type: VsiType, early: bool = False) -> tuple[RulePart, ...]:
    """Return the parts of the rules that :func:`carried_state` takes."""
    return tuple(part for state in _learned(vsi_type, early) for part in state.parts)


def _learned(vsi_type: VsiType, early: bool = False) -> list[LearnedState]:
    return [
        service.learned
        for service in _services_of(vsi_type)[0]
        if service.learned is not None and not (early and service.trigger(vsi_type) is Trigger.SINGLE)
    ]
