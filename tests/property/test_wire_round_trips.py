"""Round trips of encoders and decoders; decoders raise nothing but wire errors."""

from __future__ import annotations

from collections.abc import Callable
from ipaddress import IPv4Address, IPv6Address
from typing import Any, Protocol

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ryu_apps.evb.wire import cisco
from ryu_apps.evb.wire.association import ASSOCIATIONS, Association, MalformedAssociation, VdpMode
from ryu_apps.evb.wire.cursor import Cursor
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import Frame
from ryu_apps.evb.wire.evb_tlv import EvbMode, EvbTlv, RrStatus
from ryu_apps.evb.wire.filter_info import (
    FilterEntry,
    FilterInfo,
    GroupMacVid,
    GroupVid,
    MacVid,
    Vid,
    max_entries,
)
from ryu_apps.evb.wire.lldp import ChassisId, EndOfLldpdu, Lldpdu, LldpPortId, OtherTlv, Ttl
from ryu_apps.evb.wire.mac import mac_from_text, mac_to_text
from ryu_apps.evb.wire.status import STATUS, RequestStatus, ResponseStatus
from ryu_apps.evb.wire.vdp import ManagerId, OrganizationalTlv, UnknownTlv, VdpPdu
from ryu_apps.evb.wire.vsi_id import VsiId, VsiIdFormat


def bits(count: int) -> st.SearchStrategy[int]:
    return st.integers(0, (1 << count) - 1)


def octets(count: int) -> st.SearchStrategy[bytes]:
    return st.binary(min_size=count, max_size=count)


macs = bits(48)
frames = st.builds(Frame, macs, macs, bits(16), st.binary(max_size=80))
ecpdus = st.builds(Ecpdu, st.sampled_from(EcpOp), bits(10), bits(16), st.binary(max_size=80), bits(4))
statuses = st.sampled_from(STATUS)
vsi_ids = st.builds(
    VsiId,
    st.sampled_from(VsiIdFormat),
    st.one_of(
        octets(16),
        octets(6).map(lambda tail: bytes(10) + tail),
        octets(4).map(lambda tail: bytes(10) + b"\xff\xff" + tail),
    ),
)
tag = {"pcp": bits(3), "ps": st.booleans()}
entries: list[st.SearchStrategy[Any]] = [
    st.builds(Vid, bits(12), **tag),
    st.builds(MacVid, bits(12), macs, **tag),
    st.builds(GroupVid, bits(12), bits(32), **tag),
    st.builds(GroupMacVid, bits(12), macs, bits(32), **tag),
]
filter_infos = st.integers(1, 4).flatmap(
    lambda code: st.builds(
        FilterInfo, st.just(code), st.lists(entries[code - 1], max_size=min(5, max_entries(code))).map(tuple)
    )
)
associations: st.SearchStrategy[Association] = st.sampled_from(list(ASSOCIATIONS.values())).flatmap(
    lambda kind: st.builds(kind, statuses, bits(24), bits(8), vsi_ids, filter_infos)
)
organizational = st.builds(OrganizationalTlv, bits(24), st.binary(max_size=60))
unknown = st.builds(UnknownTlv, st.integers(6, 126), st.binary(max_size=60))
manager_ids = st.builds(ManagerId, octets(16))
trailers = st.integers(2, 40).map(bytes)
vdp_pdus = st.builds(
    VdpPdu, manager_ids, st.lists(st.one_of(associations, organizational, unknown), max_size=5).map(tuple), trailers
)
evb_tlvs = st.builds(
    EvbTlv,
    mode=st.sampled_from(EvbMode),
    r=bits(3),
    **{name: bits(5) for name in ("rte", "rwd", "rka", "bridge_reserved")},
    **{name: st.booleans() for name in ("bgid", "rrcap", "rrctr", "sgid", "rrreq", "rol_rwd", "rol_rka")},
    rrstat=st.sampled_from(RrStatus),
    station_reserved=bits(4),
    rka_reserved=bits(2),
)
identifiers = (bits(8), st.binary(min_size=1, max_size=255))
lldpdus = st.builds(
    lambda chassis, port, ttl, others, end: Lldpdu((chassis, port, ttl, *others, end)),
    st.builds(ChassisId, *identifiers),
    st.builds(LldpPortId, *identifiers),
    st.builds(Ttl, bits(16)),
    st.lists(st.one_of(evb_tlvs, st.builds(OtherTlv, st.integers(4, 126), st.binary(max_size=60))), max_size=4),
    st.builds(EndOfLldpdu, trailers),
)
ascii_text = st.text(st.characters(max_codepoint=127), max_size=60)
cisco_values = st.one_of(
    st.builds(cisco.VmName, vsi_ids, vsi_ids, ascii_text),
    st.builds(cisco.L3Address, vsi_ids, st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6))),
)


class Value(Protocol):
    def encode(self) -> bytes: ...


def decode_filter_info(data: bytes) -> FilterInfo:
    with Cursor(data) as cursor:
        return FilterInfo.decode(cursor)


DECODERS: dict[str, tuple[Callable[[bytes], Value], st.SearchStrategy[Any]]] = {
    "Ethernet": (Frame.decode, frames),
    "ECP": (Ecpdu.decode, ecpdus),
    "VDP": (VdpPdu.decode, vdp_pdus),
    "filter info": (decode_filter_info, filter_infos),
    "EVB TLV": (EvbTlv.decode, evb_tlvs),
    "LLDP": (Lldpdu.decode, lldpdus),
}
each_decoder = pytest.mark.parametrize(("decode", "values"), DECODERS.values(), ids=DECODERS)


@each_decoder
@given(data=st.data())
def test_an_encoded_value_decodes_to_itself(decode: Callable[[bytes], Value], values: Any, data: st.DataObject) -> None:
    value = data.draw(values)
    assert decode(value.encode()) == value


def assert_exact_or_wire_error(decode: Callable[[bytes], Value], received: bytes) -> None:
    value, fault = None, None
    try:
        value = decode(received)
    except WireError as error:
        fault = error
    if fault is not None:
        assert fault.reason
        assert 0 <= fault.offset <= len(received)
    elif value is not None:
        assert value.encode() == received


@each_decoder
@given(data=st.data())
def test_any_octets_give_an_exact_value_or_a_wire_error(
    decode: Callable[[bytes], Value], values: Any, data: st.DataObject
) -> None:
    assert_exact_or_wire_error(decode, data.draw(st.binary(max_size=600)))


@each_decoder
@given(data=st.data())
def test_damaged_octets_give_an_exact_value_or_a_wire_error(
    decode: Callable[[bytes], Value], values: Any, data: st.DataObject
) -> None:
    damaged = bytearray(data.draw(values).encode())
    for _ in range(data.draw(st.integers(0, 3))):
        if damaged:
            damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(bits(8))
    assert_exact_or_wire_error(decode, bytes(damaged[: data.draw(st.integers(0, len(damaged)))]))


@given(cisco_values)
def test_cisco_values_survive(value: cisco.VmName | cisco.L3Address) -> None:
    assert cisco.decode(value.encode()) == value


@given(st.one_of(st.binary(max_size=80), cisco_values.map(lambda value: value.encode().info)), bits(8), st.data())
def test_any_cisco_tlv_gives_an_exact_value_nothing_or_a_wire_error(
    info: bytes, octet: int, data: st.DataObject
) -> None:
    damaged = bytearray(info)
    if damaged:
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = octet
    tlv = OrganizationalTlv(cisco.CISCO_OUI, bytes(damaged))
    try:
        value = cisco.decode(tlv)
    except WireError:
        return
    assert value is None or value.encode() == tlv


@given(bits(8))
def test_every_status_octet_survives(octet: int) -> None:
    status = STATUS[octet]
    assert status.encode() == octet
    assert isinstance(status, ResponseStatus if octet & 0x40 else RequestStatus)


@given(macs)
def test_mac_text_is_reversible(mac: int) -> None:
    assert mac_from_text(mac_to_text(mac)) == mac


@given(st.text(max_size=20))
@example("52:54:00:11:22: 3").via("blank in an octet")
@example("52:54:00:11:22:+3").via("sign in an octet")
@example("52:54:00:11:22").via("five octets")
@example("5254:00:11:22:33:").via("colon in the wrong place")
def test_any_text_is_a_mac_address_or_refused(text: str) -> None:
    try:
        mac = mac_from_text(text)
    except ValueError:
        return
    assert mac_to_text(mac) == text.lower()


@given(vsi_ids)
def test_vsi_id_text_is_reversible(vsi_id: VsiId) -> None:
    assert VsiId.from_text(str(vsi_id)) == vsi_id


@given(st.one_of(st.text(max_size=40), vsi_ids.map(str).flatmap(lambda text: st.permutations(text).map("".join))))
def test_any_text_is_a_vsi_id_or_refused(text: str) -> None:
    try:
        vsi_id = VsiId.from_text(text)
    except ValueError:
        return
    assert VsiId.from_text(str(vsi_id)) == vsi_id


@given(st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)))
def test_addresses_read_as_people_write_them(address: IPv4Address | IPv6Address) -> None:
    vsi_id = VsiId.from_text(f"ipv{address.version}:{address}")
    assert vsi_id.octets.endswith(address.packed)


@given(vdp_pdus)
def test_organizational_tlvs_go_with_the_association_before_them(pdu: VdpPdu) -> None:
    expected: list[tuple[Association, list[OrganizationalTlv]]] = []
    for tlv in pdu.tlvs:
        if isinstance(tlv, Association):
            expected.append((tlv, []))
        elif isinstance(tlv, OrganizationalTlv) and expected:
            expected[-1][1].append(tlv)
    assert [(association, list(following)) for association, following in pdu.associations()] == expected


@given(associations, st.sampled_from([status for status in STATUS if isinstance(status, ResponseStatus)]))
def test_an_answer_differs_in_its_status_octet_only(request: Association, status: ResponseStatus) -> None:
    answer = request.answer(status).encode()
    assert answer[2] == status.encode()
    assert answer[:2] + answer[3:] == request.encode()[:2] + request.encode()[3:]


@given(associations)
def test_an_unsolicited_deassociate_has_status_zero_and_copies_the_rest(association: Association) -> None:
    ending = association.unsolicited_deassociate().encode()
    assert (ending[0] >> 1, ending[2]) == (VdpMode.DEASSOCIATE, 0)
    assert ending[3:] == association.encode()[3:]


@given(st.sampled_from(VdpMode), octets(23), bits(16), st.binary(max_size=486))
def test_any_association_that_cannot_be_read_is_refused_with_invalid_format(
    mode: VdpMode, fixed: bytes, count: int, rest: bytes
) -> None:
    value = fixed + count.to_bytes(2) + rest
    pdu = VdpPdu.decode(ManagerId().encode() + (mode << 9 | len(value)).to_bytes(2) + value)
    (tlv,) = pdu.tlvs
    if isinstance(tlv, MalformedAssociation):
        answer = VdpPdu(pdu.manager_id, (tlv.answer(),))
        assert tlv.reason
        assert answer.encode()[20] == 0x41
        assert answer.encode()[21:41] == value[1:21]
        assert VdpPdu.decode(answer.encode()).encode() == answer.encode()


@given(st.sampled_from([Vid(5), MacVid(5, 1), GroupVid(5, 1), GroupMacVid(5, 1, 2)]), bits(12), bits(3))
def test_with_vid_changes_the_tag_only(entry: FilterEntry, vid: int, pcp: int) -> None:
    chosen = entry.with_vid(vid, pcp)
    assert (chosen.vid, chosen.pcp, chosen.ps) == (vid, pcp, True)
    assert (entry.with_vid(vid).pcp, entry.with_vid(vid).ps) == (entry.pcp, entry.ps)
    assert (chosen.mac, chosen.group) == (entry.mac, entry.group)


@given(entries[3], entries[3])
def test_an_answer_may_fill_in_a_null_vid_and_a_priority_that_is_absent(
    asked: FilterEntry, answer: FilterEntry
) -> None:
    same = (asked.mac, asked.group) == (answer.mac, answer.group)
    vid = asked.vid in (0, answer.vid)
    priority = not asked.ps or (answer.ps, answer.pcp) == (True, asked.pcp)
    assert asked.covers(answer) is (same and vid and priority)
    assert asked.covers(asked) and asked.with_vid(0).covers(asked)
    assert not FilterInfo.of(asked).covers(FilterInfo.of(asked, asked))
