"""Somebody deletes what a connected switch holds: it is noticed at once and put right, and no station pays for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.switch import Confirmed, PortChanged, SwitchAltered, SwitchUp
from ryu_apps.evb.pipeline.tables import TAGGED_GROUP, CookieKind, parse_cookie
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.switches.repairs import LONGEST_PAUSE, PAUSE, Repairs
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV2, HV3, S1, S2, Vm, World, world_with_vms

VM, OTHER, FAR = Vm(7), Vm(8), Vm(9)
#: toutKA at the timers of the tests.
PATIENCE = Operational(3, 10, 17, 17).keep_alive_timeout


@pytest.fixture
def world() -> World:
    return world_with_vms({HV1: VM, HV3: FAR})


def readiness(world: World, dpid: int) -> str:
    return world.engine.bringup.switches[dpid].readiness.value


def kinds(world: World) -> list[str]:
    return [event.kind for event in world.happened if event.dpid == S1]


def test_all_rules_come_back_at_once(world: World) -> None:
    before = world.snapshot()
    world.delete_objects(S1)
    assert world.snapshot() == before


@pytest.mark.parametrize(
    "kind",
    [CookieKind.INFRASTRUCTURE, CookieKind.TYPE_BODY, CookieKind.VSI_BODY, CookieKind.GATE, CookieKind.MEMBERSHIP],
)
def test_a_single_rule_comes_back_at_once(world: World, kind: CookieKind) -> None:
    before = world.snapshot()
    world.delete_objects(S1, {next(iter(world.rules(S1, kind)))})
    assert world.snapshot() == before
    assert world.engine.comparisons.drifted == 1


def test_groups_and_the_rules_that_refer_to_them_come_back(world: World) -> None:
    before, groups = world.snapshot(), dict(world.tables[S1].groups)
    world.delete_objects(S1, set(), groups=list(groups))
    assert world.tables[S1].groups == groups and world.snapshot() == before


def test_a_group_that_no_rule_refers_to_comes_back(world: World) -> None:
    groups = dict(world.tables[S1].groups)
    del world.tables[S1].groups[TAGGED_GROUP + 1]
    world.alter(S1)
    assert world.tables[S1].groups == groups


def test_meters_and_the_rules_that_refer_to_them_come_back(world: World) -> None:
    before, meters = world.snapshot(), dict(world.tables[S1].meters)
    world.delete_objects(S1, set(), meters=list(meters))
    assert world.tables[S1].meters == meters and world.snapshot() == before


def test_altered_rules_are_as_they_were(world: World) -> None:
    before = world.snapshot()
    key, gate = next(iter(world.rules(S1, CookieKind.GATE).items()))
    world.tables[S1].rules[key] = replace(gate, cookie=0, goto=None)
    world.alter(S1)
    assert world.snapshot() == before


def test_it_is_told_and_over_when_the_switch_is_ready(world: World) -> None:
    world.happened.clear()
    world.delete_objects(S1)
    assert kinds(world) == ["switch.altered", "switch.ready", "switch.drift"]


def test_while_it_is_put_right_the_switch_is_not_ready(world: World) -> None:
    world.hold.add(S1)
    world.delete_objects(S1)
    assert readiness(world, S1) != "ready" and readiness(world, S2) == "ready"
    world.release()
    assert readiness(world, S1) == "ready"


def test_nobody_expires_for_what_could_not_be_heard(world: World) -> None:
    """Its keep-alives were not punted any more; from when they are again the station has a whole timeout."""
    world.advance(PATIENCE - 0.1)
    world.ask(HV3, FAR, VdpMode.ASSOCIATE)
    world.hold.add(S1)
    world.delete_objects(S1)
    world.advance(PATIENCE)
    world.ask(HV3, FAR, VdpMode.ASSOCIATE)
    world.release()
    world.advance(PATIENCE - 0.1)
    assert HV1 in gate_ports(world)
    world.advance(0.2)
    assert HV1 not in gate_ports(world)


def test_a_keep_alive_that_went_out_in_vain_is_answered(world: World) -> None:
    world.delete_objects(S1)
    answered = len(world.sent[HV1])
    world.advance(1.0)
    world.delete_objects(S1)
    assert world.answer(HV1).success and len(world.sent[HV1]) == answered + 1


def test_what_is_asked_meanwhile_is_answered_when_it_is_ready(world: World) -> None:
    world.hold.add(S1)
    world.delete_objects(S1)
    assert world.ask(HV2, OTHER, VdpMode.ASSOCIATE) == []
    world.release()
    assert world.answer(HV2).success and gate_ports(world) == {HV1, HV2, HV3}


def test_a_link_that_fails_meanwhile_is_down(world: World) -> None:
    world.hold.add(S1)
    world.delete_objects(S1)
    world.feed(PortChanged(HV1, False))
    assert not world.engine.stations[HV1].up
    world.feed(PortChanged(HV1, True))
    world.release()
    assert world.engine.stations[HV1].up


def test_rules_that_vanish_while_it_is_put_right_come_back_too(world: World) -> None:
    before = world.snapshot()
    world.hold.add(S1)
    world.delete_objects(S1)
    world.hold.clear()
    held, world.held = world.held, []
    for apply in held:
        world._apply(replace(apply))
    world.delete_objects(S1)
    world.advance(PAUSE)
    assert world.snapshot() == before


def test_rules_that_vanish_during_the_installing_come_back_before_it_is_called_ready(world: World) -> None:
    before = world.snapshot()
    world.hold.add(S1)
    world.delete_objects(S1)
    world.delete_objects(S1)
    assert readiness(world, S1) == "installing"
    world.release()
    world.advance(PAUSE)
    assert world.snapshot() == before and readiness(world, S1) == "ready"


def test_rules_that_vanish_before_the_installing_is_confirmed_come_back(world: World) -> None:
    """The switch has carried the change out when somebody deletes, and confirms it afterwards."""
    before = world.snapshot()
    world.hold.add(S1)
    world.delete_objects(S1)
    (install,) = world.held
    world.tables[S1].apply(install.change)
    world.delete_objects(S1)
    world.held.clear()
    world.hold.clear()
    world.feed(Confirmed(S1, install.token))
    assert readiness(world, S1) != "ready"
    world.advance(PAUSE)
    assert world.snapshot() == before and readiness(world, S1) == "ready"


@pytest.mark.parametrize("mode", [VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE])
def test_rules_that_vanish_before_a_change_is_confirmed_are_all_there_in_the_end(world: World, mode: VdpMode) -> None:
    """The comparison waits for what is under way: a body that is being staged would be written over it."""
    twin = world_with_vms({HV1: VM, HV3: FAR})
    world.hold.add(S1)
    world.ask(HV2, OTHER, mode)
    world.delete_objects(S1)
    world.release()
    twin.ask(HV2, OTHER, mode)
    assert world.answer(HV2).success
    assert world.snapshot() == twin.snapshot()


def test_a_change_that_fails_for_it_is_refused_and_leaves_nothing(world: World) -> None:
    before = world.snapshot()
    world.hold.add(S1)
    world.ask(HV2, OTHER, VdpMode.PREASSOCIATE_RR)
    world.delete_objects(S1)
    world.refuse[S1, Mode.STAGE] = "1 rules are not as sent"
    world.release()
    assert world.answer(HV2).error is VdpError.INSUFFICIENT_RESOURCES
    world.advance(2.0)
    assert world.snapshot() == before


def test_who_deletes_in_a_loop_costs_one_comparison_a_second(world: World) -> None:
    world.happened.clear()
    for _ in range(40):
        world.delete_objects(S1)
        world.advance(0.05)
    assert kinds(world).count("switch.altered") <= 3
    world.advance(PAUSE)
    assert HV1 in gate_ports(world)


def test_a_switch_that_has_to_wait_for_that_is_not_ready_meanwhile(world: World) -> None:
    before = world.snapshot()
    world.delete_objects(S1)
    world.delete_objects(S1)
    assert readiness(world, S1) != "ready" and world.snapshot() != before
    assert world.ask(HV2, OTHER, VdpMode.PREASSOCIATE) == []
    world.advance(PAUSE)
    assert readiness(world, S1) == "ready" and world.snapshot() == before and world.answer(HV2).success


def test_changes_that_turn_out_not_to_be_ours_are_looked_at_less_and_less_often(world: World) -> None:
    world.happened.clear()
    for _ in range(600):
        world.alter(S1, certain=False)
        world.advance(0.1)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert 3 <= kinds(world).count("switch.altered") <= 8
    assert "switch.drift" not in kinds(world)


def test_what_is_certain_does_not_wait_for_that() -> None:
    repairs = Repairs()
    for _ in range(10):
        repairs.begin(S1, 0.0)
        repairs.end(S1, changed=0)
    assert repairs.plan(S1, 2.0, certain=False) == LONGEST_PAUSE
    assert repairs.plan(S1, 2.0, certain=True) == 2.0


def test_a_switch_that_does_not_tell_is_an_alarm(world: World) -> None:
    world.disconnect(S1)
    world.feed(SwitchUp(S1, {1: True}, watched=False))
    assert "switch.unwatched" in kinds(world)


def test_an_unknown_switch_tells_in_vain(world: World) -> None:
    world.feed(SwitchAltered(99, frozenset(), certain=True))
    world.disconnect(S1)
    world.feed(SwitchAltered(S1, frozenset(), certain=True))


def test_bodies_come_back_before_the_gates_that_lead_to_them(world: World) -> None:
    world.applied.clear()
    world.delete_objects(S1)
    owners = [parse_cookie(rule.cookie) for apply in world.applied for rule in apply.change.add]
    kinds = [owner.kind for owner in owners if owner is not None]
    last_body = max(place for place, kind in enumerate(kinds) if kind in (CookieKind.VSI_BODY, CookieKind.TYPE_BODY))
    assert last_body < kinds.index(CookieKind.GATE)
