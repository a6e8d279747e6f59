"""Policy files as pydantic models, with one class for each kind of rule.

A rule's kind follows from its ``eth_type`` and ``ip_proto``, or from its other fields if those are left
out: ``tcp_dst: 80`` alone means TCP over IPv4 and over IPv6.  The prerequisites of OpenFlow are filled in;
fields that contradict the kind are mistakes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any, ClassVar, Literal

from pydantic import (
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    ValidationInfo,
    WithJsonSchema,
    model_validator,
)

from ryu_apps.evb.policy.address_set import is_reference, parse_value
from ryu_apps.evb.policy.document import Document, Path
from ryu_apps.evb.policy.fields import KINDS, Alternatives, Masked, full_mask, parse_field
from ryu_apps.evb.policy.model import AclRule
from ryu_apps.evb.policy.set_section import MAX_LABELS, MAX_SETS, LabelText, SetSection
from ryu_apps.evb.policy.validate import NotifyDisplaced, NullVidText, Strict

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
#: Ethernet types whose headers the bridge can match.  Others pass only if a type names them: behind a second VLAN tag
#: or another such header a frame would bypass anti-spoofing and firewall (CVE-2021-27853).
PLAIN_ETH_TYPES = (ARP, IPV4, IPV6)
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT = 135, 136

#: VLANs that one type may have.
MAX_VLANS = 64

#: Prefix of fields -> their prerequisites, for the reason of a diagnostic.
NEEDS = {
    "ip_": "eth_type: ipv4 or ipv6",
    "ipv4_": "eth_type: ipv4",
    "ipv6_nd_": "eth_type: ipv6, ip_proto: icmpv6",
    "ipv6_": "eth_type: ipv6",
    "arp_": "eth_type: arp",
    "tcp_": "eth_type: ipv4 or ipv6, ip_proto: tcp",
    "udp_": "eth_type: ipv4 or ipv6, ip_proto: udp",
    "icmpv4_": "eth_type: ipv4, ip_proto: icmp",
    "icmpv6_": "eth_type: ipv6, ip_proto: icmpv6",
}

#: OpenFlow 1.0 names that Ryu and FAUCET still accept.
OLD_NAMES = {
    "dl_src": "eth_src",
    "dl_dst": "eth_dst",
    "dl_type": "eth_type",
    "dl_vlan": "vlan_vid",
    "nw_src": "ipv4_src",
    "nw_dst": "ipv4_dst",
    "nw_proto": "ip_proto",
    "tp_src": "tcp_src or udp_src",
    "tp_dst": "tcp_dst or udp_dst",
}


def _parse(written: object, info: ValidationInfo) -> Alternatives:
    assert info.field_name is not None
    return parse_value(info.field_name, written)


#: A match field of a rule, parsed by its own name; None: not in the rule.
Value = Annotated[Alternatives | None, PlainValidator(_parse), WithJsonSchema({"type": ["string", "integer", "array"]})]


class Actions(Strict):
    """``{allow: 1}`` or ``{allow: 0}``, as in FAUCET."""

    allow: Annotated[bool, BeforeValidator(lambda value: bool(value) if value in (0, 1) else value)]


class EthernetRule(Strict):
    """Any frame."""

    ETH_TYPES: ClassVar[tuple[int, ...]] = ()
    IP_PROTO: ClassVar[int | None] = None

    description: str = ""
    eth_dst: Value = None
    eth_src: Value = None
    eth_type: Value = None
    vlan_vid: Value = None
    vlan_pcp: Value = None
    actions: Actions


class ArpRule(EthernetRule):
    """ARP for IPv4."""

    ETH_TYPES: ClassVar[tuple[int, ...]] = (ARP,)

    arp_op: Value = None
    arp_spa: Value = None
    arp_tpa: Value = None
    arp_sha: Value = None
    arp_tha: Value = None


class IpRule(EthernetRule):
    """IP of both versions."""

    ETH_TYPES: ClassVar[tuple[int, ...]] = (IPV4, IPV6)

    ip_dscp: Value = None
    ip_proto: Value = None


class TcpRule(IpRule):
    """TCP over IP of both versions."""

    IP_PROTO = TCP

    tcp_src: Value = None
    tcp_dst: Value = None


class UdpRule(IpRule):
    """UDP over IP of both versions."""

    IP_PROTO = UDP

    udp_src: Value = None
    udp_dst: Value = None


class Ipv4Rule(IpRule):
    """IPv4."""

    ETH_TYPES: ClassVar[tuple[int, ...]] = (IPV4,)

    ipv4_src: Value = None
    ipv4_dst: Value = None


class Ipv4TcpRule(Ipv4Rule, TcpRule):
    """TCP over IPv4."""

    IP_PROTO = TCP


class Ipv4UdpRule(Ipv4Rule, UdpRule):
    """UDP over IPv4."""

    IP_PROTO = UDP


class IcmpRule(Ipv4Rule):
    """ICMP."""

    IP_PROTO = ICMP

    icmpv4_type: Value = None
    icmpv4_code: Value = None


class Ipv6Rule(IpRule):
    """IPv6."""

    ETH_TYPES: ClassVar[tuple[int, ...]] = (IPV6,)

    ipv6_src: Value = None
    ipv6_dst: Value = None


class Ipv6TcpRule(Ipv6Rule, TcpRule):
    """TCP over IPv6."""

    IP_PROTO = TCP


class Ipv6UdpRule(Ipv6Rule, UdpRule):
    """UDP over IPv6."""

    IP_PROTO = UDP


class Icmpv6Rule(Ipv6Rule):
    """ICMPv6, neighbour discovery included."""

    IP_PROTO = ICMPV6

    icmpv6_type: Value = None
    icmpv6_code: Value = None
    ipv6_nd_target: Value = None
    ipv6_nd_sll: Value = None
    ipv6_nd_tll: Value = None

    @model_validator(mode="after")
    def _nd_fields_belong_to_a_message(self) -> Icmpv6Rule:
        needed = {
            "ipv6_nd_target": (NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT),
            "ipv6_nd_sll": (NEIGHBOUR_SOLICITATION,),
            "ipv6_nd_tll": (NEIGHBOUR_ADVERTISEMENT,),
        }
        types = {masked.value for masked in self.icmpv6_type or ()}
        for name, messages in needed.items():
            if getattr(self, name) is not None and not (types and types <= set(messages)):
                wanted = " or ".join(str(number) for number in messages)
                raise ValueError(f"{name} needs icmpv6_type: {wanted}")
        return self


#: Kinds of rule by ``(Ethernet type or None for both IPs, IP protocol)``.
_KINDS: dict[tuple[str, int | None], tuple[str, type[EthernetRule]]] = {
    ("any", None): ("ethernet rule", EthernetRule),
    ("arp", None): ("arp rule", ArpRule),
    ("ip", None): ("ip rule", IpRule),
    ("ip", TCP): ("tcp rule", TcpRule),
    ("ip", UDP): ("udp rule", UdpRule),
    ("ipv4", None): ("ipv4 rule", Ipv4Rule),
    ("ipv4", TCP): ("ipv4 tcp rule", Ipv4TcpRule),
    ("ipv4", UDP): ("ipv4 udp rule", Ipv4UdpRule),
    ("ipv4", ICMP): ("icmp rule", IcmpRule),
    ("ipv6", None): ("ipv6 rule", Ipv6Rule),
    ("ipv6", TCP): ("ipv6 tcp rule", Ipv6TcpRule),
    ("ipv6", UDP): ("ipv6 udp rule", Ipv6UdpRule),
    ("ipv6", ICMPV6): ("icmpv6 rule", Icmpv6Rule),
}
_FAMILIES = {(ARP,): "arp", (IPV4,): "ipv4", (IPV6,): "ipv6", (IPV4, IPV6): "ip"}
_FAMILY_OF_PREFIX = {"ipv4_": "ipv4", "icmpv4_": "ipv4", "arp_": "arp", "ipv6_": "ipv6", "icmpv6_": "ipv6"}
_PROTO_OF_PREFIX = {"tcp_": TCP, "udp_": UDP, "icmpv4_": ICMP, "icmpv6_": ICMPV6, "ipv6_nd_": ICMPV6}
_FAMILY_OF_PROTO = {ICMP: "ipv4", ICMPV6: "ipv6"}


def _kind_of(raw: Any) -> str:
    """Tag of the rule class that validates a raw mapping."""
    if not isinstance(raw, dict):
        return _tag(())
    eth_types = _numbers("eth_type", raw["eth_type"]) if "eth_type" in raw else ()
    protos = _numbers("ip_proto", raw["ip_proto"]) if "ip_proto" in raw else ()
    return _tag(tuple(name for name in raw if isinstance(name, str)), eth_types, protos)


@lru_cache(maxsize=1024)
def _tag(names: tuple[str, ...], eth_types: tuple[int, ...] = (), protos: tuple[int, ...] = ()) -> str:
    proto = _proto_of(names, protos)
    family = _family_of(names, eth_types, proto)
    tag, _ = _KINDS.get((family, proto)) or _KINDS[(family, None)]
    return tag


def _proto_of(names: tuple[str, ...], protos: tuple[int, ...]) -> int | None:
    if "ip_proto" in names:
        return protos[0] if len(protos) == 1 else None
    return next((number for prefix, number in _PROTO_OF_PREFIX.items() if _any_with(prefix, names)), None)


def _family_of(names: tuple[str, ...], eth_types: tuple[int, ...], proto: int | None) -> str:
    if eth_types:
        return _FAMILIES.get(eth_types, "any")
    for prefix, family in _FAMILY_OF_PREFIX.items():
        if _any_with(prefix, names):
            return family
    needs_ip = proto is not None or "ip_proto" in names or "ip_dscp" in names
    return _FAMILY_OF_PROTO.get(proto or 0, "ip") if needs_ip else "any"


def _any_with(prefix: str, names: tuple[str, ...]) -> bool:
    return any(name.startswith(prefix) and name in KINDS for name in names)


def _numbers(name: str, written: object) -> tuple[int, ...]:
    try:
        return tuple(sorted(masked.value for masked in parse_field(name, written)))
    except ValueError:
        return ()


AnyRule = Annotated[
    Annotated[EthernetRule, Tag("ethernet rule")]
    | Annotated[ArpRule, Tag("arp rule")]
    | Annotated[IpRule, Tag("ip rule")]
    | Annotated[TcpRule, Tag("tcp rule")]
    | Annotated[UdpRule, Tag("udp rule")]
    | Annotated[Ipv4Rule, Tag("ipv4 rule")]
    | Annotated[Ipv4TcpRule, Tag("ipv4 tcp rule")]
    | Annotated[Ipv4UdpRule, Tag("ipv4 udp rule")]
    | Annotated[IcmpRule, Tag("icmp rule")]
    | Annotated[Ipv6Rule, Tag("ipv6 rule")]
    | Annotated[Ipv6TcpRule, Tag("ipv6 tcp rule")]
    | Annotated[Ipv6UdpRule, Tag("ipv6 udp rule")]
    | Annotated[Icmpv6Rule, Tag("icmpv6 rule")],
    Discriminator(_kind_of),
]


class RuleEntry(Strict):
    """``- rule: {...}``, as in FAUCET."""

    rule: AnyRule


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


@lru_cache
def _match_fields(kind: type[EthernetRule]) -> tuple[str, ...]:
    return tuple(name for name in KINDS if name in kind.model_fields)


@lru_cache
def _implied(kind: type[EthernetRule], allow: bool) -> Mapping[str, Alternatives]:
    """Return the prerequisites of a kind of rule: they hold where the rule does not name the field."""
    found = {}
    if eth_types := kind.ETH_TYPES or (PLAIN_ETH_TYPES if allow else ()):
        found["eth_type"] = tuple(Masked(eth_type, full_mask("eth_type")) for eth_type in eth_types)
    if kind.IP_PROTO is not None:
        found["ip_proto"] = (Masked(kind.IP_PROTO, full_mask("ip_proto")),)
    return found


def tests_of(rule: EthernetRule) -> tuple[tuple[str, Alternatives], ...]:
    """The match of a rule with its prerequisites filled in, fields in OpenFlow order.

    An allow rule without Ethernet type is restricted to types whose headers the bridge can match.
    """
    kind, given = type(rule), vars(rule)
    implied = _implied(kind, rule.actions.allow)
    return tuple(
        (name, value) for name in _match_fields(kind) if (value := given[name] or implied.get(name)) is not None
    )


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


def explain_key(key: str, kind: str) -> str | None:
    """Reason for which a key is invalid in a rule of this kind; None if the key is not a match field."""
    if key in OLD_NAMES:
        return f"{key} is the OpenFlow 1.0 name of {OLD_NAMES[key]}"
    if key in ("in_port", "metadata"):
        return f"{key} is set by the bridge, a policy cannot match on it"
    if key not in KINDS or not kind:
        return None
    needs = next((needs for prefix, needs in NEEDS.items() if key.startswith(prefix)), None)
    return f"{key} needs {needs} (this is: {kind})" if needs else None
