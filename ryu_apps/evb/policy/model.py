"""VSI types (port profiles) as values: checked, resolved, frozen."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from ipaddress import IPv4Network, IPv6Network
from itertools import product
from typing import Any

from ryu_apps.evb.flow.guarded import NetworkRole
from ryu_apps.evb.flow.match import ANY_TAGGED, VLAN_PRESENT, MatchFields
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.address_set import AddressSet, referenced
from ryu_apps.evb.policy.diagnostic import Position
from ryu_apps.evb.policy.fields import Alternatives, Masked, full_mask

Network = IPv4Network | IPv6Network

#: One alternative of each field of a rule: field -> value and mask, in OpenFlow order.
MatchBox = tuple[tuple[str, Masked], ...]


class StageOn(Enum):
    """Request at which the bridge stages a VSI's rules."""

    PREASSOCIATE = "preassociate"
    """Any Pre-Associate, for stations that do not use resource reservation."""
    PREASSOCIATE_RR = "preassociate_rr"
    """Pre-Associate with Resource Reservation, as in the standard."""


class Trigger(Enum):
    """Event at which the bridge extracts a VSI's state from the switch that it leaves."""

    SINGLE = "single"
    """The destination's Associate alone."""
    DUAL = "dual"
    """Also the source's S bit (VM suspended) or its De-Associate; Associate extracts the state that remains."""


@dataclass(frozen=True, slots=True)
class AclRule:
    """One rule; it matches if all tests hold.

    Attributes:
        allow: action for a matching frame: True forwards, False drops.
        tests: match field -> its alternatives, prerequisites included; no test matches all.
        place: position of the rule in its file.
        description: the operator's comment.
    """

    allow: bool
    tests: tuple[tuple[str, Alternatives], ...]
    place: Position = Position()
    description: str = ""

    @property
    def size(self) -> int:
        """Number of flow rules compiled from it."""
        return math.prod(len(alternatives) for _, alternatives in self.tests)

    @property
    def references(self) -> Iterator[tuple[str, str]]:
        """The sets that it names: field and name of the set."""
        for field_name, alternatives in self.tests:
            for name in map(referenced, alternatives):
                if name is not None:
                    yield field_name, name

    def boxes(self) -> Iterator[MatchBox]:
        """Its matches: the product of its fields' alternatives."""
        names = [name for name, _ in self.tests]
        for values in product(*(alternatives for _, alternatives in self.tests)):
            yield tuple(zip(names, values, strict=True))


@dataclass(frozen=True, slots=True)
class Acl:
    """One direction of a policy; the first matching rule applies.

    Attributes:
        rules: in the order of the file.
        implied: rules behind them: neighbour discovery, unless it is switched off.
        default: action for frames that no rule matches: True forwards, False drops.
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
        """JSON-serialisable content; equal for lists with equal rules in the same order, in any file."""
        return [(rule.allow, rule.tests) for rule in (*self.rules, *self.implied)], self.default


@dataclass(frozen=True, slots=True)
class AntiSpoofing:
    """Checks of the addresses that a VM uses; see ``services.anti_spoofing``.

    Attributes:
        mac: ARP carries the VM's own hardware address (its Ethernet source is always checked).
        ip: IPv4 and IPv6 sources are the VM's own addresses.
        arp: ARP and neighbour advertisements are about the VM's own addresses.
    """

    mac: bool = True
    ip: bool = True
    arp: bool = True


@dataclass(frozen=True, slots=True)
class VsiNetwork:
    """The network of the VSIs of a type.

    Attributes:
        vids: relay VIDs that they may have, the first for null VIDs; empty: any.
        groups: the same by GroupID; a type has one of the two.
        pcp: default priority of their frames (0 to 7), None if the type has none.
    """

    vids: tuple[int, ...] = ()
    groups: tuple[int, ...] = ()
    pcp: int | None = None


@dataclass(frozen=True, slots=True, weakref_slot=True)
class VsiType:
    """One VSI type and version.

    Attributes:
        key: VSI Type ID and version.
        name: operator's name.
        from_vm, to_vm: the ACL of each direction.
        anti_spoofing: which checks are on.
        addresses: networks of the VM's addresses; empty: any.
        roles: network roles permitted to the VM.
        network: VLANs and default priority of the VM.
        labels: names by which sets select its VSIs.
        sets: (name, value) of each set of addresses that its rules may name.
        stage_on: None: as configured for the port.
        keep_null_vids, notify_displaced: as in ``StationTreatment``; None: as configured for the port.
        trigger: default of services without a trigger of their own.
        services: (name, value) of each further service of the type.
        digest: hash of the content; comments and layout do not change it.
        file: file or URL from which it was read.
        text: text of the file.
    """

    key: VsiTypeKey
    name: str
    from_vm: Acl
    to_vm: Acl
    anti_spoofing: AntiSpoofing = AntiSpoofing()
    addresses: tuple[Network, ...] = ()
    roles: tuple[NetworkRole, ...] = ()
    network: VsiNetwork = VsiNetwork()
    labels: tuple[str, ...] = ()
    sets: tuple[tuple[str, AddressSet], ...] = ()
    stage_on: StageOn | None = None
    keep_null_vids: bool | None = None
    notify_displaced: float | None = None
    trigger: Trigger = Trigger.DUAL
    services: tuple[tuple[str, Any], ...] = ()
    digest: str = ""
    file: str = ""
    text: str = field(default="", repr=False, compare=False)

    def service(self, name: str) -> Any:
        """The value of a service, None if the type does not have it."""
        return dict(self.services).get(name)


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All VSI types in force."""

    types: Mapping[VsiTypeKey, VsiType]


def openflow_fields(box: MatchBox) -> MatchFields:
    """The fields of a box as arguments of :func:`ryu_apps.evb.flow.match.match`."""
    fields: MatchFields = {}
    for name, (value, mask) in box:
        present = VLAN_PRESENT if name == "vlan_vid" else 0
        exact = mask == full_mask(name)
        fields[name] = value | present if exact else (value | present, mask | present)
    if "vlan_pcp" in fields:
        fields.setdefault("vlan_vid", ANY_TAGGED)
    return fields
