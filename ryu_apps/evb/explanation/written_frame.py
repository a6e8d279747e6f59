"""A frame written as fields: ``eth_src=52:54:00:00:00:01 vlan_vid=100 ipv4_dst=10.0.0.2 tcp_dst=80``.

Names and values are those of policy files.  What follows from other fields is filled in, and what is left open has
the value of a usual frame: no fragment, a TCP SYN, an ARP request, an echo request.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.policy.fields import KINDS, full_mask, parse_field

Fields = dict[str, int]

_ARP, _IPV4, _IPV6 = 0x0806, 0x0800, 0x86DD
_ICMP, _TCP, _UDP, _ICMPV6 = 1, 6, 17, 58
_ECHO_REQUEST, _ECHO_REQUEST_6, _SOLICITATION, _ADVERTISEMENT = 8, 128, 135, 136
_SYN = 0x002
#: Bits of ``tcp_flags``.
_FLAGS = {"fin": 0x001, "syn": 0x002, "rst": 0x004, "psh": 0x008, "ack": 0x010, "urg": 0x020}
_FRAGMENTS = {"no": 0, "first": 1, "later": 3}
#: Most fields of a frame; more are a mistake.
_MOST = 64

#: Prefix of a field -> the Ethernet type and the IP protocol that it needs; None: any.
_NEEDS: dict[str, tuple[int | None, int | None]] = {
    "arp_": (_ARP, None),
    "ipv4_": (_IPV4, None),
    "icmpv4_": (_IPV4, _ICMP),
    "ipv6_nd_": (_IPV6, _ICMPV6),
    "ipv6_": (_IPV6, None),
    "icmpv6_": (_IPV6, _ICMPV6),
    "tcp_": (None, _TCP),
    "udp_": (None, _UDP),
}
_NAMES = {_ARP: "arp", _IPV4: "ipv4", _IPV6: "ipv6", _ICMP: "icmp", _TCP: "tcp", _UDP: "udp", _ICMPV6: "icmpv6"}


def read_fields(written: Iterable[str]) -> Fields:
    """The fields of a frame.

    Raises:
        ValueError: the reason, for the user.
    """
    fields: Fields = {}
    for number, text in enumerate(written):
        name, equals, value = text.partition("=")
        if not equals or number >= _MOST:
            raise ValueError(f"{text!r}: FIELD=VALUE was expected, such as eth_dst=52:54:00:00:00:02")
        if name in fields:
            raise ValueError(f"{name} is given twice")
        fields[name] = _value(name, value)
    for name in ("eth_src", "eth_dst"):
        if name not in fields:
            raise ValueError(f"the frame has no {name}")
    return _completed(fields)


def _value(name: str, text: str) -> int:
    match name:
        case "tcp_flags":
            return _flags(text)
        case "ip_frag":
            if text not in _FRAGMENTS:
                raise ValueError(f"ip_frag: {text!r} is none of: {', '.join(_FRAGMENTS)}")
            return _FRAGMENTS[text]
        case _ if name not in KINDS:
            close = difflib.get_close_matches(name[:64], [*KINDS, "tcp_flags", "ip_frag"], 1)
            raise ValueError(f"unknown field {name[:64]!r}" + (f" (did you mean {close[0]!r}?)" if close else ""))
    try:
        values = parse_field(name, text)
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    if len(values) != 1 or values[0].mask != full_mask(name):
        raise ValueError(f"{name}: {text!r} is more than one value, and a frame has one")
    return values[0].value


def _flags(text: str) -> int:
    value = 0
    for name in text.split("+"):
        if name not in _FLAGS:
            raise ValueError(f"tcp_flags: {text!r} are not flags; there are: {', '.join(_FLAGS)}; as syn+ack")
        value |= _FLAGS[name]
    return value


def _completed(fields: Fields) -> Fields:
    for name in list(fields):
        _require(fields, name)
    if "vlan_vid" in fields or "vlan_pcp" in fields:
        fields |= {"vlan_vid": VLAN_PRESENT | fields.get("vlan_vid", 0), "vlan_pcp": fields.get("vlan_pcp", 0)}
    if "eth_type" not in fields:
        if fields.keys() & {"ip_proto", "ip_dscp", "ip_frag"}:
            raise ValueError("the frame has no eth_type: ipv4 or ipv6")
        raise ValueError("the frame has no eth_type, nor a field from which it follows")
    return _usual(fields) | fields


def _require(fields: Fields, name: str) -> None:
    """Fill in what a field needs."""
    needs = next((needs for prefix, needs in _NEEDS.items() if name.startswith(prefix)), (None, None))
    for wanted, needed in (("eth_type", needs[0]), ("ip_proto", needs[1])):
        if needed is not None and fields.setdefault(wanted, needed) != needed:
            raise ValueError(f"{name} needs {wanted}={_NAMES[needed]}, and the frame has another")


def _usual(fields: Fields) -> Fields:
    """Values of the fields that a frame of this kind has in any case."""
    eth_type, proto = fields["eth_type"], fields.get("ip_proto")
    if eth_type == _ARP:
        return {"arp_op": 1, "arp_sha": fields["eth_src"], **dict.fromkeys(("arp_spa", "arp_tpa", "arp_tha"), 0)}
    if eth_type not in (_IPV4, _IPV6):
        if fields.keys() & {"ip_proto", "ip_dscp", "ip_frag"}:
            raise ValueError("ip_proto, ip_dscp and ip_frag need eth_type=ipv4 or ipv6")
        return {}
    version = 4 if eth_type == _IPV4 else 6
    usual = {f"ipv{version}_src": 0, f"ipv{version}_dst": 0, "ip_proto": 0, "ip_dscp": 0}
    match proto:
        case 6:
            usual |= {"tcp_src": 0, "tcp_dst": 0, "tcp_flags": _SYN}
        case 17:
            usual |= {"udp_src": 0, "udp_dst": 0}
        case 1 if version == 4:
            usual |= {"icmpv4_type": _ECHO_REQUEST, "icmpv4_code": 0}
        case 58 if version == 6:
            usual |= {"icmpv6_type": _ECHO_REQUEST_6, "icmpv6_code": 0, **_discovery(fields)}
    return usual


def _discovery(fields: Fields) -> Fields:
    kind = fields.get("icmpv6_type")
    names = {_SOLICITATION: "ipv6_nd_sll", _ADVERTISEMENT: "ipv6_nd_tll"}
    if kind not in names:
        return {}
    option = (1 if kind == _SOLICITATION else 2) if names[kind] in fields else 0
    return {"ipv6_nd_target": 0, names[kind]: 0, "nd_options_type": option, "nd_reserved": 0}
