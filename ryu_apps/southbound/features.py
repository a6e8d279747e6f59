"""Decoding of what a switch says of its tables, groups and meters (OpenFlow 1.3.5, 7.3.5.5, 7.3.5.10, 7.3.5.13)."""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.features import TableFeatures
from ryu_apps.evb.flow.rule import GroupType
from ryu_apps.southbound.oxm import field_name

_PART_HEADER = 16
#: Length, number, the most rules.
_TABLE = struct.Struct("!HB5x52xI")
_HEAD = struct.Struct("!HH")
_METER_FEATURES = struct.Struct("!I")
#: Types, by bit; the most groups of each of the four types.
_GROUP_FEATURES = struct.Struct("!I4x4I")
_INSTRUCTIONS = {
    ofp.OFPIT_GOTO_TABLE: "goto_table",
    ofp.OFPIT_WRITE_METADATA: "write_metadata",
    ofp.OFPIT_APPLY_ACTIONS: "apply_actions",
    ofp.OFPIT_METER: "meter",
}
_ACTIONS = {
    ofp.OFPAT_OUTPUT: "output",
    ofp.OFPAT_GROUP: "group",
    ofp.OFPAT_SET_FIELD: "set_field",
    ofp.OFPAT_PUSH_VLAN: "push_vlan",
    ofp.OFPAT_POP_VLAN: "pop_vlan",
}


def tables(octets: bytes, wanted: Container[int]) -> Iterator[tuple[int, TableFeatures]]:
    """Number and features of the wanted tables in one part of a table features reply."""
    at = _PART_HEADER
    while at < len(octets):
        length, number, _most = _TABLE.unpack_from(octets, at)
        if number in wanted:
            yield number, _table(octets[at + _TABLE.size : at + length])
        at += max(length, _TABLE.size)


def table_sizes(octets: bytes) -> Iterator[tuple[int, int]]:
    """Number of each table and how many rules it holds at most, in one part of a table features reply."""
    at = _PART_HEADER
    while at < len(octets):
        length, number, most = _TABLE.unpack_from(octets, at)
        yield number, most
        at += max(length, _TABLE.size)


def _table(octets: bytes) -> TableFeatures:
    found = TableFeatures()
    at = 0
    while at < len(octets):
        kind, length = _HEAD.unpack_from(octets, at)
        _note(found, kind, octets[at + _HEAD.size : at + length])
        at += max(length, _HEAD.size) + -length % 8
    return found


def _note(found: TableFeatures, kind: int, listed: bytes) -> None:
    match kind:
        case ofp.OFPTFPT_MATCH:
            fields = list(_fields(listed))
            found.matched |= {name for name, _ in fields}
            found.masked |= {name for name, masked in fields if masked}
        case ofp.OFPTFPT_WILDCARDS:
            found.wildcards |= {name for name, _ in _fields(listed)}
        case ofp.OFPTFPT_INSTRUCTIONS:
            found.instructions |= set(_named(listed, _INSTRUCTIONS))
        case ofp.OFPTFPT_NEXT_TABLES:
            found.next_tables |= set(listed)
        case ofp.OFPTFPT_APPLY_ACTIONS:
            found.actions |= set(_named(listed, _ACTIONS))
        case ofp.OFPTFPT_APPLY_SETFIELD:
            found.set_fields |= {name for name, _ in _fields(listed)}


def _fields(octets: bytes) -> Iterator[tuple[str, bool]]:
    """Name and "may be masked" of the fields in a list of headers; unknown fields are left out."""
    at = 0
    while at < len(octets):
        size = 8 if octets[at : at + 2] == ofp.OFPXMC_EXPERIMENTER.to_bytes(2) else 4
        name = field_name(octets[at : at + 4])
        if name is not None:
            yield name, bool(octets[at + 2] & 1)
        at += size


def _named(octets: bytes, names: dict[int, str]) -> Iterator[str]:
    """Names of the instructions or actions in a list of headers."""
    at = 0
    while at < len(octets):
        kind, length = _HEAD.unpack_from(octets, at)
        if kind in names:
            yield names[kind]
        at += max(length, _HEAD.size)


def group_types(octets: bytes) -> frozenset[GroupType] | None:
    """Types of groups in a group features reply; None: it has no content."""
    if len(octets) < _PART_HEADER + _GROUP_FEATURES.size:
        return None
    types = _GROUP_FEATURES.unpack_from(octets, _PART_HEADER)[0]
    return frozenset(kind for kind in GroupType if types >> kind.value & 1)


def most_meters(octets: bytes) -> int | None:
    """The most meters of a switch, from a meter features reply; None: it has no content."""
    if len(octets) < _PART_HEADER + _METER_FEATURES.size:
        return None
    return int(_METER_FEATURES.unpack_from(octets, _PART_HEADER)[0])


def most_groups(octets: bytes) -> int | None:
    """The most groups of a switch, whatever their types, from a group features reply; None: it has no content."""
    if len(octets) < _PART_HEADER + _GROUP_FEATURES.size:
        return None
    types, *most = _GROUP_FEATURES.unpack_from(octets, _PART_HEADER)
    # A type that the switch does not have may be reported with 0 groups.
    return min((count for kind, count in enumerate(most) if types >> kind & 1), default=0)
