"""Kinds of ACL rules as pydantic models, and the match of a rule of each kind.

The prerequisites of OpenFlow are filled in.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, ClassVar

from pydantic import BeforeValidator, PlainValidator, ValidationInfo, WithJsonSchema, model_validator

from ryu_apps.evb.policy.address_set import parse_value
from ryu_apps.evb.policy.fields import KINDS, Alternatives, Masked, full_mask
from ryu_apps.evb.policy.validate import Strict

ARP, IPV4, IPV6 = 0x0806, 0x0800, 0x86DD
#: Ethernet types whose headers the bridge can match.  Others pass only if a type names them: behind a second VLAN tag
#: or another such header a frame would bypass anti-spoofing and firewall (CVE-2021-27853).
PLAIN_ETH_TYPES = (ARP, IPV4, IPV6)
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58
NEIGHBOUR_SOLICITATION, NEIGHBOUR_ADVERTISEMENT = 135, 136


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
