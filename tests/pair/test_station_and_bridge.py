"""The station machine against the bridge machines: a perfect link, a faulty link, restarts."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_apps.evb.protocol.ecp import MINIMUM_GAP
from ryu_apps.evb.protocol.vdp_bridge import BridgeDeassociate, Denied
from ryu_apps.evb.wire.vdp import Associate, Association, DeAssociate, ManagerId, PreAssociate, PreAssociateRR, VdpError
from ryu_apps.evb.wire.vdp import VdpMode as Mode
from ryu_apps.station.station import Notice, Received, RequestOutcome, VsiRequest
from tests.pair.world import LinkFaults, World, vsi

HOUR = 3600.0
TOLERANCE = 1e-9


@pytest.fixture
def world() -> World:
    return World().plug()


def everybody(world: World, mode: Mode) -> bool:
    return world.held == world.bridge.in_force != {} and set(world.held.values()) == {mode}


# --- a perfect link -----------------------------------------------------------------------------
def test_a_vsi_is_associated_and_deassociated(world: World) -> None:
    for kind in (PreAssociate, PreAssociateRR, Associate):
        world.ask(vsi(1, kind))
        world.run(0.1)
        assert world.held == world.bridge.in_force == {vsi(1).vsi_id: kind.MODE}

    world.ask(vsi(1, DeAssociate))
    world.run(0.1)

    assert world.outcomes(vsi(1)) == [RequestOutcome.GRANTED] * 3 + [RequestOutcome.LEFT]
    assert world.station.associations == []
    assert world.bridge.records == {}


def test_an_answer_that_is_repeated_late_answers_nothing_else(world: World) -> None:
    """A busy bridge repeats an ECPDU whose acknowledgement it has not read; by then the station has asked on."""
    world.ask(vsi(1))
    world.run(0.1)
    world.ask(vsi(1, DeAssociate))
    world.run(0.1)
    left = Received(world.bridge.ecp._outstanding)
    world.run(5.0)
    now = world.now
    world.station.feed(VsiRequest(vsi(1)), now)
    told = world.station.feed(left, now + 0.001)

    assert not [output for output in told if isinstance(output, Notice)]


def test_requests_before_the_evb_agreement_are_sent_after_it() -> None:
    world = World()
    world.ask(vsi(1))
    world.run(100.0)
    assert world.notices == []

    world.plug()
    world.run(0.1)

    assert everybody(world, Mode.ASSOCIATE)


def test_a_null_vid_is_filled_in_and_kept(world: World) -> None:
    world.ask(vsi(1, vid=0))
    world.run(10.0)

    assert [entry.vid for entry in world.station.held[0].filter_info.entries] == [77]
    assert world.bridge.decided.total() == 1


def test_a_filter_is_changed_and_changed_back(world: World) -> None:
    for vid in (100, 200, 100):
        world.ask(vsi(1, vid=vid))
        world.run(0.1)
        assert [entry.vid for entry in world.station.held[0].filter_info.entries] == [vid]
    assert world.bridge.decided.total() == 3


def test_asking_with_a_null_vid_again_changes_nothing(world: World) -> None:
    for _ in range(2):
        world.ask(vsi(1, vid=0))
        world.run(0.1)
    assert world.bridge.decided.total() == 1


def test_an_hour_of_keep_alives_decides_nothing_anew(world: World) -> None:
    world.ask(vsi(1))
    world.run(HOUR)

    assert everybody(world, Mode.ASSOCIATE)
    assert world.bridge.decided.total() == 1
    assert len(world.requests("bridge")) == pytest.approx(HOUR / 1.3108, rel=0.01)
    assert world.outcomes(vsi(1)) == [RequestOutcome.GRANTED]


@pytest.mark.parametrize("decision_delay", [0.0, 0.011])
def test_thirty_vsis_keep_alive_side_by_side(world: World, decision_delay: float) -> None:
    world.bridge.decision_delay = decision_delay
    for number in range(30):
        world.ask(vsi(number, PreAssociateRR if number % 3 else Associate), ManagerId(bytes([number % 2] * 16)))
    world.run(30.0)

    assert len(world.held) == 30
    assert world.held == world.bridge.in_force
    assert min(world.gaps()) >= MINIMUM_GAP - TOLERANCE


def test_hundreds_of_vsis_fit_one_uplink(world: World) -> None:
    for number in range(300):
        world.ask(vsi(number))
    world.run(5.0)

    assert len(world.held) == 300
    assert everybody(world, Mode.ASSOCIATE)


def test_lldp_settles(world: World) -> None:
    world.run(300.0)
    before = len(world.log)
    world.run(300.0)

    sent = [what for _, what, _ in world.log[before:] if what.startswith("sent")]
    assert sorted(sent) == ["sent to bridge"] * 10 + ["sent to station"] * 10


# --- refusals and De-Associates by the bridge -------------------------------------------------------------------------
def test_a_refused_vsi_leaves_nothing_at_either_side(world: World) -> None:
    world.bridge.decision = lambda _: Denied(VdpError.OTHER_FAILURE, hard=True)
    world.ask(vsi(1))
    world.run(0.1)

    [notice] = world.notices
    assert (notice.outcome, notice.status.error, notice.status.hard) == (
        RequestOutcome.REFUSED,
        VdpError.OTHER_FAILURE,
        True,
    )
    assert world.station.associations == []
    assert world.bridge.records == {}


def test_a_refused_change_leaves_the_association_in_force(world: World) -> None:
    world.ask(vsi(1))
    world.run(0.1)
    world.bridge.decision = lambda _: Denied(VdpError.INVALID_VID_GROUP_MAC)
    world.ask(vsi(1, vid=200))
    world.run(0.1)

    assert world.outcomes(vsi(1)) == [RequestOutcome.GRANTED, RequestOutcome.KEPT]
    assert everybody(world, Mode.ASSOCIATE)


def test_a_deassociate_by_the_bridge_is_sent_at_once(world: World) -> None:
    world.ask(vsi(1))
    world.run(0.1)
    world.bridge.tell(vsi(1).vsi_id, BridgeDeassociate("moved"))
    world.run(0.01)

    assert world.outcomes(vsi(1)) == [RequestOutcome.GRANTED, RequestOutcome.WITHDRAWN]
    assert world.bridge.records == {}


def test_a_decision_just_in_time_counts(world: World) -> None:
    world.bridge.decision_delay = 1.3
    world.ask(vsi(1))
    world.run(1.5)

    assert everybody(world, Mode.ASSOCIATE)


def test_a_decision_after_the_deadline_has_no_effect(world: World) -> None:
    world.bridge.decision_delay = 1.4
    world.ask(vsi(1))
    world.run(10.0)

    [notice] = world.notices
    assert (notice.outcome, notice.status.error) == (RequestOutcome.REFUSED, VdpError.INSUFFICIENT_RESOURCES)
    assert world.held == world.bridge.in_force == {}
    assert world.bridge.records == {}


# --- restarts, silence and link flaps -------------------------------------------------------------------------------
def test_a_silent_station_gets_one_deassociate(world: World) -> None:
    world.ask(vsi(1))
    world.run(0.1)
    world.faults = LinkFaults(loss=1.0)
    world.run(10.0)

    assert world.bridge.records == {}
    [(when, _)] = world.bridge.announced
    assert when == pytest.approx(world.bridge.evb.operational.keep_alive_timeout, abs=0.1)


def test_a_station_that_starts_again_at_number_one_is_heard(world: World) -> None:
    world.ask(vsi(1))
    world.run(0.5)
    world.restart_station()
    world.run(0.5)
    world.ask(vsi(1))
    world.run(0.1)

    (_, first), (_, again) = world.requests("bridge")
    assert first == again
    assert everybody(world, Mode.ASSOCIATE)


def test_a_station_with_another_first_request_is_heard_even_at_once(world: World) -> None:
    world.ask(vsi(1))
    world.run(0.02)
    world.restart_station()
    world.run(0.01)
    world.ask(vsi(2))
    world.run(0.02)

    assert vsi(2).vsi_id in world.held


def test_every_vsi_is_asked_again_after_a_link_flap_and_nothing_is_decided_anew(world: World) -> None:
    for number in range(5):
        world.ask(vsi(number))
    world.run(0.5)
    world.unplug()
    world.run(1.0)
    world.plug()
    world.run(5.0)

    assert len(world.held) == 5
    assert everybody(world, Mode.ASSOCIATE)
    assert world.bridge.decided.total() == 5
    assert world.bridge.announced == []


def test_a_station_counts_from_one_after_a_link_flap_and_is_heard(world: World) -> None:
    world.ask(vsi(1))
    world.run(0.02)
    world.unplug()
    world.run(0.01)
    world.plug()
    world.run(0.05)

    assert [ecpdu.sequence for _, ecpdu in world.requests("bridge")] == [1, 1]
    assert len(world.requests("station")) == 2


def test_a_vsi_that_waits_during_a_link_flap_gets_a_deassociate(world: World) -> None:
    world.bridge.decision_delay = 0.5
    world.ask(vsi(1))
    world.run(0.2)
    world.unplug()
    # lldpad never sends a VSI again that waited for an answer when the link went down.
    world.station._online = True
    world.run(0.1)
    world.plug()
    world.run(5.0)

    assert world.outcomes(vsi(1)) == [RequestOutcome.WITHDRAWN]
    assert world.station.associations == []
    assert world.bridge.records == {}


# --- a faulty link ------------------------------------------------------------------------------
link_faults = st.builds(
    LinkFaults,
    loss=st.sampled_from([0.0, 0.05, 0.2]),
    duplication=st.sampled_from([0.0, 0.3]),
    delay=st.sampled_from([0.0, 0.003, 0.02]),
    reorder=st.booleans(),
)
seeds = st.integers(0, 2**32)


def insist(world: World, requests: list[Association], seconds: float) -> None:
    """A hypervisor that asks again for what was given up or withdrawn, four times a second."""
    wanted = {request.vsi_id: request for request in requests}
    for _ in range(int(seconds * 4)):
        known = {association.vsi_id for association in world.station.associations}
        for vsi_id, request in wanted.items():
            if vsi_id not in known:
                world.ask(request)
        world.run(0.25)


@settings(max_examples=30, deadline=None)
@given(faults=link_faults, seed=seeds, decision_delay=st.sampled_from([0.0, 0.004, 0.2]))
def test_after_any_link_faults_both_sides_agree(faults: LinkFaults, seed: int, decision_delay: float) -> None:
    world = World(seed).plug()
    world.bridge.decision_delay = decision_delay
    world.faults = faults
    requests = [vsi(number, PreAssociateRR if number % 2 else Associate) for number in range(6)]
    insist(world, requests, 3.0)
    world.faults = LinkFaults()
    insist(world, requests, 6.0)

    assert world.held == world.bridge.in_force == {request.vsi_id: request.MODE for request in requests}
    assert min(world.gaps()) >= MINIMUM_GAP - TOLERANCE


@settings(max_examples=30, deadline=None)
@given(faults=link_faults, seed=seeds)
def test_what_was_released_under_any_link_faults_is_gone_at_both_sides(faults: LinkFaults, seed: int) -> None:
    world = World(seed).plug()
    for number in range(4):
        world.ask(vsi(number))
    world.run(0.5)
    world.faults = faults
    for number in range(4):
        if vsi(number).vsi_id in world.held:
            world.ask(vsi(number, DeAssociate))
    world.run(3.0)
    world.faults = LinkFaults()
    world.run(2 * world.bridge.evb.operational.keep_alive_timeout)

    assert world.station.associations == []
    assert world.bridge.records == {}


@settings(max_examples=30, deadline=None)
@given(faults=link_faults.filter(lambda faults: not faults.reorder), seed=seeds)
def test_on_a_link_that_keeps_order_every_request_is_decided_once(faults: LinkFaults, seed: int) -> None:
    world = World(seed).plug()
    world.faults = faults
    for kind in (PreAssociateRR, Associate):
        for number in range(6):
            if vsi(number).vsi_id in world.held or kind is PreAssociateRR:
                world.ask(vsi(number, kind))
        world.run(4.0)

    for number in range(6):
        if set(world.outcomes(vsi(number))) == {RequestOutcome.GRANTED}:
            assert [
                world.bridge.decided[vsi(number).vsi_id, mode] for mode in (Mode.PREASSOCIATE_RR, Mode.ASSOCIATE)
            ] == [
                1,
                1,
            ]
