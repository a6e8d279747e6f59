"""Rules, groups and meters as OpenFlow 1.3 octets.

Octets are built directly: building and serialising a Ryu object for the same rule takes some twenty
times as long (see docs/decisions/0004-southbound-fast-path.rst).  Every message has the transaction
id 0, which the sender overwrites with :func:`ryu_apps.southbound.messages.numbered`.
"""

from __future__ import annotations

import struct
from functools import lru_cache

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.actions import (
    Action,
    Output,
    OutputGroup,
    PopVlan,
    PushVlan,
    SetField,
)
from ryu_apps.evb.flow.rule import (
    Bucket,
    CookieMask,
    Group,
    Meter,
    MeterUnit,
    Rule,
)
from ryu_apps.southbound import nicira
from ryu_apps.southbound.oxm import encode_match, field, pad

#: Octets of a flow-mod before its match; a flow-stats entry has as many, so both end alike.
FLOW_MOD_FIXED = 48
ALL_ONES = (1 << 64) - 1

_HEADER = struct.Struct("!BBHI")
_FLOW_MOD = struct.Struct("!BBHIQQBBHHHIIIHxx")
_ETH_TYPE_VLAN = 0x8100
#: Open vSwitch: add the group or replace its buckets, whichever applies (OpenFlow 1.5 has no such command).
_ADD_OR_MODIFY = 0x8000
_ANY_MATCH = encode_match(())
#: Unit of a meter -> its flags.  Without OFPMF_BURST Open vSwitch ignores the burst.
METER_FLAGS = {
    MeterUnit.PACKETS: ofp.OFPMF_PKTPS | ofp.OFPMF_BURST,
    MeterUnit.KILOBITS: ofp.OFPMF_KBPS | ofp.OFPMF_BURST,
}


def message(kind: int, body: bytes) -> bytes:
    """A whole message of transaction id 0."""
    return _HEADER.pack(ofp.OFP_VERSION, kind, ofp.OFP_HEADER_SIZE + len(body), 0) + body


def flow_add(rule: Rule) -> bytes:
    """Add a rule or overwrite the one of the same table, priority and match."""
    timeouts = rule.idle_timeout, rule.hard_timeout
    return _flow_mod(ofp.OFPFC_ADD, rule.table, rule.priority, rule.cookie, 0, flow_tail(rule), timeouts)


def flow_tail(rule: Rule) -> bytes:
    """Match and instructions, as a flow-mod and a flow statistics entry end."""
    return encode_match(rule.match) + instructions(rule.apply, rule.metadata, rule.goto, rule.meter)


def flow_remove(rule: Rule) -> bytes:
    """Delete a rule by key, if it still carries the very cookie."""
    return _flow_mod(
        ofp.OFPFC_DELETE_STRICT, rule.table, rule.priority, rule.cookie, ALL_ONES, encode_match(rule.match)
    )


def flow_sweep(mask: CookieMask) -> bytes:
    """Delete all rules under a cookie mask, in all tables."""
    return _flow_mod(ofp.OFPFC_DELETE, ofp.OFPTT_ALL, 0, mask.cookie, mask.mask, _ANY_MATCH)


def _flow_mod(
    command: int,
    table: int,
    priority: int,
    cookie: int,
    cookie_mask: int,
    tail: bytes,
    timeouts: tuple[int, int] = (0, 0),
) -> bytes:
    head = _FLOW_MOD.pack(
        ofp.OFP_VERSION,
        ofp.OFPT_FLOW_MOD,
        FLOW_MOD_FIXED + len(tail),
        0,
        cookie,
        cookie_mask,
        table,
        command,
        *timeouts,
        priority,
        ofp.OFP_NO_BUFFER,
        ofp.OFPP_ANY,
        ofp.OFPG_ANY,
        0,
    )
    return head + tail


@lru_cache(4096)
def instructions(
    apply: tuple[Action, ...], metadata: tuple[int, int] | None, goto: int | None, meter: int | None
) -> bytes:
    """Instructions in the order in which Open vSwitch writes them back."""
    parts = []
    if meter is not None:
        parts.append(struct.pack("!HHI", ofp.OFPIT_METER, 8, meter))
    if apply:
        listed = actions(apply)
        parts.append(struct.pack("!HH4x", ofp.OFPIT_APPLY_ACTIONS, 8 + len(listed)) + listed)
    if metadata is not None:
        parts.append(struct.pack("!HH4xQQ", ofp.OFPIT_WRITE_METADATA, 24, *metadata))
    if goto is not None:
        parts.append(struct.pack("!HHB3x", ofp.OFPIT_GOTO_TABLE, 8, goto))
    return b"".join(parts)


def actions(listed: tuple[Action, ...]) -> bytes:
    """A list of actions."""
    return b"".join(map(_action, listed))


def _action(action: Action) -> bytes:
    match action:
        case Output(port, max_len):
            return struct.pack("!HHIH6x", ofp.OFPAT_OUTPUT, 16, port, max_len)
        case OutputGroup(group_id):
            return struct.pack("!HHI", ofp.OFPAT_GROUP, 8, group_id)
        case SetField(name, value):
            octets = field(name, value)
            return pad(struct.pack("!HH", ofp.OFPAT_SET_FIELD, 4 + len(octets) + -(4 + len(octets)) % 8) + octets)
        case PushVlan():
            return struct.pack("!HHH2x", ofp.OFPAT_PUSH_VLAN, 8, _ETH_TYPE_VLAN)
        case PopVlan():
            return struct.pack("!HH4x", ofp.OFPAT_POP_VLAN, 8)
        case _:
            return nicira.encode(action)


def group_write(group: Group) -> bytes:
    """Add a group or replace its type and buckets."""
    return _group_mod(_ADD_OR_MODIFY, group.type.value, group.group_id, b"".join(map(_bucket, group.buckets)))


def group_add(group: Group, *, known: bool = False) -> bytes:
    """The same without extensions: add a group, or replace one that the switch is known to have."""
    command = ofp.OFPGC_MODIFY if known else ofp.OFPGC_ADD
    return _group_mod(command, group.type.value, group.group_id, b"".join(map(_bucket, group.buckets)))


def group_delete(group_id: int) -> bytes:
    """Delete a group, and with it every rule that refers to it."""
    return _group_mod(ofp.OFPGC_DELETE, 0, group_id, b"")


def _group_mod(command: int, kind: int, group_id: int, buckets: bytes) -> bytes:
    return message(ofp.OFPT_GROUP_MOD, struct.pack("!HBxI", command, kind, group_id) + buckets)


# Without extensions, a VSI has the same bucket in up to 13 groups.
@lru_cache(4096)
def _bucket(bucket: Bucket) -> bytes:
    listed = actions(bucket.actions)
    watch = ofp.OFPP_ANY if bucket.watch_port is None else bucket.watch_port
    group = ofp.OFPG_ANY if bucket.watch_group is None else bucket.watch_group
    return struct.pack("!HHII4x", 16 + len(listed), bucket.weight, watch, group) + listed


def meter_write(meter: Meter, *, known: bool) -> bytes:
    """Add a meter, or change one that the switch is known to have."""
    command = ofp.OFPMC_MODIFY if known else ofp.OFPMC_ADD
    return message(ofp.OFPT_METER_MOD, command.to_bytes(2) + meter_entry(meter)[2:])


def meter_entry(meter: Meter) -> bytes:
    """A meter as a meter configuration reply has it: length, flags, id, one drop band."""
    flags = METER_FLAGS[meter.unit]
    band = struct.pack("!HHII4x", ofp.OFPMBT_DROP, 16, meter.rate, meter.burst)
    return struct.pack("!HHI", 8 + len(band), flags, meter.meter_id) + band


def meter_delete(meter_id: int) -> bytes:
    """Delete a meter, and with it every rule that refers to it."""
    return message(ofp.OFPT_METER_MOD, struct.pack("!HHI", ofp.OFPMC_DELETE, 0, meter_id))
