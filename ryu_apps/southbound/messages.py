"""Whole OpenFlow messages around rules: barriers, bundles, requests, packet-outs, transaction ids.

Bundles are the ONF extension to OpenFlow 1.3 (EXT-230); their numbers are those of OpenFlow 1.4.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import NamedTuple

from ryu.ofproto import ofproto_common as common
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.flow.actions import Action, Output, OutputGroup
from ryu_apps.evb.flow.match import Match
from ryu_apps.evb.flow.rule import CookieMask
from ryu_apps.southbound.encode import actions, message
from ryu_apps.southbound.oxm import encode_match

#: Offset of the transaction id in every message.
XID_OFFSET = 4

ALL_TABLES: int = ofp.OFPTT_ALL
BUNDLE_FLAGS = ofp.ONF_BF_ATOMIC | ofp.ONF_BF_ORDERED

#: With the header of the message.
_PACKET_OUT = struct.Struct("!BBHIIIH6x")
_OF_PACKET_OUT = ofp.OFP_VERSION, ofp.OFPT_PACKET_OUT
_FROM_CONTROLLER = ofp.OFP_NO_BUFFER, ofp.OFPP_CONTROLLER
#: Ports whose output actions are kept encoded.
_PORTS = 1024
_BARRIER = message(ofp.OFPT_BARRIER_REQUEST, b"")


def numbered(octets: bytes, xid: int) -> bytes:
    """The same message under another transaction id."""
    return octets[:XID_OFFSET] + xid.to_bytes(4) + octets[XID_OFFSET + 4 :]


def barrier(xid: int) -> bytes:
    """A barrier request."""
    return numbered(_BARRIER, xid)


def packet_out(output: Output | OutputGroup, data: bytes, xid: int) -> bytes:
    """Send a frame out of a port, or by a group."""
    return packet_out_by((output,), data, xid)


def packet_out_by(how: tuple[Action, ...], data: bytes, xid: int) -> bytes:
    """Carry out actions on a frame."""
    return _packet_out(actions(how), data, xid)


def frame_out(port_no: int, group: int | None, data: bytes, xid: int) -> bytes:
    """:func:`packet_out` by the numbers of a port and a group (None: out of the port)."""
    return _packet_out(_output(port_no, group), data, xid)


@lru_cache(_PORTS)
def _output(port_no: int, group: int | None) -> bytes:
    return actions((Output(port_no, 0) if group is None else OutputGroup(group),))


def _packet_out(listed: bytes, data: bytes, xid: int) -> bytes:
    length = _PACKET_OUT.size + len(listed) + len(data)
    return _PACKET_OUT.pack(*_OF_PACKET_OUT, length, xid, *_FROM_CONTROLLER, len(listed)) + listed + data


def bundle_control(bundle_id: int, request: int, xid: int) -> bytes:
    """Open, commit or discard a bundle (``ONF_BCT_..._REQUEST``)."""
    body = struct.pack("!IHH", bundle_id, request, BUNDLE_FLAGS)
    return numbered(_experimenter(ofp.ONF_ET_BUNDLE_CONTROL, body), xid)


def bundle_add(bundle_id: int, inner: bytes, xid: int) -> bytes:
    """Put a message into a bundle; both carry the same transaction id, as the extension demands."""
    body = struct.pack("!IxxH", bundle_id, BUNDLE_FLAGS) + numbered(inner, xid)
    return numbered(_experimenter(ofp.ONF_ET_BUNDLE_ADD_MESSAGE, body), xid)


def _experimenter(kind: int, body: bytes) -> bytes:
    return message(ofp.OFPT_EXPERIMENTER, struct.pack("!II", common.ONF_EXPERIMENTER_ID, kind) + body)


#: What a switch does with IP fragments: none of OpenFlow's own modes gives the first one its ports.  Open vSwitch has
#: one that does (``ovs-ofctl set-frags br0 nx-match``), and has the field ``ip_frag`` say which are which.
FRAGMENTS_SHOWN = 3
_CONFIG = struct.Struct("!HH")


class SwitchConfig(NamedTuple):
    """Fields of OFPT_SET_CONFIG: fragment mode, and octets of a frame in a packet-in that no rule causes."""

    fragments: int
    miss_send_len: int


def get_config(xid: int) -> bytes:
    """Ask for the configuration."""
    return numbered(message(ofp.OFPT_GET_CONFIG_REQUEST, b""), xid)


def set_config(config: SwitchConfig, xid: int) -> bytes:
    """Change the configuration; answered only if it is refused."""
    return numbered(message(ofp.OFPT_SET_CONFIG, _CONFIG.pack(*config)), xid)


def config_shown(octets: bytes) -> SwitchConfig:
    """The configuration in an answer to :func:`get_config`."""
    flags, miss_send_len = _CONFIG.unpack_from(octets, ofp.OFP_HEADER_SIZE)
    return SwitchConfig(flags & ofp.OFPC_FRAG_MASK, miss_send_len)


class MeterQuery(NamedTuple):
    """A request for the configuration of a meter."""

    meter_id: int


class Query(NamedTuple):
    """Filter of a flow statistics request: a cookie mask, and a match that the rules match exactly or more narrowly."""

    mask: CookieMask
    table: int = ALL_TABLES
    match: Match = ()


def meter_config_request(query: MeterQuery, xid: int) -> bytes:
    """Ask for the configuration of a meter."""
    return multipart_request(ofp.OFPMP_METER_CONFIG, query.meter_id.to_bytes(4) + bytes(4), xid)


def flow_stats_request(query: Query, xid: int) -> bytes:
    """Ask for rules."""
    return multipart_request(ofp.OFPMP_FLOW, _query_body(query), xid)


def _query_body(query: Query) -> bytes:
    (cookie, mask), table, match = query
    return struct.pack("!B3xII4xQQ", table, ofp.OFPP_ANY, ofp.OFPG_ANY, cookie, mask) + encode_match(match)


def aggregate_request(query: Query, xid: int) -> bytes:
    """Ask for the number of rules."""
    return multipart_request(ofp.OFPMP_AGGREGATE, _query_body(query), xid)


def is_aggregate(reply: bytes) -> bool:
    """True if a multipart reply answers :func:`aggregate_request`."""
    return int.from_bytes(reply[8:10]) == ofp.OFPMP_AGGREGATE


def rules_counted(reply: bytes) -> int:
    """Number of rules in an answer to :func:`aggregate_request`."""
    return int.from_bytes(reply[32:36])


def multipart_request(kind: int, body: bytes, xid: int) -> bytes:
    """A multipart request of one part."""
    return numbered(message(ofp.OFPT_MULTIPART_REQUEST, struct.pack("!HH4x", kind, 0) + body), xid)
