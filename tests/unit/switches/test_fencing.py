"""Two bridges at the same switches: one of them is MASTER, and the other one neither writes nor answers."""

from __future__ import annotations

import pytest

from ryu_apps.evb.alarms import Alarms
from ryu_apps.evb.event_catalogue.switches import SwitchDisconnected, SwitchSuperseded, SwitchTakenOver, SwitchUnfenced
from ryu_apps.evb.events.switch import ControllerRole, RoleLost
from ryu_apps.evb.generation import newer, taken_over, text
from ryu_apps.evb.record_kinds import ATTACHMENT
from ryu_apps.evb.switches.mastership import MastershipState
from ryu_apps.evb.wire.vdp import ResponseStatus, VdpError, VdpMode
from tests.unit.pipeline.test_forwarding import send
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import CLIENT, HV1, HV2, HV3, NMS, NMS_MAC, S1, S2, Vm, World
from tests.worlds.fenced import FencedBridge, Site, gone

VM, OTHER = Vm(7), Vm(8)


@pytest.fixture
def site() -> Site:
    return Site()


@pytest.fixture
def old(site: Site) -> FencedBridge:
    """A bridge that is MASTER, and has a VM at hv1."""
    bridge = site.start()
    bridge.connect()
    associate(bridge, HV1, VM)
    return bridge


def associate(bridge: FencedBridge, port: object, vm: Vm) -> None:
    for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE):
        bridge.ask(port, vm, mode)  # type: ignore[arg-type]
        assert bridge.answer(port) == ResponseStatus(VdpError.SUCCESS)  # type: ignore[arg-type]


def effort(bridge: FencedBridge) -> tuple[int, int]:
    """Number of frames that a bridge has sent, and of changes that switches have carried out for it."""
    return len(bridge.frames), sum(number == bridge.number for number, _ in bridge.site.written)


def silent_still(bridge: FencedBridge) -> None:
    """Check that a bridge sends and writes nothing, for all that stations ask, and for longer than its timers."""
    before = effort(bridge)
    for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE):
        for port, vm in ((HV1, VM), (HV3, VM), (HV3, OTHER)):
            bridge.ask(port, vm, mode)
    bridge.advance(100.0)
    assert effort(bridge) == before


def test_nothing_is_sent_before_a_switch_has_granted_master(site: Site) -> None:
    bridge = site.start()
    bridge.mute = {S1, S2}
    bridge.connect()
    silent_still(bridge)
    assert site.written == [] and not bridge.engine.bringup.switches
    # Nor if a survey ends that was begun before the channel that has the role now.
    World.connect(bridge, S1, S2)
    assert site.written == [] and not bridge.engine.bringup.switches
    bridge.mute.clear()
    bridge.advance(11.0)
    assert {bridge.role(dpid) for dpid in (S1, S2)} == {ControllerRole.MASTER}
    associate(bridge, HV1, VM)
    assert gate_ports(bridge) == {HV1}


def test_the_case_of_the_issue_is_one_gate(site: Site, old: FencedBridge) -> None:
    new = site.start()
    new.connect()
    associate(new, HV3, VM)
    assert gate_ports(new) == {HV3}
    silent_still(old)
    assert gate_ports(new) == {HV3}
    assert old.engine.fencing.superseded and not new.engine.fencing.superseded


def test_a_bystander_is_reached_when_a_newer_bridge_moves_its_neighbour(site: Site, old: FencedBridge) -> None:
    """The newer one knows nothing of the bystander, whose station has not spoken to it yet."""
    associate(old, HV2, OTHER)
    new = site.start()
    new.connect()
    associate(new, HV1, VM)
    associate(new, HV3, VM)
    assert gate_ports(new) == {HV2, HV3}
    everybody = (1 << 48) - 1
    for target, expected in ((OTHER.mac, [(HV2, OTHER.mac)]), (everybody, [(HV2, OTHER.mac), (HV3, VM.mac)])):
        arrived = send(new, NMS, NMS_MAC, target)
        assert sorted(copy for copy in arrived if copy[0] != CLIENT) == expected


@pytest.mark.parametrize("tells", [True, False])
def test_a_demoted_bridge_stands_aside_at_all_switches(site: Site, old: FencedBridge, tells: bool) -> None:
    new = site.start()
    for dpid in (S1, S2):
        old.at(dpid).tells = tells
    new.connect(S1)
    # A switch that does not tell is looked at.
    old.advance(6.0)
    assert old.role(S2) is ControllerRole.SLAVE, "given up, although nobody has taken it yet"
    silent_still(old)
    asked = len(old.requests)
    old.advance(100.0)
    assert len(old.requests) == asked, "a slave rests"
    told = [event for event in old.happened if isinstance(event, SwitchSuperseded)]
    assert {event.dpid for event in told} == {S1, S2}
    assert {event.newest for event in told} == {text(new.life.generation)}
    assert not any(isinstance(event, SwitchDisconnected) for event in old.happened), "it is connected"


def test_a_bridge_that_is_not_told_learns_it_from_the_refusal_of_a_change(site: Site, old: FencedBridge) -> None:
    for dpid in (S1, S2):
        old.at(dpid).tells = False
    new = site.start()
    new.connect()
    before = effort(old)
    # At once, before it looks: its frames would not arrive any more, but one may be under way.
    old.send(HV3, OTHER.tlv(VdpMode.ASSOCIATE), OTHER.address)
    assert old.engine.fencing.superseded
    assert effort(old) == before
    assert gate_ports(new) == {HV1}


def test_an_open_change_is_lost_and_its_request_not_answered(site: Site, old: FencedBridge) -> None:
    old.hold = {S2}
    old.ask(HV3, OTHER, VdpMode.ASSOCIATE)
    frames = len(old.frames)
    new = site.start()
    new.connect()
    assert old.held == []
    old.hold.clear()
    silent_still(old)
    assert len(old.frames) == frames


def test_the_other_switches_are_left_at_once(site: Site, old: FencedBridge) -> None:
    """Not when the one that has told it has said more."""
    old.mute = {S1}
    old.feed(RoleLost(S1))
    assert old.engine.fencing.switches[S2].state is MastershipState.ASIDE
    silent_still(old)


def test_a_survey_that_ends_after_the_role_was_lost_begins_nothing(site: Site, old: FencedBridge) -> None:
    old.feed(RoleLost(S1))
    World.connect(old, S1, S2)
    assert not old.engine.bringup.switches
    silent_still(old)


def test_a_stopped_bridge_wakes_up_and_is_refused(site: Site, old: FencedBridge) -> None:
    """Its channels have ended meanwhile, and its deadlines have passed."""
    gone(old)
    new = site.start()
    new.connect()
    associate(new, HV3, VM)
    before = effort(old)
    old.now += 500.0
    old.connect()
    silent_still(old)
    assert effort(old) == before and gate_ports(new) == {HV3}
    assert old.engine.fencing.superseded and new.role(S1) is new.role(S2) is ControllerRole.MASTER


def test_a_bridge_whose_channels_end_before_it_has_learnt_more_learns_it_later(site: Site, old: FencedBridge) -> None:
    """It was stopped, and finds in its sockets that it was demoted, and their end."""
    old.mute = {S1, S2}
    new = site.start()
    new.connect()
    gone(old)
    assert old.engine.fencing.superseded and old.engine.fencing.newest is None
    old.mute.clear()
    old.happened.clear()
    old.connect()
    told = [event for event in old.happened if isinstance(event, SwitchSuperseded)]
    assert {(event.dpid, event.newest) for event in told} == {(dpid, text(new.life.generation)) for dpid in (S1, S2)}
    assert old.role(S1) is old.role(S2) is ControllerRole.SLAVE
    silent_still(old)


def test_a_superseded_bridge_submits_to_a_switch_that_has_forgotten_all_generations(
    site: Site, old: FencedBridge
) -> None:
    new = site.start()
    new.connect()
    old.disconnect(S1)
    new.disconnect(S1)
    old.at(S1).generation = None
    old.connect(S1)
    assert old.role(S1) is ControllerRole.SLAVE and old.at(S1).generation == new.life.generation
    silent_still(old)
    new.connect(S1)
    assert new.role(S1) is ControllerRole.MASTER


def test_an_older_bridge_leaves_a_switch_alone_and_says_so(site: Site) -> None:
    # It remembers a life, so its store is not lost: what the switch knows is somebody else.
    records = {key: value for key, value in taken_over(1).items() if value is not None}
    older, new = site.start(records, clock=5), site.start()
    new.connect()
    alarms = Alarms()
    older.connect()
    for event in older.happened:
        alarms.observe(event, older.now)
    assert {(alarm.row.kind, alarm.dpid) for alarm in alarms} == {("switch.superseded", S1), ("switch.superseded", S2)}
    assert {at.state for at in older.engine.fencing.switches.values()} == {MastershipState.ASIDE}
    assert [asked.role for asked in older.requests if asked.dpid == S2][-1] is ControllerRole.SLAVE
    silent_still(older)
    assert site.written and {number for number, _ in site.written} == {new.number}


def test_a_lost_store_takes_over_from_the_life_that_it_has_forgotten(site: Site, old: FencedBridge) -> None:
    old.die()
    # The clock has lost its time, too.
    heir = site.start(clock=5)
    assert newer(old.life.generation, heir.life.generation)
    heir.connect()
    assert heir.role(S1) is heir.role(S2) is ControllerRole.MASTER
    assert newer(heir.engine.fencing.generation, old.life.generation)
    assert any(isinstance(event, SwitchTakenOver) for event in heir.happened)
    associate(heir, HV1, VM)
    # What it has taken is in the store.
    heir.die()
    assert newer(site.start(heir.store, clock=6).life.generation, heir.engine.fencing.generation)


def test_who_has_served_takes_nothing_over(site: Site) -> None:
    bridge = site.start(clock=5)
    bridge.connect(S1)
    bridge.at(S2).generation = bridge.life.generation + 1000
    bridge.connect(S2)
    assert bridge.engine.fencing.superseded
    silent_still(bridge)


def test_a_superseded_bridge_comes_back_with_its_next_life_and_without_its_grants(
    site: Site, old: FencedBridge
) -> None:
    new = site.start()
    new.connect()
    associate(new, HV3, VM)
    old.die()
    again = site.start(old.store)
    assert not any(key.startswith(ATTACHMENT.prefix) for key in again.store)
    again.connect()
    assert again.role(S1) is again.role(S2) is ControllerRole.MASTER
    # The VM has moved since: its gate stays where it is, although no record says so.
    assert gate_ports(again) == {HV3}
    again.ask(HV3, VM, VdpMode.ASSOCIATE)
    assert again.answer(HV3) == ResponseStatus(VdpError.SUCCESS) and gate_ports(again) == {HV3}
    silent_still(new)


def test_who_is_killed_before_it_has_learnt_more_has_noted_that_it_was_superseded(
    site: Site, old: FencedBridge
) -> None:
    old.mute = {S1, S2}
    old.feed(RoleLost(S1))
    assert not any(key.startswith(ATTACHMENT.prefix) for key in site.start(old.store).store)


def test_a_later_grant_does_not_undo_that_note(site: Site, old: FencedBridge) -> None:
    """An Associate that was under way is granted and saved; nobody is told."""
    old.store_delays = True
    old.send(HV3, OTHER.tlv(VdpMode.ASSOCIATE), OTHER.address)
    old.feed(RoleLost(S1))
    old.store_answers()
    assert not any(key.startswith(ATTACHMENT.prefix) for key in site.start(old.store).store)


def test_a_restart_keeps_the_grants(site: Site, old: FencedBridge) -> None:
    old.die()
    again = site.start(old.store)
    before = len(site.written)
    again.connect()
    assert gate_ports(again) == {HV1}
    assert again.engine.registry.named(VM.text) is not None
    assert newer(again.life.generation, old.life.generation)
    changes = [apply for apply in again.applied if apply.change.add or apply.change.remove]
    assert changes == [] and len(site.written) > before


def test_a_lost_reply_is_asked_for_again_and_takes_no_channel(site: Site, old: FencedBridge) -> None:
    old.mute = {S1}
    old.advance(30.0)
    assert old.engine.fencing.serves(S1) and not old.engine.fencing.superseded
    old.mute.clear()
    asked = len(old.requests)
    old.advance(30.0)
    assert len(old.requests) > asked
    assert old.engine.fencing.serves(S1)


def test_a_switch_without_roles_is_served_and_told_of(site: Site) -> None:
    bridge = site.start()
    bridge.at(S1).knows_roles = False
    bridge.connect()
    assert [event.dpid for event in bridge.happened if isinstance(event, SwitchUnfenced)] == [S1]
    associate(bridge, HV1, VM)
    assert gate_ports(bridge) == {HV1}
    # It has no roles, but it can be superseded elsewhere.
    site.start().connect(S2)
    silent_still(bridge)


def test_of_two_that_start_at_once_one_is_left(site: Site) -> None:
    first, second = site.start(clock=7), site.start(clock=7)
    first.connect(S1)
    second.connect(S2)
    first.connect(S2)
    second.connect(S1)
    left = [bridge for bridge in (first, second) if not bridge.engine.fencing.superseded]
    assert len(left) == 1
    assert {left[0].role(dpid) for dpid in (S1, S2)} == {ControllerRole.MASTER}
