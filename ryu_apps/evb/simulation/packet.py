"""Fields of a packet in Open vSwitch: how they are read, matched and rewritten."""

from __future__ import annotations

from collections.abc import Mapping

from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    ClearInPort,
    Output,
    OutputGroup,
    PopVlan,
    PushVlan,
    RegLoad,
    Resubmit,
    SetField,
)
from ryu_apps.evb.flow.match import (
    LATER_FRAGMENT,
    REGISTERS,
    VLAN_PRESENT,
    FieldMatch,
    Match,
)
from ryu_apps.evb.simulation.learning import overwrite

_ALWAYS_THERE = frozenset({"in_port", "metadata", "eth_dst", "eth_src", "eth_type", *REGISTERS})

_IPV4, _IPV6, _FRAGMENT_HEADER = 0x0800, 0x86DD, 44
#: Neighbour solicitation and advertisement.
_ICMPV6, _DISCOVERY = 58, (135, 136)
#: Match fields of the header behind IP, by protocol.
_BEHIND_IP = {
    1: ("icmpv4_type", "icmpv4_code"),
    6: ("tcp_src", "tcp_dst", "tcp_flags"),
    17: ("udp_src", "udp_dst"),
    58: ("icmpv6_type", "icmpv6_code"),
}

#: Keys of a frame with two tags: the inner one.
INNER_VID, INNER_PCP = "inner vlan_vid", "inner vlan_pcp"


PacketFields = dict[str, int]


class SimulationError(ValueError):
    """The switch refuses the rules, or OpenFlow leaves their result undefined."""


def as_read(frame: Mapping[str, int]) -> PacketFields:
    """The fields of a frame as Open vSwitch reads them with ``frags=nx-match`` (OFPC_FRAG_NX_MATCH).

    First fragments have their ports then.  Fields that cannot be read of a fragment are 0; the protocol of a later
    IPv6 fragment is that of the fragment header.
    """
    fields = dict(frame)
    if fields.get("eth_type") not in (_IPV4, _IPV6):
        return fields
    if fields.get("ip_proto") == _ICMPV6 and fields.get("icmpv6_type") in _DISCOVERY:
        fields.setdefault("nd_reserved", 0)
    ip_frag = fields.get("ip_frag", 0)
    behind = _BEHIND_IP.get(fields.get("ip_proto", 0), ()) if ip_frag else ()
    if ip_frag & LATER_FRAGMENT[0]:
        fields |= dict.fromkeys(behind, 0)
        if fields["eth_type"] == _IPV6:
            fields["ip_proto"] = _FRAGMENT_HEADER
    for name in behind:
        fields.setdefault(name, 0)
    return fields


def matches(wanted: Match, fields: Mapping[str, int]) -> bool:
    """True if a frame with these fields satisfies every field of a match."""
    return all(_field_matches(field_match, _value(field_match.name, fields)) for field_match in wanted)


def _value(name: str, fields: Mapping[str, int]) -> int | None:
    whole = 0 if name == "ip_frag" and fields.get("eth_type") in (_IPV4, _IPV6) else None
    return fields.get(name, whole)


def _field_matches(wanted: FieldMatch, value: int | None) -> bool:
    if value is None:
        return False
    return value == wanted.value if wanted.mask is None else value & wanted.mask == wanted.value


def action_set(actions: tuple[Action, ...]) -> tuple[Action, ...]:
    """A bucket's actions in the order of an action set (OpenFlow 1.3 5.10): pop, push, set, then one output at most.

    Of several outputs a group has precedence over a port, a port over a resubmit; of two of the same type the last
    one counts.
    """
    pop = [action for action in actions if isinstance(action, PopVlan)][-1:]
    push = [action for action in actions if isinstance(action, PushVlan)][-1:]
    fields = [action for action in actions if isinstance(action, SetField | RegLoad | ClearInPort)]
    for output_type in (OutputGroup, Output, Resubmit):
        last = [action for action in actions if isinstance(action, output_type)][-1:]
        if last:
            return (*pop, *push, *fields, *last)
    return (*pop, *push, *fields)


def rewrite(fields: PacketFields, action: Action) -> None:
    """Carry out an action that changes header or pipeline fields."""
    tagged = bool(fields["vlan_vid"] & VLAN_PRESENT)
    match action:
        case SetField("vlan_vid" | "vlan_pcp") if not tagged:
            raise SimulationError("a tag rewritten on an untagged frame")
        case SetField(name, value) if name in _ALWAYS_THERE or name in fields:
            fields[name] = value
        case RegLoad(Bits("vlan_vid" | "vlan_pcp")) if not tagged:
            pass
        case RegLoad(target, value) if target.name in _ALWAYS_THERE or target.name in fields:
            fields[target.name] = overwrite(fields.get(target.name, 0), target, value)
        case PushVlan() if tagged and INNER_VID in fields:
            raise SimulationError("a third tag pushed")
        case PushVlan() if tagged:
            fields |= {INNER_VID: fields["vlan_vid"], INNER_PCP: fields.get("vlan_pcp", 0)}
        case PushVlan():
            fields |= {"vlan_vid": VLAN_PRESENT, "vlan_pcp": 0}
        case PopVlan():
            fields["vlan_vid"] = fields.pop(INNER_VID, 0)
            fields.pop("vlan_pcp", None)
            if fields["vlan_vid"]:
                fields["vlan_pcp"] = fields.pop(INNER_PCP)
        case ClearInPort():
            fields["in_port"] = 0
