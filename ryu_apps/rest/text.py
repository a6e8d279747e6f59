"""Texts and JSON values of switches, ports, addresses, match fields and instructions.

Fields have their OpenFlow names, instructions are written as ``ryu.app.ofctl_rest`` writes them.
"""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address

from typing_extensions import TypedDict

from ryu_apps.evb.flow.actions import (
    Action,
    ClearInPort,
    Clone,
    FinTimeout,
    Learn,
    Output,
    OutputGroup,
    PopVlan,
    PushVlan,
    RegLoad,
    Resubmit,
    SetField,
    StackPop,
    StackPush,
)
from ryu_apps.evb.flow.match import (
    REGISTERS,
    VLAN_PRESENT,
    FieldMatch,
    Match,
)
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.notation import bits_text, learn_text, load_text
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.mac import mac_to_text


class PortJson(TypedDict):
    """A port, its switch, and the name of the device behind it."""

    port: str
    dpid: str
    port_no: int
    name: str | None


_ADDRESSES: dict[str, Callable[[int], str]] = {
    **dict.fromkeys(("eth_dst", "eth_src", "arp_sha", "arp_tha", "ipv6_nd_sll", "ipv6_nd_tll"), mac_to_text),
    **dict.fromkeys(("ipv4_src", "ipv4_dst", "arp_spa", "arp_tpa"), lambda value: str(IPv4Address(value))),
    **dict.fromkeys(("ipv6_src", "ipv6_dst", "ipv6_nd_target"), lambda value: str(IPv6Address(value))),
}
#: Fields that are bit fields or are always documented in hexadecimal.
_HEXADECIMAL = ("metadata", "eth_type", "tcp_flags", *REGISTERS)


def dpid_text(dpid: int) -> str:
    """16 hexadecimal digits, as in Ryu."""
    return f"{dpid:016x}"


def port_json(fabric: Fabric, port: PortId) -> PortJson:
    """A port, its switch, and the name of the device behind it."""
    interface = fabric.interface(port)
    return {
        "port": str(port),
        "dpid": dpid_text(port.dpid),
        "port_no": port.port_no,
        "name": interface.name if interface else None,
    }


def match_json(match: Match) -> dict[str, int | str]:
    """A match: exact values as numbers or addresses, masked ones as ``value/mask``."""
    return {field.name: field_json(field) for field in match}


def field_json(field: FieldMatch) -> int | str:
    """The value of one match field; a VID is the number in the tag, 0x0 is an untagged frame."""
    name, value, mask = field
    if name == "vlan_vid" and mask is None and value & VLAN_PRESENT:
        return value & ~VLAN_PRESENT
    show = _ADDRESSES.get(name, hex)
    if mask is not None:
        return f"{show(value)}/{show(mask)}"
    plain = name not in _ADDRESSES and name not in _HEXADECIMAL and name != "vlan_vid"
    return value if plain else show(value)


def instructions_json(rule: Rule) -> list[str]:
    """Instructions of a rule in the order in which a switch carries them out; none: the frame is dropped."""
    instructions = [] if rule.meter is None else [f"METER:{rule.meter}"]
    instructions += [_action(action) for action in rule.apply]
    if rule.metadata is not None:
        value, mask = rule.metadata
        instructions.append(f"WRITE_METADATA:{value:#x}/{mask:#x}")
    if rule.goto is not None:
        instructions.append(f"GOTO_TABLE:{rule.goto:d}")
    return instructions


def _action(action: Action) -> str:
    match action:
        case Output(port):
            return f"OUTPUT:{port}"
        case OutputGroup(group_id):
            return f"GROUP:{group_id}"
        case SetField(name, value):
            return f"SET_FIELD:{{{name}:{field_json(FieldMatch(name, value))}}}"
        case PushVlan():
            return "PUSH_VLAN:33024"
        case PopVlan():
            return "POP_VLAN"
        case Resubmit(table):
            return f"RESUBMIT_TABLE:{table:d}"
        case Clone(table):
            return f"CLONE:{{RESUBMIT_TABLE:{table:d}}}"
        case ClearInPort():
            return "SET_FIELD:{in_port:0}"
        case RegLoad(target, value):
            return f"REG_LOAD:{{{load_text(target, value)}}}"
        case StackPush(source):
            return f"STACK_PUSH:{{{bits_text(source)}}}"
        case StackPop(target):
            return f"STACK_POP:{{{bits_text(target)}}}"
        case FinTimeout(idle):
            return f"FIN_TIMEOUT:{{idle_timeout:{idle}}}"
        case Learn():
            return f"LEARN:{{{learn_text(action)}}}"
