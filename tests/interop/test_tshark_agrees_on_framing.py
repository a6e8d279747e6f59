"""Wireshark's dissector, written by others, reads the recordings as we do, where it reads them right.

It is no oracle for filter entries (it overlooks their count), for pre-association bodies and for the
fields of the ratified EVB TLV: those are not compared.
"""

from __future__ import annotations

import struct
import subprocess
from ipaddress import IPv6Address
from pathlib import Path
from uuid import UUID

import pytest

from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, ETHERTYPE_LLDP, Frame
from ryu_apps.evb.wire.lldp import Lldpdu
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.evb.wire.vdp import Associate, Association, DeAssociate, ResponseStatus, VdpPdu

CAPTURES = sorted((Path(__file__).parent.parent / "golden" / "captures").glob("*.pcap"))
PCAP_HEADER = 24

ETHERNET = ["eth.dst", "eth.src", "eth.type"]
ECP = ["ecp.ver", "ecp.op", "ecp.subtype", "ecp.seqno"]
FRAMING = ["vdp21.tlvtype", "vdp21.tlvlen"]
BODY = [
    "vdp21.assoc.request_flags",
    "vdp21.assoc.reason",
    "vdp21.assoc.response_flags",
    "vdp21.assoc.error",
    "vdp21.vsitypeid",
    "vdp21.vsiversion",
    "vdp21.vsiidformat",
    "vdp21.VSIID",
    "vdp21.filterformat",
]
FIELDS = [*ETHERNET, *ECP, *FRAMING, *BODY, "vdp21.manager_id", "lldp.time_to_live"]

Row = dict[str, list[str]]


@pytest.fixture(scope="module")
def octets() -> list[bytes]:
    """Every recorded frame, file by file."""
    found = []
    for path in CAPTURES:
        data, place = path.read_bytes(), PCAP_HEADER
        while place < len(data):
            (length,) = struct.unpack_from("<8xI", data, place)
            found.append(data[place + 16 : place + 16 + length])
            place += 16 + length
    return found


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    """Dissection by tshark: field -> its values in the frame, in order."""
    together = tmp_path_factory.mktemp("tshark") / "all.pcap"
    header = CAPTURES[0].read_bytes()[:PCAP_HEADER]
    together.write_bytes(header + b"".join(path.read_bytes()[PCAP_HEADER:] for path in CAPTURES))
    wanted = [word for name in FIELDS for word in ("-e", name)]
    command = ["tshark", "-r", str(together), "-T", "fields", "-E", "separator=;", "-E", "aggregator=,", *wanted]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=50).stdout.splitlines()
    return [
        {name: cell.split(",") if cell else [] for name, cell in zip(FIELDS, line.split(";"), strict=True)}
        for line in lines
    ]


def vdp_in(frame: Frame) -> VdpPdu | None:
    if frame.ethertype != ETHERTYPE_ECP:
        return None
    ecpdu = Ecpdu.decode(frame.payload)
    return VdpPdu.decode(ecpdu.payload) if ecpdu.op is EcpOp.REQUEST else None


def numbers(row: Row, names: list[str]) -> list[list[int]]:
    return [[int(value, 0) for value in row[name]] for name in names]


def body_as_tshark_has_it(associations: list[Association]) -> list[list[int]]:
    requests = [
        association.status.encode()
        for association in associations
        if not isinstance(association.status, ResponseStatus)
    ]
    responses = [
        association.status.encode() for association in associations if isinstance(association.status, ResponseStatus)
    ]
    return [
        [status >> 4 for status in requests],
        [status & 0xF for status in requests],
        [status >> 4 for status in responses],
        [status & 0xF for status in responses],
        [association.type_id for association in associations],
        [association.version for association in associations],
        [association.vsi_id.format for association in associations],
        [UUID(bytes=association.vsi_id.octets).int for association in associations],
        [association.filter_info.format for association in associations],
    ]


def test_tshark_sees_every_frame(octets: list[bytes], rows: list[Row]) -> None:
    assert len(rows) == len(octets) > 600


def test_ethernet_headers(octets: list[bytes], rows: list[Row]) -> None:
    for frame, row in zip(map(Frame.decode, octets), rows, strict=True):
        ours = [[mac_to_text(frame.dst)], [mac_to_text(frame.src)], [f"{frame.ethertype:#06x}"]]
        assert [row[name] for name in ETHERNET] == ours


def test_ecp_headers(octets: list[bytes], rows: list[Row]) -> None:
    compared = 0
    for frame, row in zip(map(Frame.decode, octets), rows, strict=True):
        if frame.ethertype == ETHERTYPE_ECP:
            ecpdu = Ecpdu.decode(frame.payload)
            ours = [[ecpdu.version], [ecpdu.op], [ecpdu.subtype], [ecpdu.sequence]]
            assert numbers(row, ECP) == ours
            compared += 1
    assert compared > 500


def test_vdp_tlv_types_and_lengths(octets: list[bytes], rows: list[Row]) -> None:
    for data, row in zip(octets, rows, strict=True):
        try:
            pdu = vdp_in(Frame.decode(data))
        except WireError:
            assert "5" not in row["vdp21.tlvtype"]  # the one answer without a Manager ID
            continue
        if pdu is not None:
            encoded = [pdu.manager_id.encode(), *[tlv.encode() for tlv in pdu.tlvs]]
            ours = [[octets[0] >> 1 for octets in encoded], [len(octets) - 2 for octets in encoded]]
            assert numbers(row, FRAMING) == ours


def test_manager_ids(octets: list[bytes], rows: list[Row]) -> None:
    for frame, row in zip(map(Frame.decode, octets), rows, strict=True):
        if row["vdp21.manager_id"]:
            pdu = vdp_in(frame)
            assert pdu is not None
            assert [IPv6Address(text).packed for text in row["vdp21.manager_id"]] == [pdu.manager_id.octets]


def test_associate_and_deassociate_bodies(octets: list[bytes], rows: list[Row]) -> None:
    compared = 0
    for frame, row in zip(map(Frame.decode, octets), rows, strict=True):
        pdu = vdp_in(frame) if row["vdp21.manager_id"] else None
        associations = [association for association, _ in pdu.associations()] if pdu else []
        if not associations or any(
            not isinstance(association, Associate | DeAssociate) for association in associations
        ):
            continue
        theirs = dict(row) | {"vdp21.VSIID": ["0x" + text.replace(":", "") for text in row["vdp21.VSIID"]]}
        assert numbers(theirs, BODY) == body_as_tshark_has_it(associations)
        compared += 1
    assert compared > 250


def test_time_to_live(octets: list[bytes], rows: list[Row]) -> None:
    compared = 0
    for frame, row in zip(map(Frame.decode, octets), rows, strict=True):
        if frame.ethertype == ETHERTYPE_LLDP:
            assert numbers(row, ["lldp.time_to_live"]) == [[Lldpdu.decode(frame.payload).ttl]]
            compared += 1
    assert compared > 40
