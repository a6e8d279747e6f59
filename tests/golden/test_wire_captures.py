"""Every recorded frame decodes to values and encodes to the same octets (captures/README.rst)."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from ryu_apps.evb.wire import cisco
from ryu_apps.evb.wire.ecp import SUBTYPE_VDP, Ecpdu, EcpOp
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import (
    ETHERTYPE_DRAFT_ECP,
    ETHERTYPE_ECP,
    ETHERTYPE_LLDP,
    NEAREST_BRIDGE,
    NEAREST_CUSTOMER_BRIDGE,
    Frame,
)
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus
from ryu_apps.evb.wire.filter_info import FilterInfo, GroupMacVid, GroupVid, MacVid, Vid
from ryu_apps.evb.wire.lldp import Lldpdu
from ryu_apps.evb.wire.vdp import (
    Associate,
    Association,
    DeAssociate,
    PreAssociate,
    PreAssociateRR,
    RequestStatus,
    ResponseStatus,
    UnknownTlv,
    VdpError,
    VdpPdu,
)
from ryu_apps.evb.wire.vsi_id import VsiId

CAPTURES = sorted((Path(__file__).parent / "captures").glob("*.pcap"))
STATION, BRIDGE = 0x020000000101, 0x020000000201
MIGRATION_TARGET = 0x020000010001
#: The bridge's answer in this file was made wrong on purpose: no Manager ID TLV.
WITHOUT_MANAGER = "62-response-without-manager-tlv.pcap"


def recorded(path: Path) -> Iterator[bytes]:
    """The frames of a little-endian pcap file."""
    data = path.read_bytes()
    place = 24
    while place < len(data):
        (length,) = struct.unpack_from("<8xI", data, place)
        yield data[place + 16 : place + 16 + length]
        place += 16 + length


def frames_of(number: str) -> list[Frame]:
    (path,) = [path for path in CAPTURES if path.name.startswith(number)]
    return [Frame.decode(octets) for octets in recorded(path)]


def requests_of(number: str, src: int) -> list[VdpPdu]:
    """VDP payloads that ``src`` sent, retransmissions included."""
    ecpdus = [Ecpdu.decode(frame.payload) for frame in frames_of(number) if frame.src == src]
    return [VdpPdu.decode(ecpdu.payload) for ecpdu in ecpdus if ecpdu.op is EcpOp.REQUEST]


def only_association(pdu: VdpPdu) -> Association:
    ((association, _),) = pdu.associations()
    return association


def is_draft(path: Path) -> bool:
    return path.name >= "90"


def test_all_recordings_are_here() -> None:
    listed = (Path(__file__).parent / "captures" / "README.rst").read_text()
    assert len(CAPTURES) == 85
    assert all(f"``{path.name}``\n     - {len(list(recorded(path)))}\n" in listed for path in CAPTURES)


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_every_frame_survives_decoding_and_encoding(path: Path) -> None:
    for octets in recorded(path):
        frame = Frame.decode(octets)
        assert frame.encode() == octets
        if frame.ethertype == ETHERTYPE_LLDP:
            assert Lldpdu.decode(frame.payload).encode() == frame.payload
        elif frame.ethertype == ETHERTYPE_ECP:
            ecpdu = Ecpdu.decode(frame.payload)
            assert (ecpdu.version, ecpdu.subtype) == (1, SUBTYPE_VDP)
            assert ecpdu.encode() == frame.payload
            if ecpdu.op is EcpOp.REQUEST and (path.name != WITHOUT_MANAGER or frame.src == STATION):
                assert VdpPdu.decode(ecpdu.payload).encode() == ecpdu.payload


@pytest.mark.parametrize("path", [path for path in CAPTURES if not is_draft(path)], ids=lambda path: path.stem)
def test_ratified_recordings_hold_nothing_but_lldp_and_ecp_to_the_nearest_customer_bridge(path: Path) -> None:
    frames = [Frame.decode(octets) for octets in recorded(path)]
    assert {frame.dst for frame in frames} == {NEAREST_CUSTOMER_BRIDGE}
    assert {frame.ethertype for frame in frames} <= {ETHERTYPE_LLDP, ETHERTYPE_ECP}


@pytest.mark.parametrize("path", [path for path in CAPTURES if is_draft(path)], ids=lambda path: path.stem)
def test_draft_recordings_show_no_ratified_evb(path: Path) -> None:
    for frame in map(Frame.decode, recorded(path)):
        if frame.ethertype == ETHERTYPE_LLDP:
            assert Lldpdu.decode(frame.payload).evb is None
        else:
            assert (frame.dst, frame.ethertype) == (NEAREST_BRIDGE, ETHERTYPE_DRAFT_ECP)


@pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)
def test_no_recorded_ratified_tlv_is_malformed(path: Path) -> None:
    for frame in map(Frame.decode, recorded(path)):
        if frame.ethertype != ETHERTYPE_ECP:
            continue
        ecpdu = Ecpdu.decode(frame.payload)
        if ecpdu.op is EcpOp.REQUEST and (path.name != WITHOUT_MANAGER or frame.src == STATION):
            assert VdpPdu.decode(ecpdu.payload).malformed == ()


def test_the_response_without_manager_id_is_refused() -> None:
    with pytest.raises(WireError, match="VSI Manager ID"):
        requests_of("62", BRIDGE)


def test_associate_as_lldpad_sends_it() -> None:
    (pdu,) = requests_of("02", STATION)
    assert pdu.manager_id.octets == b"mgr1".ljust(16, b"\0")
    assert pdu.trailer == b""  # lldpad sends no End TLV
    assert only_association(pdu) == Associate(
        RequestStatus(),
        type_id=5,
        version=4,
        vsi_id=VsiId.from_text("11223344-5566-7788-99aa-bbccddeeff00"),
        filter_info=FilterInfo.of(MacVid(100, 0x525400112233)),
    )


def test_our_answer_to_the_recorded_associate_is_the_recorded_answer() -> None:
    (request,), (response,) = requests_of("02", STATION), requests_of("02", BRIDGE)
    answer = VdpPdu(request.manager_id, (only_association(request).answer(ResponseStatus()),))
    assert answer.encode() == response.encode()


@pytest.mark.parametrize("number", ["44", "45", "46"])
def test_our_unsolicited_deassociate_is_the_recorded_one(number: str) -> None:
    (request,), (_, ending) = requests_of(number, STATION), requests_of(number, BRIDGE)
    ours = VdpPdu(request.manager_id, (only_association(request).unsolicited_deassociate(),))
    assert ours.encode() == ending.encode()


@pytest.mark.parametrize(
    ("number", "kinds"),
    [
        ("04", [PreAssociate]),
        ("05", [PreAssociateRR]),
        ("06", [Associate]),
        ("07", [Associate, DeAssociate]),
    ],
)
def test_the_modes(number: str, kinds: list[type[Association]]) -> None:
    assert [type(only_association(pdu)) for pdu in requests_of(number, STATION)] == kinds


def test_migration_hints_on_the_port_the_vm_moves_to() -> None:
    sent = [only_association(pdu) for pdu in requests_of("81", MIGRATION_TARGET)]
    assert [type(request) for request in sent] == [PreAssociateRR, Associate]
    assert {request.status for request in sent} == {RequestStatus(migrating=True)}


@pytest.mark.parametrize(
    ("number", "status"),
    [
        ("08-assoc-error-1", ResponseStatus(VdpError.INVALID_FORMAT)),
        ("08-assoc-error-2", ResponseStatus(VdpError.INSUFFICIENT_RESOURCES)),
        ("08-assoc-error-3", ResponseStatus(VdpError.UNABLE_TO_CONTACT_VSI_MANAGER)),
        ("08-assoc-error-4", ResponseStatus(VdpError.OTHER_FAILURE)),
        ("08-assoc-error-5", ResponseStatus(VdpError.INVALID_VID_GROUP_MAC)),
        ("08-assoc-error-7", ResponseStatus(7)),
        ("09", ResponseStatus(VdpError.INSUFFICIENT_RESOURCES, hard=True)),
        ("13", ResponseStatus(VdpError.INSUFFICIENT_RESOURCES, keep=True)),
    ],
)
def test_the_response_codes(number: str, status: ResponseStatus) -> None:
    assert only_association(requests_of(number, BRIDGE)[0]).status == status


def test_a_hard_bit_without_error_is_success() -> None:
    status = only_association(requests_of("10", BRIDGE)[0]).status
    assert status == ResponseStatus(hard=True)
    assert status.success


def test_hints() -> None:
    assert only_association(requests_of("34-hints-to", STATION)[0]).status == RequestStatus(migrating=True)
    assert only_association(requests_of("34-hints-from", STATION)[0]).status == RequestStatus(suspended=True)


@pytest.mark.parametrize(
    ("number", "entries"),
    [
        ("20", [Vid(0)]),
        ("23", [GroupVid(10, 200)]),
        ("28", [Vid(10), Vid(11), Vid(12)]),
        ("29", [MacVid(100, 0x525400112233, pcp=5, ps=True)]),
    ],
)
def test_filters_as_the_station_sends_them(number: str, entries: list[object]) -> None:
    assert list(only_association(requests_of(number, STATION)[0]).filter_info.entries) == entries


def test_a_group_filter_with_address() -> None:
    (entry,) = only_association(requests_of("24", STATION)[0]).filter_info.entries
    assert isinstance(entry, GroupMacVid)
    assert (entry.vid, entry.group) == (10, 200)


def test_the_bridge_fills_null_vids_in_their_place() -> None:
    (request, *_), (response, *_) = requests_of("27", STATION), requests_of("27", BRIDGE)
    asked = only_association(request)
    filled = FilterInfo(
        2, tuple(entry.with_vid(777) if entry.vid == 0 else entry for entry in asked.filter_info.entries)
    )
    assert [entry.vid for entry in asked.filter_info.entries] == [0, 200, 0]
    assert asked.answer(ResponseStatus(), filled) == only_association(response)


def test_organizational_tlvs_belong_to_the_association_before_them() -> None:
    ((association, organizational),) = requests_of("35", STATION)[0].associations()
    name, address = map(cisco.decode, organizational)
    assert name == cisco.VmName(association.vsi_id, VsiId.from_text("00112233-4455-6677-8899-aabbccddeeff"), "vm1")
    assert address == cisco.L3Address(association.vsi_id, IPv4Address("10.1.2.3"))


def test_a_wrapped_length_is_survived_and_answered_by_nothing() -> None:
    wrapped = requests_of("36", STATION)[-1]
    assert wrapped.tlvs == (UnknownTlv(3, b"\0"),)
    assert list(wrapped.associations()) == []


def test_sixty_entries_fit() -> None:
    counts = {len(only_association(pdu).filter_info.entries) for pdu in requests_of("36", STATION)[:-1]}
    assert counts == {50, 60}


def test_several_associations_in_one_ecpdu() -> None:
    together = requests_of("47", BRIDGE)[-1]
    assert [association.vsi_id.octets[-1] for association, _ in together.associations()] == [0x90, 0x91, 0x92]


def test_the_station_s_first_evb_tlv() -> None:
    first = next(frame for frame in frames_of("01") if frame.src == STATION)
    assert Lldpdu.decode(first.payload).ttl == 120
    assert Lldpdu.decode(first.payload).evb == EvbTlv(
        mode=EvbMode.STATION, r=3, rte=8, rwd=20, rka=20, rrcap=True, rol_rwd=True, rol_rka=True
    )


def test_grouping_in_the_evb_tlv() -> None:
    evbs = [Lldpdu.decode(frame.payload).evb for frame in frames_of("22") if frame.src == STATION]
    assert [(evb.bgid, evb.sgid) for evb in evbs if evb] == [(True, True)]


def test_reflective_relay_in_the_evb_tlv() -> None:
    evbs = [Lldpdu.decode(frame.payload).evb for frame in frames_of("75") if frame.src == STATION]
    seen = [(evb.rrreq, evb.rrctr, evb.rrstat) for evb in evbs if evb]
    assert seen[0] == (True, False, RrStatus.INACTIVE)
    assert seen[-1] == (True, True, RrStatus.ACTIVE)


def test_a_shutdown_has_no_time_to_live() -> None:
    (frame,) = frames_of("72")
    assert Lldpdu.decode(frame.payload).ttl == 0
