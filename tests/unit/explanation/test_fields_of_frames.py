"""Fields of whole frames, by the octets that hold them."""

from __future__ import annotations

import pytest

from ryu_apps.evb.explanation.frame_reader import read_frame
from tests.interop.octets import Ends, ethernet, ipv6, part, tcp, udp

FOUR, SIX = Ends.of("10.0.0.1", "10.0.0.2"), Ends.of("fe80::1", "fe80::2")
SNAP = bytes.fromhex("aaaa03000000")
IPV4 = part(FOUR, 17, udp(1, 2, 8))
NO_ADDRESSES = {"ipv4_src": 0, "ipv4_dst": 0, "ip_proto": 0, "ip_dscp": 0}


def fields(octets: bytes) -> dict[str, int]:
    """All but the Ethernet addresses."""
    found = read_frame(octets)
    return {name: value for name, value in found.items() if name not in ("eth_src", "eth_dst")}


def changed(octets: bytes, **at: int) -> bytes:
    """Octets in which some have other values: ``o0`` is the first."""
    made = bytearray(octets)
    for place, value in at.items():
        made[int(place[1:])] = value
    return bytes(made)


@pytest.mark.parametrize("tag", [0x8100, 0x88A8])
def test_the_outer_tag_is_read(tag: int) -> None:
    found = fields(ethernet(0x9999, b"", (tag, 0xA064)))
    assert found == {"vlan_vid": 0x1064, "vlan_pcp": 5, "eth_type": 0x9999}


def test_a_length_is_no_type() -> None:
    assert fields(ethernet(0x0600, bytes(46))) == {"eth_type": 0x0600}
    assert fields(ethernet(0x05FF, bytes(46))) == {"eth_type": 0x05FF}
    assert fields(ethernet(46, b"\x42\x42\x03" + bytes(43))) == {"eth_type": 0x05FF}
    named = fields(ethernet(46, SNAP + b"\x08\x00" + IPV4))
    assert (named["eth_type"], named["udp_dst"]) == (0x0800, 2)
    assert fields(ethernet(46, SNAP + b"\x08")) == {"eth_type": 0x05FF}


def test_the_fields_of_arp() -> None:
    addresses = bytes.fromhex("020000000001 0a000001 020000000002 0a000002")
    head = bytes.fromhex("0001080006040002")
    expected = {
        "arp_op": 2,
        "arp_sha": 0x020000000001,
        "arp_spa": 0x0A000001,
        "arp_tha": 0x020000000002,
        "arp_tpa": 0x0A000002,
    }
    assert fields(ethernet(0x0806, head + addresses)) == {"eth_type": 0x0806, **expected}
    largest, larger = (fields(ethernet(0x0806, head[:6] + op + addresses)) for op in (b"\x00\xff", b"\x01\x00"))
    assert (largest["arp_op"], larger["arp_op"], larger["arp_sha"]) == (0xFF, 0, 0x020000000001)
    other = fields(ethernet(0x0806, changed(head, o4=8) + addresses))
    assert other == {"eth_type": 0x0806, **dict.fromkeys(expected, 0)}


def test_the_fields_of_ipv4() -> None:
    found = fields(ethernet(0x0800, changed(IPV4, o1=0xB8)))
    addresses = {"ipv4_src": 0x0A000001, "ipv4_dst": 0x0A000002, "ip_proto": 17, "ip_dscp": 46}
    assert found == {"eth_type": 0x0800, **addresses, "udp_src": 1, "udp_dst": 2}
    options = changed(IPV4[:20], o0=0x46, o3=32) + bytes(4) + IPV4[20:28]
    assert fields(ethernet(0x0800, options))["udp_dst"] == 2


@pytest.mark.parametrize(
    "wrong",
    [changed(IPV4, o0=0x65), changed(IPV4, o0=0x44), changed(IPV4, o2=9), changed(IPV4, o3=19)],
    ids=["version", "short header", "longer than the frame", "shorter than its header"],
)
def test_a_header_of_ipv4_that_contradicts_itself_is_not_read(wrong: bytes) -> None:
    assert fields(ethernet(0x0800, wrong)) == {"eth_type": 0x0800, **NO_ADDRESSES}


def test_the_fields_of_ipv6() -> None:
    packet = ipv6(SIX, 6, tcp(1, 2))
    found = fields(ethernet(0x86DD, changed(packet, o0=0x6B, o1=0x80)))
    assert (found["ip_dscp"], found["ip_proto"], found["tcp_dst"]) == (46, 6, 2)
    assert (found["ipv6_src"], found["ipv6_dst"]) == (int(SIX.source), int(SIX.target))
    assert fields(ethernet(0x86DD, ipv6(SIX, 59, b"")))["ipv6_dst"] == int(SIX.target)
    for wrong in (changed(packet, o0=0x45), changed(packet, o4=9)):
        assert fields(ethernet(0x86DD, wrong))["ipv6_dst"] == 0


@pytest.mark.parametrize(
    ("proto", "header"),
    [
        (0, bytes([6, 0, *bytes(6)])),
        (43, bytes([6, 1, *bytes(14)])),
        (51, bytes([6, 4, *bytes(22)])),
        (60, bytes([6, 0, *bytes(6)])),
    ],
    ids=["hop by hop", "routing", "authentication", "options"],
)
def test_the_ports_are_behind_an_extension_header(proto: int, header: bytes) -> None:
    found = fields(ethernet(0x86DD, ipv6(SIX, proto, header + tcp(1, 2))))
    assert (found["ip_proto"], found["tcp_src"], found["tcp_dst"]) == (6, 1, 2)
    assert "ip_frag" not in found
    assert fields(ethernet(0x86DD, ipv6(SIX, proto, header[:7])))["ip_proto"] == 0


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        (b"\x00\x01", {"ip_frag": 1, "ip_proto": 17, "udp_dst": 2}),
        (b"\x00\x08", {"ip_frag": 3, "ip_proto": 44}),
        (b"\x00\x00", {"ip_proto": 17, "udp_dst": 2}),
    ],
    ids=["first", "later", "whole"],
)
def test_a_fragment_of_ipv6_has_ports_in_its_first_part(word: bytes, expected: dict[str, int]) -> None:
    # The length that other extension headers have is reserved here, and may have any value.
    found = fields(ethernet(0x86DD, ipv6(SIX, 44, bytes([17, 9]) + word + bytes(4) + udp(1, 2, 8))))
    names = ("ip_frag", "ip_proto", "udp_dst")
    assert {name: found[name] for name in names if name in found} == expected


def test_an_extension_header_may_be_all_there_is() -> None:
    assert fields(ethernet(0x86DD, ipv6(SIX, 60, bytes([59, 0, *bytes(6)]))))["ip_proto"] == 59


def test_a_later_fragment_has_no_ports() -> None:
    later = fields(ethernet(0x0800, part(FOUR, 17, udp(1, 2, 8), offset=8)))
    assert (later["ip_frag"], later["ip_proto"]) == (3, 17)
    assert "udp_src" not in later


def icmpv6(octets: bytes) -> dict[str, int]:
    """Fields of an ICMPv6 message, without those of its headers."""
    found = fields(ethernet(0x86DD, ipv6(SIX, 58, octets)))
    headers = ("eth_type", "ipv6_src", "ipv6_dst", "ip_proto", "ip_dscp")
    return {name: value for name, value in found.items() if name not in headers}


def test_type_and_code_of_icmpv6() -> None:
    assert icmpv6(bytes([1, 4, 0, 0])) == {"icmpv6_type": 1, "icmpv6_code": 4}
    assert icmpv6(bytes([1, 4, 0])) == {"icmpv6_type": 0, "icmpv6_code": 0}


@pytest.mark.parametrize(("kind", "option", "name"), [(135, 1, "ipv6_nd_sll"), (136, 2, "ipv6_nd_tll")])
def test_the_fields_of_neighbour_discovery(kind: int, option: int, name: str) -> None:
    head = bytes([kind, 0, 0, 0, 0x60, 0, 0, 1]) + SIX.target.packed
    nothing = {"icmpv6_type": kind, "icmpv6_code": 0, "nd_reserved": 0, "ipv6_nd_target": 0}
    nothing |= {name: 0, "nd_options_type": 0}
    whole = nothing | {"nd_reserved": 0x60000001, "ipv6_nd_target": int(SIX.target)}
    address = bytes([option, 1, 2, 0, 0, 0, 0, 9])
    assert icmpv6(head) == whole
    assert icmpv6(head[:23]) == nothing
    assert icmpv6(bytes([kind, 1]) + head[2:] + address) == {"icmpv6_type": kind, "icmpv6_code": 1}
    found = whole | {name: 0x020000000009, "nd_options_type": option}
    assert icmpv6(head + address) == found
    # Behind an option of two units, and in front of one that is cut off.
    assert icmpv6(head + bytes([14, 2, *bytes(14)]) + address + bytes([14, 2, 0, 0, 0, 0, 0, 0])) == found
    # Longer than an Ethernet address, of another kind, or without a length: not read.
    for other in (bytes([option, 2, *bytes(14)]), bytes([3 - option, 1, *bytes(6)]), bytes([option, 0, *bytes(6)])):
        assert icmpv6(head + other) == whole
