"""Answers are packed by manager, in order, without those that are out of date."""

from __future__ import annotations

import pytest

from ryu_apps.evb.protocol.ecp import EcpEndpoint, Received, Tick, Transmit
from ryu_apps.evb.protocol.outbox import MAX_PAYLOAD, Outbox
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.wire.ecp import SUBTYPE_VDP, Ecpdu, EcpOp
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.vdp import (
    Associate,
    Association,
    DeAssociate,
    MalformedAssociation,
    ManagerId,
    PreAssociateRR,
    RequestStatus,
    ResponseStatus,
    VdpError,
    VdpPdu,
)
from ryu_apps.evb.wire.vsi_id import VsiId, VsiIdFormat

ONE, TWO = ManagerId(bytes(16)), ManagerId(bytes([2]) + bytes(15))


def answer(
    number: int, kind: type[Association] = Associate, error: VdpError = VdpError.SUCCESS, version: int = 1
) -> Association:
    vsi_id = VsiId(VsiIdFormat.UUID, number.to_bytes(16))
    return kind(ResponseStatus(error), 5, version, vsi_id, FilterInfo.of(MacVid(vid=100, mac=number)))


def unsolicited(number: int) -> Association:
    return answer(number).unsolicited_deassociate()


def packed(*letters: tuple[ManagerId, Association]) -> list[tuple[ManagerId, list[Association]]]:
    """Payloads that leave, ECPDU by ECPDU, when all of these were added."""
    outbox = Outbox()
    for manager_id, answer in letters:
        outbox.add(manager_id, answer)
    pdus = []
    while outbox:
        pdus.append(VdpPdu.decode(outbox.pop()))
    return [(pdu.manager_id, [tlv for tlv in pdu.tlvs if isinstance(tlv, Association)]) for pdu in pdus]


def test_answers_of_one_manager_travel_together() -> None:
    assert packed((ONE, answer(1)), (ONE, answer(2))) == [(ONE, [answer(1), answer(2)])]


def test_answers_of_different_managers_travel_apart() -> None:
    assert packed((ONE, answer(1)), (TWO, answer(2)), (ONE, answer(3))) == [
        (ONE, [answer(1), answer(3)]),
        (TWO, [answer(2)]),
    ]


def test_answers_for_one_vsi_never_overtake_each_other() -> None:
    refused = answer(2, PreAssociateRR)

    assert packed((ONE, answer(1)), (TWO, answer(2)), (ONE, refused)) == [
        (ONE, [answer(1)]),
        (TWO, [answer(2)]),
        (ONE, [refused]),
    ]


def test_a_newer_answer_replaces_an_older_one_and_goes_behind() -> None:
    newer = answer(1, error=VdpError.OTHER_FAILURE)

    assert packed((ONE, answer(1)), (ONE, unsolicited(1)), (ONE, newer)) == [(ONE, [unsolicited(1), newer])]


@pytest.mark.parametrize(
    "other",
    [answer(1, PreAssociateRR), answer(1, version=2), answer(2), unsolicited(1)],
    ids=["mode", "type version", "VSI", "unsolicited"],
)
def test_answers_of_another_kind_are_not_replaced(other: Association) -> None:
    assert packed((ONE, answer(1)), (ONE, other)) == [(ONE, [answer(1), other])]


def test_a_deassociate_response_does_not_replace_an_announcement() -> None:
    response = answer(1, DeAssociate)
    assert isinstance(unsolicited(1).status, RequestStatus)

    assert packed((ONE, unsolicited(1)), (ONE, response)) == [(ONE, [unsolicited(1), response])]


def test_no_ecpdu_is_larger_than_a_frame_and_none_is_lost() -> None:
    outbox = Outbox()
    for number in range(300):
        outbox.add(ONE, answer(number))
    payloads = []
    while outbox:
        payloads.append(outbox.pop())

    assert max(len(payload) for payload in payloads) <= MAX_PAYLOAD
    assert [tlv for payload in payloads for tlv in VdpPdu.decode(payload).tlvs] == [answer(n) for n in range(300)]
    assert len(payloads) == 8  # 42 answers of 35 octets fit behind the manager id


def test_an_answer_to_a_malformed_request_leaves_as_it_is() -> None:
    outbox = Outbox()
    malformed = MalformedAssociation(Associate.MODE, bytes(25)).answer()
    outbox.add(ONE, malformed)

    assert VdpPdu.decode(outbox.pop()).malformed == (malformed,)


def test_an_empty_outbox_has_nothing_to_pop() -> None:
    with pytest.raises(IndexError):
        Outbox().pop()


def test_a_cleared_outbox_is_empty() -> None:
    outbox = Outbox()
    outbox.add(ONE, answer(1))
    outbox.clear()

    assert len(outbox) == 0


def test_answers_gather_while_the_channel_is_busy() -> None:
    outbox, endpoint = Outbox(), EcpEndpoint(Operational(r=3, rte=10, rwd=17, rka=17))
    outbox.add(ONE, answer(1))
    assert len(outbox.flush(endpoint, 0.0)) == 1
    for number in (2, 3):
        outbox.add(ONE, answer(number))
        assert outbox.flush(endpoint, 0.001) == []
    endpoint.feed(Received(Ecpdu(EcpOp.ACK, SUBTYPE_VDP, 1, b"")), 0.002)
    assert outbox.flush(endpoint, 0.003) == []
    endpoint.feed(Tick(), 0.007)

    [transmit] = outbox.flush(endpoint, 0.007)

    assert isinstance(transmit, Transmit)
    assert VdpPdu.decode(transmit.ecpdu.payload).tlvs == (answer(2), answer(3))
