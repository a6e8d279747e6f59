"""VSI types (port profiles) as the engine and the services see them: checked, resolved, frozen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from itertools import product
from typing import Any

from ryu_apps.evb.flow.guarded import NetworkRole
from ryu_apps.evb.flow.rule import ANY_TAGGED, VLAN_PRESENT, MatchFields
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.diagnostic import Position
from ryu_apps.evb.policy.fields import Alternatives, Masked, full_mask

Network = IPv4Network | IPv6Network

#: One alternative of each field of a rule: field -> value and mask, in OpenFlow order.
MatchBox = tuple[tuple[str, Masked], ...]


class StageOn(Enum):
    """Which request makes the bridge stage a VSI's rules."""

    PREASSOCIATE = "preassociate"
    """Any Pre-Associate, for stations that never ask for resource reservation."""
    PREASSOCIATE_RR = "preassociate_rr"
    """Pre-Associate with Resource Reservation, as the standard has it."""


class Trigger(Enum):
    """What makes the bridge extract a VSI's state from the switch that it leaves."""

    SINGLE = "single"
    """The destination's Associate alone."""
    DUAL = "dual"
    """Already the source's word that the VM is suspended, or its De-Associate; Associate does the rest."""


@dataclass(frozen=True, slots=True)
class AclRule:
    """One rule: all tests must hold.

    Attributes:
        allow: what happens to a frame that matches.
        tests: match field -> the alternatives it may be, prerequisites included; no test matches all.
        place: where the rule starts in its file.
        description: for people.
    """

    allow: bool
    tests: tuple[tuple[str, Alternatives], ...]
    place: Position = Position()
    description: str = ""

    @property
    def size(self) -> int:
        """How many flow rules it comes to."""
        return math.prod(len(alternatives) for _, alternatives in self.tests)

    def boxes(self) -> Iterator[MatchBox]:
        """The plain matches it comes to: the product of its fields' alternatives."""
        names = [name for name, _ in self.tests]
        for values in product(*(alternatives for _, alternatives in self.tests)):
            yield tuple(zip(names, values, strict=True))


@dataclass(frozen=True, slots=True)
class Acl:
    """One direction of a policy; the first rule that matches decides.

    Attributes:
        rules: in the order of the file.
        implied: what follows them: neighbour discovery, unless it is switched off.
        default: does a frame pass that no rule matches?
    """

    rules: tuple[AclRule, ...] = ()
    implied: tuple[AclRule, ...] = ()
    default: bool = False

    @property
    def numbered(self) -> Iterator[tuple[int, AclRule]]:
        """All rules with their numbers, from 1; the implied ones share the next."""
        yield from enumerate(self.rules, start=1)
        for rule in self.implied:
            yield self.implied_number, rule

    @property
    def implied_number(self) -> int:
        """The number of the implied rules."""
        return len(self.rules) + 1

    @property
    def default_number(self) -> int:
        """The number of the default."""
        return len(self.rules) + 2

    @property
    def meaning(self) -> object:
        """JSON-serialisable; equal for lists that decide alike rule by rule, wherever they stand."""
        return [(rule.allow, rule.tests) for rule in (*self.rules, *self.implied)], self.default


@dataclass(frozen=True, slots=True)
class AntiSpoofing:
    """What a VM may claim to be; see ``services.anti_spoofing``.

    Attributes:
        mac: ARP carries the VM's own hardware address (its Ethernet source is always checked).
        ip: IPv4 and IPv6 come from the VM's own addresses.
        arp: ARP and neighbour advertisements speak for the VM's own addresses.
    """

    mac: bool = True
    ip: bool = True
    arp: bool = True


@dataclass(frozen=True, slots=True)
class VsiType:
    """One VSI type and version.

    Attributes:
        key: VSI Type ID and version.
        name: operator's name.
        from_vm, to_vm: the ACL of each direction.
        anti_spoofing: which checks are on.
        addresses: networks the VM may use; empty: any.
        roles: what the VM may be in its network.
        stage_on: None: as configured for the port.
        trigger: of services that do not say otherwise.
        services: what the type says of services beyond these, by name.
        digest: changes whenever the meaning of the policy does (comments and layout do not count).
        file: where it was read from.
        text: what was read there.
    """

    key: VsiTypeKey
    name: str
    from_vm: Acl
    to_vm: Acl
    anti_spoofing: AntiSpoofing = AntiSpoofing()
    addresses: tuple[Network, ...] = ()
    roles: tuple[NetworkRole, ...] = ()
    stage_on: StageOn | None = None
    trigger: Trigger = Trigger.DUAL
    services: tuple[tuple[str, Any], ...] = ()
    digest: str = ""
    file: str = ""
    text: str = field(default="", repr=False, compare=False)

    def service(self, name: str) -> Any:
        """What the type says of a service; None: it does not have it."""
        return dict(self.services).get(name)


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All VSI types a bridge knows."""

    types: Mapping[VsiTypeKey, VsiType]


def openflow_fields(box: MatchBox) -> MatchFields:
    """The fields of a box as :func:`ryu_apps.evb.flow.rule.match` wants them."""
    fields: MatchFields = {}
    for name, (value, mask) in box:
        present = VLAN_PRESENT if name == "vlan_vid" else 0
        exact = mask == full_mask(name)
        fields[name] = value | present if exact else (value | present, mask | present)
    if "vlan_pcp" in fields:
        fields.setdefault("vlan_vid", ANY_TAGGED)
    return fields
