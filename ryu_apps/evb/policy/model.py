"""VSI types (port profiles) as the engine and the services see them: checked, resolved, frozen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from ipaddress import IPv4Network, IPv6Network

from ryu_apps.evb.policy.diagnostic import Place
from ryu_apps.evb.policy.fields import Alternatives
from ryu_apps.evb.vsi.model import VsiTypeKey

Network = IPv4Network | IPv6Network


class StageOn(Enum):
    """Which request makes the bridge stage a VSI's rules."""

    PREASSOCIATE = "preassociate"
    """Any Pre-Associate, for stations that never ask for resource reservation."""
    PREASSOCIATE_RR = "preassociate_rr"
    """Pre-Associate with Resource Reservation, as the standard has it."""


@dataclass(frozen=True, slots=True)
class AclRule:
    """One rule: all tests must hold.

    Attributes:
        allow: what happens to a frame that matches.
        tests: match field -> the alternatives it may be, prerequisites included; no test matches all.
        place: where the rule starts in its file.
    """

    allow: bool
    tests: tuple[tuple[str, Alternatives], ...]
    place: Place = Place()


@dataclass(frozen=True, slots=True)
class Acl:
    """One direction of a policy; the first rule that matches decides.

    Attributes:
        rules: in the order of the file.
        default: does a frame pass that no rule matches?
    """

    rules: tuple[AclRule, ...] = ()
    default: bool = False


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
        neighbour_discovery: ARP and IPv6 neighbour discovery pass unless a rule says otherwise.
        addresses: networks the VM may use; empty: any.
        stage_on: None: as configured for the port.
        digest: changes whenever the meaning of the policy does (comments and layout do not count).
        file: where it was read from.
    """

    key: VsiTypeKey
    name: str
    from_vm: Acl
    to_vm: Acl
    anti_spoofing: AntiSpoofing = AntiSpoofing()
    neighbour_discovery: bool = True
    addresses: tuple[Network, ...] = ()
    stage_on: StageOn | None = None
    digest: str = ""
    file: str = ""


@dataclass(frozen=True, slots=True)
class PolicySet:
    """All VSI types a bridge knows."""

    types: Mapping[VsiTypeKey, VsiType]
