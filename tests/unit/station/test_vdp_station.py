"""Reaction of a station to the bridge's answers for one VSI."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.protocol.table import ProtocolError, Tick
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.wire.filter_info import FilterEntry, FilterInfo, GroupMacVid, MacVid, Vid
from ryu_apps.evb.wire.vdp import Associate, Association, RequestStatus, ResponseStatus, VdpError, VdpMode
from ryu_apps.evb.wire.vsi_id import VsiId, VsiIdFormat
from ryu_apps.station.vdp_station import VsiStation, VsiStationState, documented_rows
from ryu_apps.station.vdp_station_events import (
    Notice,
    RequestOutcome,
    ResponseReceived,
    Resume,
    Send,
    StationRequest,
    Suspend,
)

TIMERS = Operational(r=3, rte=10, rwd=17, rka=17)
PRE, RR, ASSOC, DEASSOC = VdpMode
OK = ResponseStatus(VdpError.SUCCESS)
FULL = ResponseStatus(VdpError.INSUFFICIENT_RESOURCES)
KEEP = ResponseStatus(VdpError.INSUFFICIENT_RESOURCES, keep=True)
MIGRATING = RequestStatus(migrating=True)
ONE, TWO = MacVid(vid=100, mac=1), MacVid(vid=100, mac=2)


def vsi(*entries: FilterEntry) -> VsiStation:
    vsi_id = VsiId(VsiIdFormat.UUID, bytes(range(16)))
    return VsiStation(Associate(MIGRATING, 5, 1, vsi_id, FilterInfo.of(*entries or (ONE,))), TIMERS)


def asking(mode: VdpMode = ASSOC, *entries: FilterEntry) -> VsiStation:
    machine = vsi(*entries)
    machine.feed(StationRequest(mode), 0.0)
    return machine


def held(mode: VdpMode = ASSOC, *entries: FilterEntry) -> VsiStation:
    machine = asking(mode, *entries)
    machine.feed(answer(machine), 0.0)
    return machine


def keeping(mode: VdpMode = ASSOC) -> VsiStation:
    machine = held(mode)
    machine.feed(Tick(), TIMERS.reinit_keep_alive)
    return machine


def answer(
    machine: VsiStation, status: ResponseStatus = OK, mode: VdpMode | None = None, *entries: FilterEntry
) -> ResponseReceived:
    filter_info = FilterInfo.of(*entries) if entries else None
    return ResponseReceived(machine.request.as_mode(mode or machine.request.MODE, status, filter_info))


def outcome(outputs: list[Send | Notice]) -> RequestOutcome:
    [notice] = outputs
    assert isinstance(notice, Notice)
    return notice.outcome


# --- asking ---------------------------------------------------------------------------------------
def test_a_request_waits_for_its_answer() -> None:
    machine = vsi()

    assert machine.feed(StationRequest(RR), 1.0) == [Send(machine.request)]
    assert machine.request.MODE is RR
    assert machine.deadline == 1.0 + TIMERS.response_wait


def test_success_is_told_and_starts_the_keep_alive() -> None:
    machine = asking(RR)

    assert outcome(machine.feed(answer(machine), 1.0)) is RequestOutcome.GRANTED
    assert (machine.in_force, machine.deadline) == (RR, 1.0 + TIMERS.reinit_keep_alive)


def test_the_first_hint_goes_with_every_later_request() -> None:
    machine = held(RR)
    [send] = machine.feed(StationRequest(ASSOC), 1.0)

    assert isinstance(send, Send)
    assert send.association.status == MIGRATING


@pytest.mark.parametrize("later", [RR, ASSOC])
def test_the_mode_may_stay_or_rise(later: VdpMode) -> None:
    [send] = held(RR).feed(StationRequest(later), 1.0)

    assert isinstance(send, Send)
    assert send.association.MODE is later


def test_the_mode_may_not_fall() -> None:
    with pytest.raises(ProtocolError, match="lower mode"):
        held(ASSOC).feed(StationRequest(RR), 1.0)


def test_one_request_at_a_time() -> None:
    with pytest.raises(ProtocolError, match="asking"):
        asking(RR).feed(StationRequest(ASSOC), 1.0)


@pytest.mark.parametrize("status", [FULL, ResponseStatus(VdpError.OTHER_FAILURE, hard=True)])
@pytest.mark.parametrize("mode", [RR, DEASSOC], ids=["in its mode", "as De-Associate"])
def test_a_refusal_ends_the_vsi(status: ResponseStatus, mode: VdpMode) -> None:
    machine = asking(RR)

    assert machine.feed(answer(machine, status, mode), 1.0) == [
        Notice(RequestOutcome.REFUSED, RR, machine.request, status)
    ]
    assert (machine.state, machine.deadline) == (VsiStationState.ENDED, None)


def test_no_answer_ends_the_vsi() -> None:
    assert outcome(asking().feed(Tick(), TIMERS.response_wait)) is RequestOutcome.TIMED_OUT


def test_an_answer_in_another_mode_answers_an_older_request() -> None:
    machine = asking(ASSOC)

    assert machine.feed(answer(machine, mode=RR), 1.0) == []
    assert machine.state is VsiStationState.ASKING


def test_hard_or_keep_without_an_error_counts_as_success() -> None:
    machine = asking()

    assert (
        outcome(machine.feed(answer(machine, ResponseStatus(0, hard=True, keep=True)), 1.0)) is RequestOutcome.GRANTED
    )


# --- what matches ---------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        (Vid(vid=0), Vid(vid=77)),
        (Vid(vid=0), Vid(vid=0)),
        (MacVid(vid=0, mac=1), MacVid(vid=77, mac=1)),
        (GroupMacVid(vid=0, mac=1, group=9), GroupMacVid(vid=77, mac=1, group=9)),
        (ONE, replace(ONE, pcp=5, ps=True)),
    ],
)
def test_what_the_bridge_may_fill_in_is_taken_over(asked: FilterEntry, answered: FilterEntry) -> None:
    machine = asking(ASSOC, asked)

    assert outcome(machine.feed(answer(machine, OK, None, answered), 1.0)) is RequestOutcome.GRANTED
    assert machine.request.filter_info.entries == (answered,)


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        ([ONE, TWO], [TWO, ONE]),
        ([ONE, TWO], [ONE]),
        ([ONE], [replace(ONE, vid=200)]),
        ([ONE], [replace(ONE, mac=3)]),
        ([replace(ONE, pcp=5, ps=True)], [replace(ONE, pcp=6, ps=True)]),
        ([GroupMacVid(vid=100, mac=1, group=9)], [GroupMacVid(vid=100, mac=1, group=8)]),
    ],
    ids=["order", "count", "VID", "MAC", "PCP", "group"],
)
def test_any_other_difference_ends_the_vsi(asked: list[FilterEntry], answered: list[FilterEntry]) -> None:
    machine = asking(ASSOC, *asked)

    assert outcome(machine.feed(answer(machine, OK, None, *answered), 1.0)) is RequestOutcome.MISMATCHED


def test_an_answer_with_another_filter_format_is_not_seen() -> None:
    machine = asking()

    assert machine.feed(answer(machine, OK, None, Vid(vid=100)), 1.0) == []


def test_a_filled_in_vid_is_compared_from_then_on() -> None:
    machine = held(ASSOC, MacVid(vid=0, mac=1))
    machine.feed(answer(machine), 0.0)
    assert machine.request.filter_info.entries == (MacVid(vid=0, mac=1),)
    machine = asking(ASSOC, MacVid(vid=0, mac=1))
    machine.feed(answer(machine, OK, None, MacVid(vid=77, mac=1)), 0.0)
    machine.feed(Tick(), TIMERS.reinit_keep_alive)

    assert outcome(machine.feed(answer(machine, OK, None, MacVid(vid=78, mac=1)), 2.0)) is RequestOutcome.MISMATCHED


# --- keep-alives ----------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", [PRE, RR, ASSOC])
def test_a_keep_alive_is_the_same_request_again(mode: VdpMode) -> None:
    machine = held(mode)

    assert machine.feed(Tick(), TIMERS.reinit_keep_alive) == [Send(machine.request)]
    assert machine.request.MODE is mode


def test_an_answered_keep_alive_is_not_told() -> None:
    machine = keeping()

    assert machine.feed(answer(machine), 2.0) == []
    assert machine.deadline == 2.0 + TIMERS.reinit_keep_alive


def test_keep_on_a_keep_alive_makes_the_station_leave() -> None:
    machine = keeping()

    [send] = machine.feed(answer(machine, KEEP), 2.0)

    assert isinstance(send, Send)
    assert send.association.MODE is DEASSOC


def test_a_refused_keep_alive_ends_the_vsi() -> None:
    machine = keeping()

    assert outcome(machine.feed(answer(machine, FULL), 2.0)) is RequestOutcome.REFUSED


def test_an_unanswered_keep_alive_ends_the_vsi() -> None:
    machine = keeping()
    assert machine.deadline is not None

    assert outcome(machine.feed(Tick(), machine.deadline)) is RequestOutcome.TIMED_OUT


def test_the_vm_may_move_on_while_a_keep_alive_is_under_way() -> None:
    machine = keeping(RR)
    machine.feed(StationRequest(ASSOC), 2.0)

    assert machine.feed(answer(machine, mode=RR), 2.1) == []
    assert outcome(machine.feed(answer(machine), 2.2)) is RequestOutcome.GRANTED


# --- Keep -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("machine", [asking(ASSOC), held(ASSOC)], ids=["new", "associated"])
def test_keep_on_an_associate_counts_as_associated(machine: VsiStation) -> None:
    if machine.state is VsiStationState.HELD:
        machine.feed(StationRequest(ASSOC), 1.0)

    assert outcome(machine.feed(answer(machine, KEEP), 1.0)) is RequestOutcome.KEPT
    assert (machine.state, machine.in_force) == (VsiStationState.HELD, ASSOC)


@pytest.mark.parametrize("mode", [PRE, RR])
def test_keep_on_a_preassociate_ends_the_vsi(mode: VdpMode) -> None:
    machine = asking(mode)

    assert outcome(machine.feed(answer(machine, KEEP), 1.0)) is RequestOutcome.REFUSED


# --- leaving --------------------------------------------------------------------------------------
@pytest.mark.parametrize("machine", [vsi(), asking(RR), held(), keeping()], ids=lambda machine: machine.state.value)
def test_the_hypervisor_may_leave_at_any_time(machine: VsiStation) -> None:
    [send] = machine.feed(StationRequest(DEASSOC), 2.0)
    assert isinstance(send, Send)
    assert send.association.MODE is DEASSOC

    assert outcome(machine.feed(answer(machine), 2.1)) is RequestOutcome.LEFT
    assert machine.state is VsiStationState.ENDED


@pytest.mark.parametrize("machine", [asking(), held(), keeping()], ids=lambda machine: machine.state.value)
def test_an_unsolicited_deassociate_ends_the_vsi(machine: VsiStation) -> None:
    unsolicited = ResponseReceived(machine.request.unsolicited_deassociate())

    assert outcome(machine.feed(unsolicited, 2.0)) is RequestOutcome.WITHDRAWN
    assert machine.feed(unsolicited, 2.1) == []


def test_a_deassociate_response_nobody_waits_for_is_ignored() -> None:
    machine = held()

    assert machine.feed(answer(machine, mode=DEASSOC), 1.0) == []
    assert machine.state is VsiStationState.HELD


# --- link -----------------------------------------------------------------------------------------
@pytest.mark.parametrize("machine", [asking(RR), held(RR), keeping(RR)], ids=lambda machine: machine.state.value)
def test_a_suspended_vsi_is_asked_again_on_resume(machine: VsiStation) -> None:
    assert machine.feed(Suspend(), 2.0) == []
    assert machine.deadline is None

    assert machine.feed(Resume(), 100.0) == [Send(machine.request)]
    assert machine.request.MODE is RR


@pytest.mark.parametrize("mode", [ASSOC, DEASSOC])
def test_what_is_asked_while_suspended_is_sent_on_resume(mode: VdpMode) -> None:
    machine = held(RR)
    machine.feed(Suspend(), 2.0)
    assert machine.feed(StationRequest(mode), 2.5) == []

    [send] = machine.feed(Resume(), 3.0)

    assert isinstance(send, Send)
    assert send.association.MODE is mode


def test_only_a_request_that_was_unanswered_is_told_after_a_flap() -> None:
    told = []
    for machine in (asking(RR), held(RR)):
        machine.feed(Suspend(), 2.0)
        machine.feed(Resume(), 3.0)
        told.append(len(machine.feed(answer(machine), 3.1)))

    assert told == [1, 0]


def test_every_row_can_be_read_aloud() -> None:
    assert all(row.action for row in documented_rows())


def test_the_answer_of_a_bridge_that_repeats_the_request_is_no_answer() -> None:
    machine = asking()
    echoed: Association = machine.request

    assert machine.feed(ResponseReceived(echoed), 1.0) == []


def test_suspension_is_said_at_once_and_in_every_request_from_then_on() -> None:
    machine = held()
    [send] = machine.feed(StationRequest(ASSOC, suspended=True), 1.0)
    assert send.association.status == RequestStatus(migrating=True, suspended=True)
    machine.feed(answer(machine), 1.0)
    [send] = machine.feed(Tick(), 1.0 + TIMERS.reinit_keep_alive)
    assert send.association.status.suspended
    machine.feed(answer(machine), 21.0)
    [send] = machine.feed(StationRequest(ASSOC), 22.0)
    assert not send.association.status.suspended


def test_a_suspension_that_was_asked_for_without_a_link_is_a_request_afterwards() -> None:
    machine = held()
    machine.feed(Suspend(), 1.0)
    machine.feed(StationRequest(ASSOC, suspended=True), 2.0)

    [send] = machine.feed(Resume(), 3.0)

    assert send == Send(machine.request)
    assert outcome(machine.feed(answer(machine), 3.0)) is RequestOutcome.GRANTED
