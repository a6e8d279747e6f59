"""Wireshark's dissector reads the membership messages that we write as we mean them, checksums included."""

from __future__ import annotations

import struct
import subprocess
from ipaddress import IPv4Address, IPv6Address

import pytest

from ryu_apps.evb.wire import igmp, mld
from ryu_apps.evb.wire.group_record import GroupRecord, RecordType
from ryu_apps.evb.wire.igmp import IgmpType, Query3, Report3
from ryu_apps.evb.wire.membership import MembershipFrame, MembershipMessage, group_mac
from ryu_apps.evb.wire.mld import MldType, Query2, Report2

FOUR, SIX = IPv4Address("239.1.2.3"), IPv6Address("ff0e::42")
S4 = (IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2"))
S6 = (IPv6Address("2001:db8::1"), IPv6Address("2001:db8::2"))
MESSAGES: tuple[MembershipMessage, ...] = (
    igmp.IgmpV1V2(IgmpType.QUERY, FOUR, 10),
    igmp.IgmpV1V2(IgmpType.LEAVE, FOUR),
    Query3(),
    Query3(FOUR, S4, max_response_code=10),
    Report3((GroupRecord(RecordType.ALLOW, FOUR, S4), GroupRecord(RecordType.TO_EXCLUDE, FOUR))),
    mld.MldV1(MldType.QUERY, SIX, 1000),
    mld.MldV1(MldType.DONE, SIX),
    Query2(SIX, S6, max_response_code=1000),
    Report2((GroupRecord(RecordType.BLOCK, SIX, S6), GroupRecord(RecordType.TO_INCLUDE, SIX))),
)
FIELDS = {
    "igmp.type": "type4",
    "igmp.checksum.status": "sum4",
    "igmp.record_type": "records4",
    "igmp.maddr": "group4",
    "igmp.saddr": "source4",
    "icmpv6.type": "type6",
    "icmpv6.checksum.status": "sum6",
    "icmpv6.mldr.mar.record_type": "records6",
    "icmpv6.mldr.mar.multicast_address": "group6",
    "icmpv6.mld.multicast_address": "plain6",
    "vlan.id": "vid",
    "_ws.malformed": "malformed",
}


def framed(message: MembershipMessage) -> MembershipFrame:
    if isinstance(message, mld.MldV1 | Query2 | Report2):
        return MembershipFrame(group_mac(SIX), 0x02EB00010001, 100, IPv6Address("fe80::1"), SIX, message)
    return MembershipFrame(group_mac(FOUR), 0x02EB00010001, 100, IPv4Address("10.0.100.1"), FOUR, message)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, list[str]]]:
    capture = tmp_path_factory.mktemp("tshark") / "membership.pcap"
    octets = [framed(message).encode() for message in MESSAGES]
    records = b"".join(struct.pack("<IIII", 0, 0, len(frame), len(frame)) + frame for frame in octets)
    capture.write_bytes(struct.pack("<IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1) + records)
    wanted = [word for name in FIELDS for word in ("-e", name)]
    command = ["tshark", "-r", str(capture), "-T", "fields", "-E", "separator=;", "-E", "aggregator=,", *wanted]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout.splitlines()
    return [
        {name: cell.split(",") if cell else [] for name, cell in zip(FIELDS.values(), line.split(";"), strict=True)}
        for line in lines
    ]


def test_nothing_is_malformed_and_every_checksum_is_good(rows: list[dict[str, list[str]]]) -> None:
    assert len(rows) == len(MESSAGES)
    for row in rows:
        assert row["malformed"] == []
        assert row["sum4"] + row["sum6"] == ["1"]
        assert row["vid"] == ["100"]


def test_types_records_groups_and_sources(rows: list[dict[str, list[str]]]) -> None:
    for message, row in zip(MESSAGES, rows, strict=True):
        octets = framed(message).message
        kind = row["type4"] or row["type6"]
        match octets:
            case igmp.IgmpV1V2(type=code, group=group):
                assert ([int(text, 16) for text in kind], row["group4"]) == ([code], [str(group)])
            case mld.MldV1(type=code, group=group):
                assert ([int(text) for text in kind], row["plain6"]) == ([code], [str(group)])
            case Query3(group=group, sources=sources):
                assert (row["group4"], row["source4"]) == ([str(group)], [str(source) for source in sources])
            case Query2(group=group):
                assert row["plain6"] == [str(group)]
            case Report3(records=records):
                assert [int(record) for record in row["records4"]] == [record.type for record in records]
                assert row["group4"] == [str(record.group) for record in records]
            case Report2(records=records):
                assert [int(record) for record in row["records6"]] == [record.type for record in records]
                assert row["group6"] == [str(record.group) for record in records]
