"""Frames that do not end where they should; tests/interop compares whole ones with Open vSwitch."""

from __future__ import annotations

import random

import pytest

from ryu_apps.evb.explanation.frame_reader import read_frame
from ryu_apps.evb.explanation.words import frame_words
from ryu_apps.evb.explanation.written_frame import read_fields
from tests.interop.octets import Ends, echo, ethernet, ipv6, part, tcp, udp

FOUR, SIX = Ends.of("10.0.0.1", "10.0.0.2"), Ends.of("fe80::1", "fe80::2")
WHOLE = (
    ethernet(0x0800, part(FOUR, 6, tcp(1, 2))),
    ethernet(0x0800, part(FOUR, 17, udp(1, 2, 30), more=True)),
    ethernet(0x86DD, ipv6(SIX, 58, echo(SIX, 8)), (0x8100, 0x2064)),
    ethernet(0x86DD, ipv6(SIX, 0, bytes([43, 0, *bytes(6)]) + bytes([6, 0, *bytes(6)]) + tcp(1, 2))),
    ethernet(0x86DD, ipv6(SIX, 58, bytes([135, *bytes(7)]) + SIX.target.packed + bytes([1, 1, 2, 0, 0, 0, 0, 9]))),
    ethernet(0x0806, bytes.fromhex("0001080006040001") + bytes(20)),
)


@pytest.mark.parametrize("whole", WHOLE)
def test_every_cut_is_read(whole: bytes) -> None:
    full = read_frame(whole)
    for end in range(14, len(whole)):
        found = read_frame(whole[:end])
        assert found["eth_dst"] == full["eth_dst"]
        frame_words(found)
    with pytest.raises(ValueError, match="13 octets are no Ethernet frame"):
        read_frame(whole[:13])


def test_noise_is_read() -> None:
    chosen = random.Random(81)
    for _ in range(2000):
        noise = bytearray(chosen.choice(WHOLE))
        for _ in range(4):
            noise[chosen.randrange(len(noise))] = chosen.randrange(256)
        frame_words(read_frame(bytes(noise)))


def test_extension_headers_are_passed() -> None:
    assert read_frame(WHOLE[3])["tcp_dst"] == 2


def test_a_solicitation_has_its_option() -> None:
    found = read_frame(WHOLE[4])
    assert (found["ipv6_nd_target"], found["ipv6_nd_sll"], found["nd_options_type"]) == (
        int(SIX.target),
        0x020000000009,
        1,
    )


def test_tag_and_priority() -> None:
    found = read_frame(WHOLE[2])
    assert (found["vlan_vid"], found["vlan_pcp"], found["icmpv6_type"]) == (0x1064, 1, 128)


@pytest.mark.parametrize(
    ("written", "octets"),
    [
        (["ipv4_src=10.0.0.1", "ipv4_dst=10.0.0.2", "tcp_src=1", "tcp_dst=2"], WHOLE[0]),
        (["ipv4_src=10.0.0.1", "ipv4_dst=10.0.0.2", "udp_src=1", "udp_dst=2", "ip_frag=first"], WHOLE[1]),
        (["ipv6_src=fe80::1", "ipv6_dst=fe80::2", "ip_proto=icmpv6", "vlan_vid=100", "vlan_pcp=1"], WHOLE[2]),
        (
            [
                *("ipv6_src=fe80::1", "ipv6_dst=fe80::2", "icmpv6_type=neighbour_solicitation"),
                *("ipv6_nd_target=fe80::2", "ipv6_nd_sll=02:00:00:00:00:09"),
            ],
            WHOLE[4],
        ),
        (["eth_type=arp", "arp_sha=00:00:00:00:00:00"], WHOLE[5]),
    ],
)
def test_a_written_frame_is_the_same_as_its_octets(written: list[str], octets: bytes) -> None:
    ends = ["eth_src=02:00:00:00:00:01", "eth_dst=02:00:00:00:00:02"]
    assert read_fields([*ends, *written]) == read_frame(octets)
