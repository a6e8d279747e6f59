"""Flow monitors and asynchronous messages that report foreign changes of a switch.

Flow monitors (ONF extension 187, which Open vSwitch has for OpenFlow 1.3) report every rule that is deleted or
altered: by name, by ``del-flows``, with a group or a meter.  Changes of this connection are reported with their
transaction id only; rules that switches learn are in tables that are not watched.  Requests on other connections that
change groups and meters are forwarded (``ONFT_REQUESTFORWARD``), which an asynchronous configuration of Open vSwitch's
own asks for.
"""

from __future__ import annotations

import struct
from collections.abc import Container, Iterator
from enum import IntEnum

from ryu.ofproto import ofproto_common as common
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.pipeline.tables import OURS, Table
from ryu_apps.southbound.encode import message
from ryu_apps.southbound.messages import barrier, multipart_request, numbered
from ryu_apps.southbound.oxm import encode_match

_FLOW_MONITOR, _REQUEST_FORWARD = 1870, 2350
_EXPERIMENTER = struct.Struct("!II")
#: Id, flags, octets of the match, out port, table.
_MONITOR = struct.Struct("!IHHIB3x")
_ANYTHING = encode_match(())
#: Octets of an empty match that are no padding.
_MATCH_LENGTH = 4
#: Kinds of updates to report.
_ADDED, _DELETED, _MODIFIED = 0x0002, 0x0004, 0x0008
#: Tables in which adding a rule may overwrite one of the same key, and in which few rules are added otherwise.
_OVERWRITTEN = frozenset(
    {
        *(Table.ADMIT, Table.INGRESS, Table.FORWARD, Table.FLOOD, Table.FLOOD_VID, Table.FLOOD_PAGE),
        *(Table.GROUP_GATE, Table.GROUPS, Table.GROUP_PAGE, Table.RECEIVERS, Table.OUTPUT),
        *(Table.TRANSLATE_IN, Table.TRANSLATE_OUT),
    }
)
#: Tables that switches write to by themselves.
_LEARNT = frozenset({Table.CONNECTIONS, Table.PROXY_PINS, Table.BALANCER_PINS, Table.BOND_LINK})

_SET_ASYNC_CONFIG_2 = 27
#: Properties of the asynchronous configuration: forwarded requests as slave, and as master; each with what is wanted.
_FORWARD_TO_SLAVE, _FORWARD_TO_MASTER, _GROUPS_AND_METERS = 10, 11, 3
_PROPERTY = struct.Struct("!HHI")

#: Offset of the body of an experimenter message, and of an experimenter multipart message.
_AFTER_HEADER, _AFTER_PART_HEADER = 8, 16
#: Length, event.
_UPDATE = struct.Struct("!HH")
#: Reason and cookie of a whole update; the transaction id of an abbreviated one.
_WHOLE = struct.Struct("!4xH10xQ")
_XID = struct.Struct("!4xI")
_UPDATE_DELETED, _UPDATE_ABBREVIATED = 1, 3
#: Reasons of a removal that the rule itself asked for; no foreign change.
_TIMED_OUT = (ofp.OFPRR_IDLE_TIMEOUT, ofp.OFPRR_HARD_TIMEOUT)


class Alien(IntEnum):
    """Kind of a change made on another connection."""

    NOTHING = 0
    PERHAPS = 1
    """Something in a table of ours, or another application has on this connection."""
    OURS = 2
    """A rule of ours, or a group or meter."""


def watch_request(xids: range) -> bytes:
    """Request reports; of three transaction ids the switch answers the second, unless it refuses, and the third.

    A barrier is behind it, since Open vSwitch's refusal of a monitor may bear any transaction id.
    """
    forwarding, monitoring, last = xids
    experimenter = _EXPERIMENTER.pack(common.ONF_EXPERIMENTER_ID, _FLOW_MONITOR)
    monitors = b"".join(_monitor(table) for table in Table if table not in _LEARNT)
    asked = multipart_request(ofp.OFPMP_EXPERIMENTER, experimenter + monitors, monitoring)
    return numbered(_forward_requests(), forwarding) + asked + barrier(last)


def _monitor(table: Table) -> bytes:
    flags = _DELETED | _MODIFIED | (_ADDED if table in _OVERWRITTEN else 0)
    return _MONITOR.pack(table, flags, _MATCH_LENGTH, ofp.OFPP_ANY, table) + _ANYTHING


def _forward_requests() -> bytes:
    wanted = (
        _PROPERTY.pack(kind, _PROPERTY.size, _GROUPS_AND_METERS) for kind in (_FORWARD_TO_SLAVE, _FORWARD_TO_MASTER)
    )
    head = _EXPERIMENTER.pack(common.NX_EXPERIMENTER_ID, _SET_ASYNC_CONFIG_2)
    return message(ofp.OFPT_EXPERIMENTER, head + b"".join(wanted))


def told(octets: bytes, ours: Container[int]) -> Alien | None:
    """Return the foreign change that an asynchronous message reports; None if it reports none.

    Args:
        ours: transaction ids of the open requests of this driver.
    """
    kind = octets[1]
    if kind == ofp.OFPT_MULTIPART_REPLY and _says(octets, _AFTER_PART_HEADER, _FLOW_MONITOR):
        return max((_alien(octets, *update, ours) for update in _updates(octets)), default=Alien.NOTHING)
    if kind == ofp.OFPT_EXPERIMENTER and _says(octets, _AFTER_HEADER, _REQUEST_FORWARD):
        return Alien.OURS
    return None


def changes_groups_or_meters(octets: bytes) -> bool:
    """Return True for a message whose effect the switch does not report to its sender."""
    return octets[1] in (ofp.OFPT_GROUP_MOD, ofp.OFPT_METER_MOD)


def _says(octets: bytes, at: int, kind: int) -> bool:
    return octets[at : at + _EXPERIMENTER.size] == _EXPERIMENTER.pack(common.ONF_EXPERIMENTER_ID, kind)


def _updates(octets: bytes) -> Iterator[tuple[int, int]]:
    """Yield the offset and the event of each update."""
    at = _AFTER_PART_HEADER + _EXPERIMENTER.size
    while at < len(octets):
        length, event = _UPDATE.unpack_from(octets, at)
        yield at, event
        at += max(length, _UPDATE.size)


def _alien(octets: bytes, at: int, event: int, ours: Container[int]) -> Alien:
    if event == _UPDATE_ABBREVIATED:
        (xid,) = _XID.unpack_from(octets, at)
        return Alien.NOTHING if xid in ours else Alien.PERHAPS
    reason, cookie = _WHOLE.unpack_from(octets, at)
    if event == _UPDATE_DELETED and reason in _TIMED_OUT:
        return Alien.NOTHING
    return Alien.OURS if OURS.covers(cookie) else Alien.PERHAPS
