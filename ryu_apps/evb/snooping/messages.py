"""Conversion of membership messages to group records, and of queries to frames."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address
from typing import NamedTuple

from ryu_apps.evb.model import MulticastGroup
from ryu_apps.evb.snooping.listener import AnyGroupRecord, Generation
from ryu_apps.evb.snooping.timers import MembershipTimers
from ryu_apps.evb.wire import igmp, mld
from ryu_apps.evb.wire.group_record import GroupRecord, RecordType, code_of, number_of
from ryu_apps.evb.wire.igmp import IgmpType, Query3, Report3
from ryu_apps.evb.wire.membership import MembershipFrame, MembershipMessage, group_mac
from ryu_apps.evb.wire.mld import MldType, Query2, Report2

ALL_SYSTEMS, ALL_NODES = IPv4Address("224.0.0.1"), IPv6Address("ff02::1")

_PLAIN: dict[int, tuple[Generation, RecordType]] = {
    IgmpType.V1_REPORT: (Generation.FIRST, RecordType.IS_EXCLUDE),
    IgmpType.V2_REPORT: (Generation.SECOND, RecordType.IS_EXCLUDE),
    IgmpType.LEAVE: (Generation.SECOND, RecordType.TO_INCLUDE),
    MldType.V1_REPORT: (Generation.SECOND, RecordType.IS_EXCLUDE),
    MldType.DONE: (Generation.SECOND, RecordType.TO_INCLUDE),
}


def reported_records(message: MembershipMessage) -> tuple[Generation, tuple[AnyGroupRecord, ...]]:
    """The version and the records of a report; older versions are converted (RFC 3376 7.3.2, RFC 3810 8.3.2).

    Raises:
        KeyError: the message is a query.
    """
    match message:
        case Report3(records=records):
            return Generation.THIRD, records
        case Report2(records=others):
            return Generation.THIRD, others
        case igmp.IgmpV1V2(type=code, group=group):
            generation, record_type = _PLAIN[code]
            return generation, (GroupRecord(record_type, group),)
        case mld.MldV1(type=code, group=six):
            generation, record_type = _PLAIN[code]
            return generation, (GroupRecord(record_type, six),)
    raise KeyError(message)


def timers_of(message: MembershipMessage, usual: MembershipTimers) -> MembershipTimers | None:
    """The timers in a query of the newest version (RFC 3376 4.1.6, 4.1.7); None for a message without them."""
    if not isinstance(message, Query3 | Query2):
        return None
    return MembershipTimers(
        robustness=message.robustness or usual.robustness,
        query_interval=float(number_of(message.qqic, 8)) or usual.query_interval,
        query_response_interval=usual.query_response_interval,
    )


class GroupQuery(NamedTuple):
    """Parameters of one query.

    Attributes:
        version: of IP.
        group: None for a general query.
        generation: version of the protocol.
        within: maximum response time in seconds.
    """

    version: int
    group: MulticastGroup | None
    generation: Generation
    within: float


def query(query: GroupQuery, timers: MembershipTimers, source: int, destination: int | None, tci: int | None) -> bytes:
    """Encode a query as a frame.

    Args:
        source: Ethernet address of the bridge port; the IPv6 source is derived from it.
        destination: Ethernet address of one host, None for the address of the group.
        tci: the VLAN tag, None for an untagged frame.
    """
    # 0.0.0.0 never wins a querier election; snooping proxies use it (RFC 4541 2.1.1).
    asking: MulticastGroup = IPv4Address(0) if query.version == 4 else _link_local(source)
    all_hosts: MulticastGroup = ALL_SYSTEMS if query.version == 4 else ALL_NODES
    asked_ip = query.group or all_hosts
    ethernet = group_mac(asked_ip) if destination is None else destination
    return MembershipFrame(ethernet, source, tci, asking, asked_ip, _message(query, timers)).encode()


def _message(query: GroupQuery, timers: MembershipTimers) -> MembershipMessage:
    interval = code_of(int(timers.query_interval), 8)
    robustness = timers.robustness if timers.robustness < 8 else 0
    newest = query.generation is Generation.THIRD
    if query.version == 4:
        group = query.group or igmp.NO_GROUP
        assert isinstance(group, IPv4Address)
        tenths = int(query.within * 10)
        if not newest:
            return igmp.IgmpV1V2(IgmpType.QUERY, group, min(tenths, 0xFF))
        return Query3(group, max_response_code=code_of(tenths, 8), robustness=robustness, qqic=interval)
    six = query.group or mld.NO_GROUP
    assert isinstance(six, IPv6Address)
    milliseconds = int(query.within * 1000)
    if not newest:
        return mld.MldV1(MldType.QUERY, six, min(milliseconds, 0xFFFF))
    return Query2(six, max_response_code=code_of(milliseconds, 16), robustness=robustness, qqic=interval)


def _link_local(mac: int) -> IPv6Address:
    """fe80::/64 and the modified EUI-64 of an Ethernet address (RFC 4291 A)."""
    high, low = mac >> 24 ^ 0x020000, mac & 0xFFFFFF
    return IPv6Address(0xFE80 << 112 | high << 40 | 0xFFFE << 24 | low)
