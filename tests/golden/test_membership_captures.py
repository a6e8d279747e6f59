"""Membership messages of Linux: decoded as they are meant, and encoded to the same octets."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path

import pytest

from ryu_apps.evb.wire import igmp, mld
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.group_record import GroupRecord, RecordType
from ryu_apps.evb.wire.igmp import IgmpType, Query3, Report3, decode_igmp
from ryu_apps.evb.wire.ip import PROTO_ICMPV6, ROUTER_ALERT_6, Ipv6
from ryu_apps.evb.wire.membership import MembershipFrame, group_mac
from ryu_apps.evb.wire.mld import MldType, Query2, Report2, decode_mld

FOLDER = Path(__file__).parent / "membership"
CAPTURES = sorted(FOLDER.glob("*.pcap"))
ANY, SPECIFIC, SOURCE = IPv4Address("239.1.2.3"), IPv4Address("232.1.1.1"), IPv4Address("10.0.100.99")
SIX = IPv6Address("ff0e::42")


def recorded(path: Path) -> Iterator[bytes]:
    """The frames of a little-endian pcap file."""
    data, place = path.read_bytes(), 24
    while place < len(data):
        (length,) = struct.unpack_from("<8xI", data, place)
        yield data[place + 16 : place + 16 + length]
        place += 16 + length


def messages(version: str) -> list[object]:
    found = [MembershipFrame.decode(frame) for frame in recorded(FOLDER / f"{version}.pcap")]
    # The kernel's own groups come when it likes.
    return [frame.message for frame in found if frame.destination.is_global or "::1:ff" not in str(frame.message)]


def records(version: str) -> list[tuple[int, object, tuple[object, ...]]]:
    told = [message for message in messages(version) if isinstance(message, Report3 | Report2)]
    found = [(record.type, record.group, record.sources) for report in told for record in report.records]
    return [message for message in dict.fromkeys(found) if message[1] in (ANY, SPECIFIC, SIX)]


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda path: path.stem)
def test_every_frame_is_written_back_as_it_was(capture: Path) -> None:
    frames = list(recorded(capture))
    assert frames
    for octets in frames:
        frame = MembershipFrame.decode(octets)
        again = frame.encode()
        assert MembershipFrame.decode(again) == frame
        # Padding up to the minimum is ours; so are IP's identification and "don't fragment", which say nothing here.
        assert again[34 : len(octets)] == octets[34:]
        assert frame.dst == group_mac(frame.destination)


def test_version_3_tells_sources() -> None:
    assert records("v3") == [
        (RecordType.TO_EXCLUDE, ANY, ()),
        (RecordType.ALLOW, SPECIFIC, (SOURCE,)),
        (RecordType.BLOCK, ANY, (SOURCE,)),
        (RecordType.TO_EXCLUDE, SIX, ()),
        (RecordType.TO_INCLUDE, SIX, ()),
        (RecordType.BLOCK, SPECIFIC, (SOURCE,)),
        (RecordType.TO_INCLUDE, ANY, ()),
    ]


def test_version_2_joins_and_leaves() -> None:
    told = [
        (message.type, message.group) for message in messages("v2") if isinstance(message, igmp.IgmpV1V2 | mld.MldV1)
    ]
    assert list(dict.fromkeys(entry for entry in told if entry[1] in (ANY, SPECIFIC, SIX))) == [
        (IgmpType.V2_REPORT, ANY),
        (IgmpType.V2_REPORT, SPECIFIC),
        (MldType.V1_REPORT, SIX),
        (MldType.DONE, SIX),
        (IgmpType.LEAVE, ANY),
        (IgmpType.LEAVE, SPECIFIC),
    ]


def test_version_1_never_leaves() -> None:
    told = [message.type for message in messages("v1") if isinstance(message, igmp.IgmpV1V2)]
    assert set(told) == {IgmpType.V1_REPORT}


# --- by hand, from the figures of the RFCs ------------------------------------------------------------
GENERAL_2 = "1164ee9b00000000"
GENERAL_1 = "1100eeff00000000"
GENERAL_3 = "1164ec1e00000000027d0000"
SOURCES_3 = "110a df6e ef010203 0a7d 0002 0a000001 0a000002".replace(" ", "")


@pytest.mark.parametrize(
    ("octets", "message"),
    [
        (GENERAL_1, igmp.IgmpV1V2(IgmpType.QUERY)),
        (GENERAL_2, igmp.IgmpV1V2(IgmpType.QUERY, max_response=100)),
        (GENERAL_3, Query3()),
        (
            SOURCES_3,
            Query3(ANY, (IPv4Address("10.0.0.1"), IPv4Address("10.0.0.2")), max_response_code=10, suppress=True),
        ),
    ],
)
def test_queries_by_hand(octets: str, message: igmp.Igmp) -> None:
    assert message.encode().hex() == octets
    assert decode_igmp(bytes.fromhex(octets)) == message


@pytest.mark.parametrize("length", [9, 10, 11])
def test_a_query_of_a_length_between_the_versions_is_none(length: int) -> None:
    query = igmp.IgmpV1V2(IgmpType.QUERY, trailer=bytes(length - 8)).encode()
    with pytest.raises(WireError, match="wanted"):
        decode_igmp(query)


@pytest.mark.parametrize(("message", "flipped"), [(Query3(), 4), (Report3((GroupRecord(RecordType.ALLOW, ANY),)), 9)])
def test_a_wrong_checksum_is_refused(message: igmp.Igmp, flipped: int) -> None:
    octets = bytearray(message.encode())
    octets[flipped] ^= 1
    with pytest.raises(WireError, match="checksum"):
        decode_igmp(bytes(octets))


def test_mld_between_other_addresses_is_damaged() -> None:
    one, two = IPv6Address("fe80::1"), IPv6Address("ff02::1")
    octets = Query2().encode(one, two)
    assert decode_mld(octets, one, two) == Query2()
    with pytest.raises(WireError, match="checksum"):
        decode_mld(octets, IPv6Address("fe80::2"), two)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hop_limit": 2}, "hop limit"),
        ({"options": b""}, "Router Alert"),
        ({"options": b"\x01\x04\0\0\0\0"}, "Router Alert"),
        ({"source": "2001:db8::1"}, "MLD from"),
    ],
)
def test_mld_from_elsewhere_is_refused(change: dict[str, object], reason: str) -> None:
    source, destination = IPv6Address("fe80::1"), IPv6Address("ff02::16")
    if "source" in change:
        change = {"source": ip_address(str(change["source"]))}
        source = change["source"]  # type: ignore[assignment]
    report = Report2((GroupRecord(RecordType.TO_EXCLUDE, SIX),)).encode(source, destination)
    packet = replace(Ipv6(source, destination, PROTO_ICMPV6, report, ROUTER_ALERT_6), **change)  # type: ignore[arg-type]
    octets = bytes(6) + bytes.fromhex("525400000001") + b"\x86\xdd" + packet.encode()
    with pytest.raises(WireError, match=reason):
        MembershipFrame.decode(octets)


def test_groups_share_ethernet_addresses() -> None:
    assert group_mac(ANY) == group_mac(IPv4Address("224.129.2.3")) == 0x01005E010203
    assert group_mac(SIX) == 0x333300000042
