"""Announcements against octets written down by hand from the RFCs, and against scapy's reading of them."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from scapy.layers.inet6 import ICMPv6ND_NA, ICMPv6NDOptDstLLAddr, IPv6
from scapy.layers.l2 import ARP, Dot1Q, Ether

from ryu_apps.evb.wire.announcement import gratuitous_arp, neighbour_advertisement, reverse_arp
from ryu_apps.evb.wire.ethernet import MINIMUM_FRAME
from ryu_apps.testbed.harness.staged import announcement

MAC = 0x525400AA0001
IPV4, IPV6 = IPv4Address("10.0.100.11"), IPv6Address("fd00:10::11")

RARP = bytes.fromhex(
    "ffffffffffff 525400aa0001 8035"  # everybody, the VM, RARP
    "0001 0800 06 04 0003"  # Ethernet, IPv4, 6 and 4 octets, request reverse
    "525400aa0001 00000000 525400aa0001 00000000"  # who am I?
)
GARP = bytes.fromhex(
    "ffffffffffff 525400aa0001 0806"
    "0001 0800 06 04 0001"  # request
    "525400aa0001 0a00640b 000000000000 0a00640b"  # who has what I have?
)
NA = bytes.fromhex(
    "333300000001 525400aa0001 86dd"
    "60000000 0020 3a ff"  # 32 octets of ICMPv6, hop limit 255
    "fd000010000000000000000000000011 ff020000000000000000000000000001"
    "88 00 095d 20000000"  # advertisement: not a router, not solicited, override
    "fd000010000000000000000000000011"
    "02 01 525400aa0001"  # target link-layer address
)


def test_rarp_is_qemus() -> None:
    encoded = reverse_arp(MAC).encode(pad=True)
    assert encoded == RARP.ljust(MINIMUM_FRAME, b"\0")
    assert encoded == announcement("52:54:00:aa:00:01")


def test_gratuitous_arp_asks_for_the_address_it_comes_from() -> None:
    assert gratuitous_arp(MAC, IPV4).encode(pad=True) == GARP.ljust(MINIMUM_FRAME, b"\0")


def test_unsolicited_advertisement_overrides_what_neighbours_know() -> None:
    assert neighbour_advertisement(MAC, IPV6).encode() == NA


def test_a_tag_stands_behind_the_addresses_of_a_frame_that_is_whole_without_it() -> None:
    encoded = reverse_arp(MAC).encode(pad=True, vid=200)
    assert encoded[:18] == RARP[:12] + bytes.fromhex("8100 00c8") + RARP[12:14]
    assert len(encoded) == MINIMUM_FRAME + 4


@pytest.mark.parametrize("address", ["fd00:10::11", "fe80::5054:ff:feaa:1", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"])
def test_scapy_reads_an_advertisement_with_the_checksum_it_would_have_computed(address: str) -> None:
    read = Ether(neighbour_advertisement(MAC, IPv6Address(address)).encode(vid=200))
    told = read[ICMPv6ND_NA]
    assert (read[Dot1Q].vlan, read[IPv6].hlim, read[IPv6].src, read[IPv6].dst) == (200, 255, address, "ff02::1")
    assert (told.R, told.S, told.O, told.tgt) == (0, 0, 1, address)
    assert told[ICMPv6NDOptDstLLAddr].lladdr == "52:54:00:aa:00:01"
    checksum = told.cksum
    del told.cksum
    assert Ether(bytes(read))[ICMPv6ND_NA].cksum == checksum


def test_scapy_reads_an_arp_announcement() -> None:
    asked = Ether(gratuitous_arp(MAC, IPV4).encode(pad=True))[ARP]
    assert (asked.op, asked.psrc, asked.pdst, asked.hwsrc) == (1, str(IPV4), str(IPV4), "52:54:00:aa:00:01")
