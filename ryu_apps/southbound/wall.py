"""A wall around OpenFlow 1.3: every message of a connection is read before it leaves, and extensions are refused.

What it refuses: experimenter messages, multipart requests, instructions, actions and match fields; match fields of
other classes than OpenFlow's own; fields that OpenFlow 1.3 does not let an action set; numbers that only Open vSwitch
has a meaning for.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator

from ryu.ofproto import ofproto_v1_3 as ofp

_OWN = ofp.OFPXMC_OPENFLOW_BASIC
#: Pipeline fields: set-field is for fields of the header (OpenFlow 1.3.5, 7.2.5).
_NOT_SET = {ofp.OFPXMT_OFB_IN_PORT, ofp.OFPXMT_OFB_IN_PHY_PORT, ofp.OFPXMT_OFB_METADATA}
#: Offset of a flow-mod's and of a flow statistics request's match; of a packet-out's actions, of a group's buckets.
_FLOW_MATCH, _STATS_MATCH, _PACKET_OUT_ACTIONS, _BUCKETS = 48, 48, 24, 16
_BUCKET = 16
_COMMANDS = (ofp.OFPGC_ADD, ofp.OFPGC_MODIFY, ofp.OFPGC_DELETE)
_ACTIONS = {
    *(ofp.OFPAT_OUTPUT, ofp.OFPAT_GROUP, ofp.OFPAT_SET_FIELD, ofp.OFPAT_PUSH_VLAN, ofp.OFPAT_POP_VLAN),
    *(ofp.OFPAT_COPY_TTL_OUT, ofp.OFPAT_COPY_TTL_IN, ofp.OFPAT_SET_QUEUE, ofp.OFPAT_DEC_NW_TTL, ofp.OFPAT_SET_NW_TTL),
}


class ExtensionForbidden(ValueError):
    """A message has something that is not OpenFlow 1.3."""


def guarded(send: Callable[[bytes | bytearray], None]) -> Callable[[bytes | bytearray], None]:
    """The same as ``send``, but only for messages without extensions.

    Raises:
        ExtensionForbidden: when called; nothing is sent then.
    """

    def guard(octets: bytes | bytearray) -> None:
        check(bytes(octets))
        send(octets)

    return guard


def check(octets: bytes) -> None:
    """Read whole messages, one behind the other.

    Raises:
        ExtensionForbidden: one of them is not OpenFlow 1.3 alone.
    """
    at = 0
    while at < len(octets):
        _, kind, length = struct.unpack_from("!BBH", octets, at)
        _message(kind, octets[at : at + length])
        at += length


def _message(kind: int, octets: bytes) -> None:
    match kind:
        case ofp.OFPT_EXPERIMENTER:
            raise ExtensionForbidden("an experimenter message")
        case ofp.OFPT_FLOW_MOD:
            _instructions(octets, _matched(octets, _FLOW_MATCH))
        case ofp.OFPT_GROUP_MOD:
            _group(octets)
        case ofp.OFPT_PACKET_OUT:
            (length,) = struct.unpack_from("!H", octets, 16)
            _actions(octets[_PACKET_OUT_ACTIONS : _PACKET_OUT_ACTIONS + length])
        case ofp.OFPT_SET_CONFIG:
            if octets[9] & ofp.OFPC_FRAG_MASK > ofp.OFPC_FRAG_REASM:
                raise ExtensionForbidden(f"fragment mode {octets[9]}")
        case ofp.OFPT_MULTIPART_REQUEST:
            (part,) = struct.unpack_from("!H", octets, 8)
            if part == ofp.OFPMP_EXPERIMENTER:
                raise ExtensionForbidden("an experimenter's multipart request")
            if part in (ofp.OFPMP_FLOW, ofp.OFPMP_AGGREGATE):
                _matched(octets, _STATS_MATCH)


def _matched(octets: bytes, at: int) -> int:
    """Check a match; returns the offset behind it."""
    (length,) = struct.unpack_from("!H", octets, at + 2)
    field, end = at + 4, at + length
    while field < end:
        _field(octets, field)
        field += 4 + octets[field + 3]
    return at + length + -length % 8


def _field(octets: bytes, at: int) -> int:
    """Check the class of a field; returns its number."""
    kind, number = struct.unpack_from("!HB", octets, at)
    if kind != _OWN:
        raise ExtensionForbidden(f"field {number >> 1} of class {kind:#x}")
    return number >> 1


def _instructions(octets: bytes, at: int) -> None:
    for kind, instruction in _pieces(octets[at:]):
        if kind == ofp.OFPIT_EXPERIMENTER:
            raise ExtensionForbidden("an experimenter's instruction")
        if kind in (ofp.OFPIT_APPLY_ACTIONS, ofp.OFPIT_WRITE_ACTIONS):
            _actions(instruction[8:])


def _actions(octets: bytes) -> None:
    for kind, action in _pieces(octets):
        if kind not in _ACTIONS:
            raise ExtensionForbidden(f"an action of type {kind:#x}")
        if kind == ofp.OFPAT_SET_FIELD and (number := _field(action, 4)) in _NOT_SET:
            raise ExtensionForbidden(f"an action that sets field {number}")


def _group(octets: bytes) -> None:
    (command,) = struct.unpack_from("!H", octets, 8)
    if command not in _COMMANDS:
        raise ExtensionForbidden(f"group command {command:#x}")
    at = _BUCKETS
    while at < len(octets):
        (length,) = struct.unpack_from("!H", octets, at)
        _actions(octets[at + _BUCKET : at + length])
        at += length


def _pieces(octets: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(octets):
        kind, length = struct.unpack_from("!HH", octets, at)
        yield kind, octets[at : at + length]
        at += max(length, 4)
