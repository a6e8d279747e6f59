"""Policy files as pydantic models."""

from __future__ import annotations

from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, PlainValidator, WithJsonSchema, model_validator

from ryu_apps.evb.policy.address_set import is_reference
from ryu_apps.evb.policy.document import Document, Path
from ryu_apps.evb.policy.model import AclRule
from ryu_apps.evb.policy.rule_entry import RuleEntry
from ryu_apps.evb.policy.rule_kinds import tests_of
from ryu_apps.evb.policy.set_section import MAX_LABELS, MAX_SETS, LabelText, SetSection
from ryu_apps.evb.policy.validate import NotifyDisplaced, NullVidText, Strict

#: VLANs that one type may have.
MAX_VLANS = 64


class DirectionSection(Strict):
    """The ACL of one direction."""

    default: Literal["allow", "deny"] = "deny"
    rules: list[RuleEntry] = Field(default_factory=list)


class IdentitySection(Strict):
    """Key of the VSI type, as stations name it in VDP requests, and its name."""

    type_id: Annotated[int, Field(ge=0, le=0xFFFFFF)]
    version: Annotated[int, Field(ge=0, le=0xFF)]
    name: Annotated[str, Field(min_length=1, max_length=64)]


class AntiSpoofingSwitches(Strict):
    """Switches of the anti-spoofing checks."""

    mac: bool = True
    ip: bool = True
    arp: bool = True


def _network(written: object) -> IPv4Network | IPv6Network:
    if is_reference(written):
        raise ValueError(f"the set {written} may stand in rules only")
    if not isinstance(written, str):
        raise ValueError("a network was expected, such as 10.0.0.0/8")
    return ip_network(written)


AnyNetwork = Annotated[IPv4Network | IPv6Network, PlainValidator(_network), WithJsonSchema({"type": "string"})]


def _listed(written: object) -> object:
    return written if isinstance(written, list) else [written]


#: One value or a list of them; the first is for null VIDs.
Vids = Annotated[list[Annotated[int, Field(ge=1, le=4094)]], Field(max_length=MAX_VLANS), BeforeValidator(_listed)]
GroupIds = Annotated[
    list[Annotated[int, Field(ge=1, le=0xFFFFFFFF)]], Field(max_length=MAX_VLANS), BeforeValidator(_listed)
]


class NetworkSection(Strict):
    """The VLANs of a type's VSIs, by VID or by GroupID, and the default priority of their frames."""

    vlan: Vids = Field(default_factory=list)
    group: GroupIds = Field(default_factory=list)
    pcp: Annotated[int, Field(ge=0, le=7)] | None = None

    @model_validator(mode="after")
    def _names_a_vlan_once(self) -> NetworkSection:
        if self.vlan and self.group:
            raise ValueError("a network has a vlan or a group, not both")
        return self


TriggerText = Literal["single", "dual"]
RoleText = Literal["router", "dhcp_server", "querier"]


class PolicyFile(Strict):
    """One file of ``policies/``."""

    version: Literal[1]
    vsi_type: IdentitySection
    stage_on: Literal["preassociate", "preassociate_rr"] | None = None
    null_vid: NullVidText | None = None
    notify_displaced: NotifyDisplaced | None = None
    trigger: TriggerText | None = None
    anti_spoofing: AntiSpoofingSwitches = AntiSpoofingSwitches()
    neighbour_discovery: bool = True
    addresses: list[AnyNetwork] = Field(default_factory=list)
    roles: list[RoleText] = Field(default_factory=list)
    network: NetworkSection = NetworkSection()
    labels: Annotated[list[LabelText], Field(max_length=MAX_LABELS)] = Field(default_factory=list)
    sets: Annotated[dict[LabelText, SetSection], Field(max_length=MAX_SETS)] = Field(default_factory=dict)
    from_vm: DirectionSection = DirectionSection()
    to_vm: DirectionSection = DirectionSection()


def resolve_rules(direction: DirectionSection, path: Path, document: Document) -> tuple[AclRule, ...]:
    """The rules of a direction, each with its position; ``path`` is that of the direction in its file."""
    return tuple(
        AclRule(
            entry.rule.actions.allow,
            tests_of(entry.rule),
            document.key_place((*path, "rules", index, "rule")),
            entry.rule.description,
        )
        for index, entry in enumerate(direction.rules)
    )
