"""Decoding of the switches' messages from their octets, without Ryu objects.

Offsets are those of OpenFlow 1.3.5; a message has been cut out of the stream by its length before it
gets here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import NamedTuple

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.actions import (
    Action,
    ClearInPort,
    Output,
    OutputGroup,
    PopVlan,
    PushVlan,
    SetField,
)
from ryu_apps.evb.flow.rule import (
    Bucket,
    Group,
    GroupType,
    Meter,
    MeterCount,
    MeterUnit,
)
from ryu_apps.evb.pipeline.tables import TAGGED_GROUP, UNTAGGED_GROUP
from ryu_apps.southbound import nicira
from ryu_apps.southbound.encode import METER_FLAGS, actions, meter_entry
from ryu_apps.southbound.oxm import decode_field

#: Octets of a part of a multipart reply before its first entry.
PART_HEADER = 16
#: Number, address, name, config, state, current speed.
_PORT = struct.Struct("!I4x6s2x16sII16xI4x")
_GROUP_DESC = struct.Struct("!HBxI")
#: Length, weight, watched port and group of a bucket.
_BUCKET = struct.Struct("!HHII4x")
_METER_CONFIG = struct.Struct("!HHI")
_METER_STATS = struct.Struct("!IH6xIQQII")
#: Frames and octets that a band has dropped.
_BAND_STATS = struct.Struct("!QQ")
#: A band: kind, length, rate, burst; and the only one of a meter of evbridge.
_BAND = struct.Struct("!HHII4x")
_UNITS = {flags: unit for unit, flags in METER_FLAGS.items()}
_NANOSECONDS = 1e-9
_PACKET_IN_COOKIE = 16
_PACKET_IN_MATCH = 24
_PORT_GROUP_MASK = 0xFFFFF
_FORGET_IN_PORT = nicira.encode(ClearInPort())
_IN_PORT_FIELD = bytes.fromhex("80000004")


class PacketIn(NamedTuple):
    """A frame that the switch sent to the controller, and the cookie of the rule that caused it."""

    in_port: int
    cookie: int
    data: bytes


def packet_in(octets: bytes) -> PacketIn:
    """Read a packet-in."""
    (cookie,) = struct.unpack_from("!Q", octets, _PACKET_IN_COOKIE)
    (length,) = struct.unpack_from("!H", octets, _PACKET_IN_MATCH + 2)
    # Open vSwitch writes the ingress port first.
    at = octets.index(_IN_PORT_FIELD, _PACKET_IN_MATCH + 4, _PACKET_IN_MATCH + length) + 4
    frame = _PACKET_IN_MATCH + length + -length % 8 + 2
    return PacketIn(int.from_bytes(octets[at : at + 4]), cookie, octets[frame:])


class PortState(NamedTuple):
    """State of a port.

    Attributes:
        up: its link is up.
        live: the switch uses it in groups; with LACP, it has an agreement there.
        name: empty: the port is gone.
    """

    up: bool
    live: bool
    name: str


def port_status(octets: bytes) -> tuple[int, PortState]:
    """Port number and state; a port that is gone is down."""
    port_no, state, _speed = _port(octets, 16)
    return port_no, PortState(False, False, "") if octets[8] == ofp.OFPPR_DELETE else state


def _port(octets: bytes, at: int) -> tuple[int, PortState, int]:
    port_no, _mac, name, config, state, speed = _PORT.unpack_from(octets, at)
    up = not (config & ofp.OFPPC_PORT_DOWN or state & ofp.OFPPS_LINK_DOWN)
    return port_no, PortState(up, bool(state & ofp.OFPPS_LIVE), _text(name)), speed


def _text(padded: bytes) -> str:
    return padded.partition(b"\0")[0].decode("ascii", "replace")


def more_follows(octets: bytes) -> bool:
    """Return True if a multipart reply has further parts."""
    return bool(octets[11] & ofp.OFPMPF_REPLY_MORE)


def ports(octets: bytes) -> Iterator[tuple[int, PortState, int]]:
    """Port number, state, and speed in kbit/s (0: not known), from a port description reply.

    Reserved ports are left out.
    """
    for at in range(PART_HEADER, len(octets), _PORT.size):
        port_no, state, speed = _port(octets, at)
        if port_no <= ofp.OFPP_MAX:
            yield port_no, state, speed


def relaying_ports(octets: bytes) -> Iterator[int]:
    """Ports that frames may leave by which they have come in by, from a group description reply."""
    at = PART_HEADER
    while at < len(octets):
        length, _kind, group_id = _GROUP_DESC.unpack_from(octets, at)
        of_port = group_id & ~_PORT_GROUP_MASK in (TAGGED_GROUP, UNTAGGED_GROUP)
        if of_port and _FORGET_IN_PORT in octets[at : at + length]:
            yield group_id & _PORT_GROUP_MASK
        at += length


def group_ids(octets: bytes) -> Iterator[int]:
    """The groups a switch has, from a group description reply."""
    at = PART_HEADER
    while at < len(octets):
        length, _kind, group_id = _GROUP_DESC.unpack_from(octets, at)
        yield group_id
        at += length


def groups(octets: bytes) -> Iterator[Group]:
    """The groups of a group description reply; buckets of actions that evbridge cannot express have none."""
    at = PART_HEADER
    while at < len(octets):
        length, kind, group_id = _GROUP_DESC.unpack_from(octets, at)
        yield Group(group_id, GroupType(kind), tuple(_buckets(octets[at + _GROUP_DESC.size : at + length])))
        at += length


def _buckets(octets: bytes) -> Iterator[Bucket]:
    at = 0
    while at < len(octets):
        length, weight, port, group = _BUCKET.unpack_from(octets, at)
        yield Bucket(
            actions_of(octets[at + _BUCKET.size : at + length]) or (),
            None if port == ofp.OFPP_ANY else port,
            weight,
            None if group == ofp.OFPG_ANY else group,
        )
        at += length


def meters(octets: bytes) -> Iterator[Meter]:
    """The meters a switch has, from a meter configuration reply.

    One that this version cannot express is shown without rate and burst, so that it differs from every meter that is
    wanted.
    """
    at = PART_HEADER
    while at < len(octets):
        length, flags, meter_id = _METER_CONFIG.unpack_from(octets, at)
        unit = _UNITS.get(flags & ~ofp.OFPMF_STATS)
        bands = octets[at + _METER_CONFIG.size : at + length]
        _kind, _length, rate, burst = _BAND.unpack_from(bands) if len(bands) == _BAND.size else (0, 0, 0, 0)
        meter = Meter(meter_id, rate, burst, unit or MeterUnit.PACKETS)
        known = unit is not None and meter_entry(meter)[_METER_CONFIG.size :] == bands
        yield meter if known else Meter(meter_id, 0, 0)
        at += length


def meter_counts(octets: bytes) -> Iterator[MeterCount]:
    """Yield the counters of meters in one part of a meter statistics reply."""
    at = PART_HEADER
    while at < len(octets):
        meter_id, length, rules, packets, counted, seconds, fraction = _METER_STATS.unpack_from(octets, at)
        bands = _BAND_STATS.iter_unpack(octets[at + _METER_STATS.size : at + length])
        dropped = sum(packets for packets, _octets in bands)
        yield MeterCount(meter_id, rules, packets, counted, seconds + fraction * _NANOSECONDS, dropped)
        at += length


def actions_of(octets: bytes) -> tuple[Action, ...] | None:
    """The actions of a list; None if evbridge cannot express one of them."""
    listed = [_action(*piece) for piece in pieces(octets)]
    known = tuple(action for action in listed if action is not None)
    return known if actions(known) == octets else None


def pieces(octets: bytes) -> Iterator[tuple[int, bytes]]:
    """Type and octets of each instruction or action of a list."""
    at = 0
    while at < len(octets):
        kind, length = struct.unpack_from("!HH", octets, at)
        yield kind, octets[at : at + length]
        at += length


def _action(kind: int, octets: bytes) -> Action | None:
    """Decode an action by its type; the caller compares its encoding."""
    match kind:
        case ofp.OFPAT_OUTPUT:
            return Output(*struct.unpack_from("!IH", octets, 4))
        case ofp.OFPAT_GROUP:
            return OutputGroup(*struct.unpack_from("!I", octets, 4))
        case ofp.OFPAT_SET_FIELD:
            named = decode_field(octets[4:])
            return SetField(*named) if named else None
        case ofp.OFPAT_PUSH_VLAN:
            return PushVlan()
        case ofp.OFPAT_POP_VLAN:
            return PopVlan()
        case ofp.OFPAT_EXPERIMENTER:
            return nicira.decode(octets)
        case _:
            return None


class SwitchError(NamedTuple):
    """An OpenFlow error message.

    Attributes:
        text: type and code by name.
        full: the switch has no room for another rule, group or meter.
        number: type and code.
    """

    text: str
    full: bool
    number: tuple[int, int] = (0, 0)


_FULL = {
    (ofp.OFPET_FLOW_MOD_FAILED, ofp.OFPFMFC_TABLE_FULL),
    (ofp.OFPET_GROUP_MOD_FAILED, ofp.OFPGMFC_OUT_OF_GROUPS),
    (ofp.OFPET_GROUP_MOD_FAILED, ofp.OFPGMFC_OUT_OF_BUCKETS),
    (ofp.OFPET_METER_MOD_FAILED, ofp.OFPMMFC_OUT_OF_METERS),
    (ofp.OFPET_METER_MOD_FAILED, ofp.OFPMMFC_OUT_OF_BANDS),
}
_BUNDLE_ERRORS = {getattr(ofp, name): name for name in dir(ofp) if name.startswith("ONFERR_")}


def error(octets: bytes) -> SwitchError:
    """Read an error message."""
    kind, code = struct.unpack_from("!HH", octets, 8)
    if kind == ofp.OFPET_EXPERIMENTER:
        return SwitchError(_BUNDLE_ERRORS.get(code, f"experimenter error {code}"), full=False)
    names = f"{ofp.ofp_error_type_to_str(kind)}, {ofp.ofp_error_code_to_str(kind, code)}"
    return SwitchError(names, (kind, code) in _FULL, (kind, code))
