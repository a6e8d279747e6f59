"""An entry of an ACL: the kind of its rule, and the reason for which a key is invalid there.

A rule's kind follows from its ``eth_type`` and ``ip_proto``, or from its other fields if those are left
out: ``tcp_dst: 80`` alone means TCP over IPv4 and over IPv6.  Fields that contradict the kind are mistakes.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

from pydantic import Discriminator, Tag

from ryu_apps.evb.policy.fields import KINDS, parse_field
from ryu_apps.evb.policy.rule_kinds import (
    ARP,
    ICMP,
    ICMPV6,
    IPV4,
    IPV6,
    TCP,
    UDP,
    ArpRule,
    EthernetRule,
    IcmpRule,
    Icmpv6Rule,
    IpRule,
    Ipv4Rule,
    Ipv4TcpRule,
    Ipv4UdpRule,
    Ipv6Rule,
    Ipv6TcpRule,
    Ipv6UdpRule,
    TcpRule,
    UdpRule,
)
from ryu_apps.evb.policy.validate import Strict

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
