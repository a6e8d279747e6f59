"""Illegal values cannot be built, and damaged frames fail for the reason the text gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ryu_apps.evb.wire import cisco
from ryu_apps.evb.wire.association import Associate, MalformedAssociation, VdpMode
from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import MINIMUM_FRAME, Frame
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv
from ryu_apps.evb.wire.filter_info import FilterInfo, GroupMacVid, GroupVid, MacVid, Vid, max_entries
from ryu_apps.evb.wire.lldp import Lldpdu, OtherTlv, Ttl, bridge_lldpdu
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.evb.wire.status import RequestStatus, ResponseStatus
from ryu_apps.evb.wire.vdp import ManagerId, OrganizationalTlv, UnknownTlv, VdpPdu
from ryu_apps.evb.wire.vsi_id import VsiId, VsiIdFormat

VSI = VsiId(VsiIdFormat.UUID, bytes(range(16)))
MANAGER = ManagerId().encode()
#: Fixed part of an association value: status, type 5/4, the VSIID; then format and count follow.
HEAD = b"\0\0\0\5\4\5" + VSI.octets
EVB = EvbTlv(mode=EvbMode.BRIDGE, r=3, rte=10, rwd=17, rka=17)


@pytest.mark.parametrize(
    ("build", "reason"),
    [
        (lambda: Vid(4096), "VID or PCP"),
        (lambda: Vid(-1), "VID or PCP"),
        (lambda: Vid(1, pcp=8), "VID or PCP"),
        (lambda: MacVid(1, 1 << 48), "not a MAC address"),
        (lambda: GroupVid(1, 1 << 32), "not a group id"),
        (lambda: GroupMacVid(1, -1, 0), "not a MAC address"),
        (lambda: GroupMacVid(1, 0, -1), "not a group id"),
        (lambda: FilterInfo(5, ()), "filter info format 5"),
        (lambda: FilterInfo(1, (MacVid(1, 1),)), "not of filter info format 1"),
        (lambda: FilterInfo(2, (MacVid(1, 1),) * 61), "do not fit one TLV"),
        (FilterInfo.of, "needs its format"),
        (lambda: VsiId(VsiIdFormat.UUID, bytes(15)), "not 15"),
        (lambda: ManagerId(bytes(17)), "not 17"),
        (lambda: Associate(RequestStatus(), 1 << 24, 0, VSI, FilterInfo(1, ())), "VSI type"),
        (lambda: Associate(RequestStatus(), 0, 256, VSI, FilterInfo(1, ())), "VSI type"),
        (lambda: RequestStatus(reason=16), "4 bits"),
        (lambda: ResponseStatus(16), "4 bits"),
        (lambda: MalformedAssociation(VdpMode.ASSOCIATE, bytes(24)), "24 octets are less than the fixed part"),
        (lambda: OrganizationalTlv(1 << 24, b""), "not an OUI"),
        (lambda: OrganizationalTlv(1, bytes(509)), "no TLV of type 127"),
        (lambda: UnknownTlv(5, bytes(16)), "type 5 has a class of its own"),
        (lambda: UnknownTlv(0, b""), "type 0 has a class of its own"),
        (lambda: UnknownTlv(128, b""), "no TLV of type 128"),
        (lambda: Frame(1 << 48, 0, 0, b""), "Ethernet header"),
        (lambda: Ecpdu(EcpOp.REQUEST, 1 << 10, 0), "ECP header"),
        (lambda: Ecpdu(EcpOp.REQUEST, 1, 1 << 16), "ECP header"),
        (lambda: EvbTlv(mode=EvbMode.BRIDGE, r=8, rte=10, rwd=17, rka=17), "r is 8"),
        (lambda: EvbTlv(mode=EvbMode.BRIDGE, r=3, rte=10, rwd=17, rka=32), "rka is 32"),
        (lambda: Ttl(1 << 16), "time to live"),
        (lambda: OtherTlv(9, bytes(512)), "no TLV of type 9"),
        (lambda: Lldpdu((Ttl(1),)), "begins with chassis"),
        (lambda: mac_to_text(1 << 48), "48-bit"),
    ],
)
def test_what_cannot_be_on_the_wire_cannot_be_built(build: Callable[[], object], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        build()


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        (b"", "2 octets wanted, 0 left"),
        (b"\x06\x21", "TLV value"),
        (b"\x06\x00", "TLV type 3 in place of the VSI Manager ID"),
        (b"\x0a\x0f" + bytes(15), "15 octets instead of 16"),
        (MANAGER + MANAGER, "a second VSI Manager ID"),
        (MANAGER + b"\x12\x04abc", "4 octets wanted, 3 left"),
        (MANAGER + b"\x12", "2 octets wanted, 1 left"),
    ],
)
def test_a_vdp_pdu_that_is_not_one_is_refused(payload: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        VdpPdu.decode(payload)


def vdp_with(value: bytes, after: bytes = b"\0\0") -> VdpPdu:
    """A PDU of one Associate with this value."""
    return VdpPdu.decode(MANAGER + (3 << 9 | len(value)).to_bytes(2) + value + after)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (HEAD + b"\2\0\2" + bytes(8), "16 octets wanted, 8 left"),
        (HEAD + b"\2\0\1" + bytes(9), "1 of 34 octets left over"),
        (HEAD + b"\7\0\0", "unknown filter info format 7"),
        (HEAD.replace(b"\4\5", b"\4\6", 1) + b"\1\0\0", "unknown VSIID format 6"),
    ],
)
def test_a_malformed_association_keeps_its_octets_and_is_answered(value: bytes, reason: str) -> None:
    pdu = vdp_with(value, after=OrganizationalTlv(1, b"x").encode() + b"\0\0")
    (malformed,) = pdu.malformed
    assert reason in malformed.reason
    assert malformed.octets == value
    assert malformed.answer().octets == b"\x41" + value[1:]
    assert pdu.tlvs[1:] == (OrganizationalTlv(1, b"x"),)
    assert list(pdu.associations()) == []


def test_organizational_tlvs_of_a_malformed_association_are_nobody_else_s() -> None:
    good = Associate(RequestStatus(), 5, 4, VSI, FilterInfo.of(Vid(1)))
    bad = MalformedAssociation(VdpMode.ASSOCIATE, HEAD + b"\7\0\0")
    pdu = VdpPdu(ManagerId(), (good, bad, OrganizationalTlv(1, b"x")))
    assert list(VdpPdu.decode(pdu.encode()).associations()) == [(good, ())]


def test_more_entries_than_a_tlv_carries_are_refused_wherever_they_stand() -> None:
    with pytest.raises(WireError, match="244 entries do not fit one TLV"):
        FilterInfo.decode(Cursor(b"\1\0\xf4" + bytes(2 * 244)))


def test_what_follows_a_wrapped_length_is_no_tlv() -> None:
    # 64 MAC/VID entries: 25 + 512 octets leave 25 in the length field.
    entries = b"".join(MacVid(100, 0x525400113000 + number).encode() for number in range(64))
    pdu = vdp_with(HEAD + b"\2\0\x40", after=entries)
    (malformed,) = pdu.tlvs
    assert isinstance(malformed, MalformedAssociation)
    assert pdu.trailer == entries
    assert malformed.answer().octets == b"\x41" + HEAD[1:] + b"\2\0\0"


def test_an_association_too_short_to_be_answered_is_only_kept() -> None:
    pdu = vdp_with(bytes(24), after=b"\x12\x01x")
    assert pdu.tlvs == (UnknownTlv(3, bytes(24)),)
    assert (pdu.malformed, pdu.trailer) == ((), b"\x12\x01x")


def test_a_pdu_of_ours_always_ends_with_an_end_tlv() -> None:
    assert VdpPdu(ManagerId()).encode() == MANAGER + b"\0\0"


def test_one_octet_of_padding_is_no_tlv() -> None:
    assert VdpPdu.decode(MANAGER + b"\0").trailer == b"\0"


@pytest.mark.parametrize(("code", "most"), [(1, 243), (2, 60), (3, 81), (4, 40)])
def test_a_full_filter_fits_its_tlv(code: int, most: int) -> None:
    entry = {1: Vid(1), 2: MacVid(1, 1), 3: GroupVid(1, 1), 4: GroupMacVid(1, 1, 1)}[code]
    full = Associate(RequestStatus(), 5, 4, VSI, FilterInfo(code, (entry,) * most))
    assert max_entries(code) == most
    assert VdpPdu.decode(VdpPdu(ManagerId(), (full,)).encode()).tlvs == (full,)


@pytest.mark.parametrize(
    ("entry", "octets"),
    [
        (Vid(100, pcp=5, ps=True), "d064"),
        (MacVid(100, 0x525400112233), "5254001122330064"),
        (GroupVid(0xFFF, 0x12345678, pcp=7), "123456787fff"),
        (GroupMacVid(0, 0x525400112233, 10), "0000000a5254001122330000"),
    ],
)
def test_filter_entries_on_the_wire(entry: Vid | MacVid | GroupVid | GroupMacVid, octets: str) -> None:
    assert entry.encode().hex() == octets


@pytest.mark.parametrize(
    ("vsi_id", "text"),
    [
        (VSI, "00010203-0405-0607-0809-0a0b0c0d0e0f"),
        (VsiId(VsiIdFormat.IPV4, bytes(10) + b"\xff\xff\x0a\0\0\1"), "ipv4:10.0.0.1"),
        (VsiId(VsiIdFormat.IPV4, bytes(12) + b"\x0a\0\0\1"), "ipv4:0000000000000000000000000a000001"),
        (VsiId(VsiIdFormat.IPV6, b"\xfe\x80" + bytes(13) + b"\1"), "ipv6:fe80::1"),
        (VsiId(VsiIdFormat.IPV6, bytes(10) + b"\xff\xff\x0a\0\0\1"), "ipv6:::ffff:10.0.0.1"),
        (VsiId(VsiIdFormat.MAC, bytes(10) + b"RT\0\x11\x22\x33"), "mac:52:54:00:11:22:33"),
        (VsiId(VsiIdFormat.MAC, b"\1" * 16), "mac:" + "01" * 16),
        (VsiId(VsiIdFormat.LOCAL, bytes(range(16))), "local:000102030405060708090a0b0c0d0e0f"),
    ],
)
def test_vsi_ids_as_text(vsi_id: VsiId, text: str) -> None:
    assert str(vsi_id) == text
    assert VsiId.from_text(text) == VsiId.from_text(text.upper().replace(*_prefix_case(text))) == vsi_id


def _prefix_case(text: str) -> tuple[str, str]:
    """Prefixes are lower case; digits may be either."""
    prefix = text.partition(":")[0] if ":" in text else ""
    return prefix.upper(), prefix


@pytest.mark.parametrize(
    "text",
    [
        "",
        "web1",
        "uuid:00010203-0405-0607-0809-0a0b0c0d0e0f",
        "{00010203-0405-0607-0809-0a0b0c0d0e0f}",
        "000102030405060708090a0b0c0d0e0f",
        "00010203-0405-0607-0809-0a0b0c0d0e0",
        "0001020304-05-0607-0809-0a0b0c0d0e0f",
        "ipv4:10.0.0",
        "ipv4:fe80::1",
        "mac:52:54:00:11:22",
        "local:0001",
        "local:0001 02030405060708090a0b0c0d0e0f",
    ],
)
def test_what_is_no_vsi_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a VSIID"):
        VsiId.from_text(text)


@pytest.mark.parametrize("octets", [b"", bytes(13)])
def test_less_than_an_ethernet_header_is_refused(octets: bytes) -> None:
    with pytest.raises(WireError, match="Ethernet header"):
        Frame.decode(octets)


def test_frames_are_padded_only_when_asked() -> None:
    frame = Frame(1, 2, 0x8940, b"\x14\x01\0\1")
    assert (len(frame.encode()), len(frame.encode(pad=True))) == (18, MINIMUM_FRAME)
    assert frame.encode(pad=True) == frame.encode() + bytes(42)


@pytest.mark.parametrize("word", [0x1801, 0x1C01])
def test_an_unknown_ecp_operation_is_refused(word: int) -> None:
    with pytest.raises(WireError, match="unknown ECP operation"):
        Ecpdu.decode(word.to_bytes(2) + b"\0\1")


def test_an_acknowledgement_repeats_the_header() -> None:
    request = Ecpdu(EcpOp.REQUEST, subtype=2, sequence=0xFFFF, payload=b"x", version=3)
    assert request.acknowledgement() == Ecpdu(EcpOp.ACK, subtype=2, sequence=0xFFFF, version=3)
    assert Ecpdu(EcpOp.REQUEST, 1, 1).acknowledgement().encode().hex() == "14010001"


@pytest.mark.parametrize("length", [8, 10])
def test_an_evb_tlv_of_another_length_is_refused(length: int) -> None:
    value = EVB.encode().ljust(10, b"\0")[:length]
    with pytest.raises(WireError):
        EvbTlv.decode(value)
    with pytest.raises(WireError):
        Lldpdu.decode(bridge_lldpdu(1, "p", 120, None).encode()[:-2] + bytes((0xFE, length)) + value)


def test_another_organization_s_tlv_is_not_the_evb_tlv() -> None:
    with pytest.raises(WireError, match="is not the EVB TLV"):
        EvbTlv.decode(b"\0\x1b\x3f\0" + bytes(5))


def test_the_bridge_s_lldpdu_octet_by_octet() -> None:
    evb = EvbTlv(mode=EvbMode.BRIDGE, r=3, rte=8, rwd=20, rka=20, rrcap=True)
    lldpdu = bridge_lldpdu(0x020000000201, "p0", 120, evb)
    assert lldpdu.encode().hex(" ") == (
        "02 07 04 02 00 00 00 02 01 04 03 05 70 30 06 02 00 78 fe 09 00 80 c2 0d 02 00 68 54 14 00 00"
    )
    assert (lldpdu.ttl, lldpdu.evb) == (120, evb)


def test_a_shutdown_lldpdu_has_neither_evb_nor_time() -> None:
    shutdown = Lldpdu.decode(bridge_lldpdu(1, "p0", 0, None).encode())
    assert (shutdown.ttl, shutdown.evb) == (0, None)
    assert shutdown.neighbour == bridge_lldpdu(1, "p0", 120, EVB).neighbour


@pytest.mark.parametrize(
    ("octets", "reason"),
    [
        (b"", "begins with chassis id"),
        (b"\x06\x02\0\1\0\0", "begins with chassis id"),
        (b"\x02\x01\x04", "identifier out of range"),
        (b"\x02\x00", "identifier out of range"),
        (b"\x02\x02\4a\4\2\5a\6\3\0\0\0", "3 octets of time to live"),
    ],
)
def test_an_lldpdu_that_is_not_one_is_refused(octets: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        Lldpdu.decode(octets)


def test_an_lldpdu_without_end_survives() -> None:
    octets = bridge_lldpdu(1, "p0", 120, EVB).encode()[:-2]
    assert Lldpdu.decode(octets).encode() == octets


@pytest.mark.parametrize(
    ("info", "reason"),
    [
        (b"\xf1" + bytes(17), "unknown VSIID format 0"),
        (b"\xf1\5" + bytes(16) + b"\5" + bytes(16) + b"\xe4", "ASCII"),
        (b"\xf2\5" + bytes(16) + b"\0\3" + bytes(4), "unknown address family 3"),
        (b"\xf2\5" + bytes(16) + b"\0\1" + bytes(5), "left over"),
        (b"\xf2\5", "17 octets wanted"),
    ],
)
def test_damaged_cisco_tlvs(info: bytes, reason: str) -> None:
    with pytest.raises(WireError, match=reason):
        cisco.decode(OrganizationalTlv(cisco.CISCO_OUI, info))


@pytest.mark.parametrize(
    "tlv", [OrganizationalTlv(1, b"\xf1"), OrganizationalTlv(0xC, b""), OrganizationalTlv(0xC, b"\xf3")]
)
def test_other_organizational_tlvs_mean_nothing(tlv: OrganizationalTlv) -> None:
    assert cisco.decode(tlv) is None
