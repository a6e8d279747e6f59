"""Behaviour of the bridge for one VSI at one port."""

from __future__ import annotations

import pytest

from ryu_apps.evb.protocol.table import ProtocolError, Tick
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.protocol.vdp_bridge import (
    Announce,
    BridgeDeassociate,
    Decide,
    Denied,
    Forget,
    Granted,
    Released,
    ReleaseVsi,
    Request,
    Respond,
    VdpBridge,
    VsiState,
    documented_rows,
)
from ryu_apps.evb.wire.vdp import ResponseStatus, VdpError, VdpMode

TIMERS = Operational(r=3, rte=10, rwd=17, rka=17)
OK = ResponseStatus(VdpError.SUCCESS)
PRE, RR, ASSOC, DEASSOC = VdpMode
FULL = VdpError.INSUFFICIENT_RESOURCES


@pytest.fixture
def vsi() -> VdpBridge:
    return VdpBridge(TIMERS)


def held(mode: VdpMode, now: float = 0.0) -> VdpBridge:
    vsi = VdpBridge(TIMERS)
    vsi.feed(Request(mode), now)
    vsi.feed(Granted(), now)
    return vsi


def releasing(now: float = 0.0) -> VdpBridge:
    vsi = held(ASSOC, now)
    vsi.feed(BridgeDeassociate("moved"), now)
    return vsi


# --- asking ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", [PRE, RR, ASSOC])
def test_a_first_request_is_decided_by_the_owner(vsi: VdpBridge, mode: VdpMode) -> None:
    assert vsi.feed(Request(mode), 5.0) == [Decide(mode, 1)]
    assert (vsi.wanted, vsi.in_force) == (mode, None)
    assert vsi.deadline == 5.0 + TIMERS.resource_wait_delay


@pytest.mark.parametrize("mode", [PRE, RR, ASSOC])
def test_a_grant_is_answered_in_the_mode_of_the_request(vsi: VdpBridge, mode: VdpMode) -> None:
    vsi.feed(Request(mode), 5.0)

    assert vsi.feed(Granted(), 6.0) == [Respond(mode, OK)]
    assert (vsi.wanted, vsi.in_force) == (None, mode)
    assert vsi.deadline == 6.0 + TIMERS.keep_alive_timeout


def test_the_same_request_again_waits_for_the_answer_that_is_coming(vsi: VdpBridge) -> None:
    vsi.feed(Request(RR), 0.0)
    deadline = vsi.deadline

    assert vsi.feed(Request(RR), 0.5) == []
    assert vsi.deadline == deadline


def test_the_latest_of_two_requests_counts(vsi: VdpBridge) -> None:
    vsi.feed(Request(RR), 0.0)

    assert vsi.feed(Request(ASSOC), 0.1) == [Decide(ASSOC, 2)]
    assert vsi.feed(Granted(attempt=1), 0.2) == []
    assert vsi.feed(Granted(attempt=2), 0.3) == [Respond(ASSOC, OK)]


def test_a_request_with_another_filter_is_decided_anew_while_deciding(vsi: VdpBridge) -> None:
    vsi.feed(Request(ASSOC), 0.0)

    assert vsi.feed(Request(ASSOC, changed=True), 0.1) == [Decide(ASSOC, 2)]


# --- keep-alives ----------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", [PRE, RR, ASSOC])
def test_a_keep_alive_is_answered_at_once_and_restarts_the_timer(mode: VdpMode) -> None:
    vsi = held(mode)

    assert vsi.feed(Request(mode), 1.3) == [Respond(mode, OK)]
    assert vsi.deadline == 1.3 + TIMERS.keep_alive_timeout


def test_another_mode_is_no_keep_alive() -> None:
    assert held(RR).feed(Request(ASSOC), 1.0) == [Decide(ASSOC, 2)]


def test_a_changed_filter_is_no_keep_alive() -> None:
    assert held(ASSOC).feed(Request(ASSOC, changed=True), 1.0) == [Decide(ASSOC, 2)]


@pytest.mark.parametrize("mode", [PRE, RR, ASSOC])
def test_a_vsi_that_falls_silent_is_announced_and_released(mode: VdpMode) -> None:
    vsi = held(mode)
    assert vsi.deadline is not None

    assert vsi.feed(Tick(), vsi.deadline - 0.001) == []
    assert vsi.feed(Tick(), vsi.deadline) == [Announce("keep-alive timeout"), ReleaseVsi()]
    assert vsi.feed(Released(), 9.0) == [Forget()]


# --- refusals -------------------------------------------------------------------------------------
def test_a_refusal_is_answered_and_releases_what_may_be_half_done(vsi: VdpBridge) -> None:
    vsi.feed(Request(RR), 0.0)

    outputs = vsi.feed(Denied(VdpError.OTHER_FAILURE, hard=True), 0.1)

    assert outputs == [Respond(RR, ResponseStatus(VdpError.OTHER_FAILURE, hard=True)), ReleaseVsi()]
    assert vsi.feed(Released(), 0.2) == [Forget()]


def test_keep_is_said_only_when_an_association_stays_in_force() -> None:
    vsi = held(ASSOC)
    vsi.feed(Request(ASSOC, changed=True), 1.0)

    assert vsi.feed(Denied(FULL), 1.1) == [Respond(ASSOC, ResponseStatus(FULL, keep=True))]
    assert (vsi.state, vsi.in_force) == (VsiState.HELD, ASSOC)
    assert vsi.deadline == 1.1 + TIMERS.keep_alive_timeout


@pytest.mark.parametrize("mode", [PRE, RR])
def test_a_refused_associate_of_a_preassociated_vsi_keeps_nothing(mode: VdpMode) -> None:
    vsi = held(mode)
    vsi.feed(Request(ASSOC), 1.0)

    assert vsi.feed(Denied(FULL), 1.1) == [Respond(ASSOC, ResponseStatus(FULL)), ReleaseVsi()]
    assert vsi.in_force is None


def test_a_refused_preassociate_of_an_associated_vsi_keeps_nothing() -> None:
    vsi = held(ASSOC)
    vsi.feed(Request(RR), 1.0)

    assert vsi.feed(Denied(FULL), 1.1) == [Respond(RR, ResponseStatus(FULL)), ReleaseVsi()]


def test_success_is_no_reason_to_deny() -> None:
    with pytest.raises(ValueError, match="SUCCESS"):
        Denied(VdpError.SUCCESS)


# --- resource wait --------------------------------------------------------------------------------
def test_an_owner_who_takes_too_long_has_refused(vsi: VdpBridge) -> None:
    vsi.feed(Request(RR), 0.0)

    outputs = vsi.feed(Tick(), TIMERS.resource_wait_delay)

    assert outputs == [Respond(RR, ResponseStatus(FULL)), ReleaseVsi()]


def test_an_owner_who_takes_too_long_leaves_an_association_in_force() -> None:
    vsi = held(ASSOC)
    vsi.feed(Request(ASSOC, changed=True), 1.0)

    assert vsi.feed(Tick(), 1.0 + TIMERS.resource_wait_delay) == [Respond(ASSOC, ResponseStatus(FULL, keep=True))]
    assert vsi.in_force is ASSOC


def test_a_late_grant_never_resurrects(vsi: VdpBridge) -> None:
    vsi.feed(Request(ASSOC), 0.0)
    vsi.feed(Tick(), 2.0)

    assert vsi.feed(Granted(), 2.1) == []
    assert vsi.feed(Released(), 2.2) == [Forget()]
    assert vsi.feed(Granted(), 2.3) == []
    assert vsi.in_force is None


def test_a_late_grant_is_not_taken_for_the_next_request(vsi: VdpBridge) -> None:
    vsi.feed(Request(ASSOC), 0.0)
    vsi.feed(Tick(), 2.0)
    vsi.feed(Request(ASSOC), 2.1)
    assert vsi.feed(Released(), 2.2) == [Decide(ASSOC, 2)]

    assert vsi.feed(Granted(attempt=1), 2.3) == []
    assert vsi.state is VsiState.DECIDING


# --- leaving --------------------------------------------------------------------------------------
def test_deassociate_of_an_unknown_vsi_succeeds(vsi: VdpBridge) -> None:
    assert vsi.feed(Request(DEASSOC), 0.0) == [Respond(DEASSOC, OK), Forget()]


def test_deassociate_is_answered_when_everything_is_withdrawn() -> None:
    vsi = held(ASSOC)

    assert vsi.feed(Request(DEASSOC), 1.0) == [ReleaseVsi()]
    assert vsi.deadline is None
    assert vsi.feed(Released(), 1.1) == [Respond(DEASSOC, OK), Forget()]


def test_deassociate_overtakes_a_decision(vsi: VdpBridge) -> None:
    vsi.feed(Request(RR), 0.0)

    assert vsi.feed(Request(DEASSOC), 0.1) == [ReleaseVsi()]
    assert vsi.feed(Granted(), 0.2) == []
    assert vsi.feed(Released(), 0.3) == [Respond(DEASSOC, OK), Forget()]


def test_a_recalled_vsi_is_announced_and_released() -> None:
    vsi = held(ASSOC)

    assert vsi.feed(BridgeDeassociate("moved to hv2"), 1.0) == [Announce("moved to hv2"), ReleaseVsi()]
    assert vsi.feed(Released(), 1.1) == [Forget()]


def test_a_recalled_decision_is_not_answered_as_well(vsi: VdpBridge) -> None:
    vsi.feed(Request(ASSOC), 0.0)
    vsi.feed(BridgeDeassociate("operator"), 0.1)

    assert vsi.feed(Released(), 0.2) == [Forget()]


def test_a_request_during_release_is_decided_afterwards() -> None:
    vsi = releasing()

    assert vsi.feed(Request(RR), 0.1) == []
    assert vsi.feed(Released(), 0.2) == [Decide(RR, 2)]
    assert vsi.deadline == 0.2 + TIMERS.resource_wait_delay


def test_a_deassociate_during_release_is_answered_afterwards() -> None:
    vsi = releasing()

    assert vsi.feed(Request(DEASSOC), 0.1) == []
    assert vsi.feed(Released(), 0.2) == [Respond(DEASSOC, OK), Forget()]


def test_of_several_requests_during_release_the_last_counts() -> None:
    vsi = releasing()
    vsi.feed(Request(DEASSOC), 0.1)
    vsi.feed(Request(ASSOC), 0.2)

    assert vsi.feed(Released(), 0.3) == [Decide(ASSOC, 2)]


# --- the table ------------------------------------------------------------------------------------
@pytest.mark.parametrize("vsi", [VdpBridge(TIMERS), held(RR)], ids=lambda vsi: vsi.state.value)
def test_a_release_nobody_asked_for_is_the_owners_error(vsi: VdpBridge) -> None:
    with pytest.raises(ProtocolError, match=f"'released' is not permitted in state '{vsi.state.value}'"):
        vsi.feed(Released(), 0.0)


def test_every_row_can_be_read_aloud() -> None:
    for row in documented_rows():
        assert row.action, row
