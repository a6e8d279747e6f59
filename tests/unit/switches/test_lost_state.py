"""A bridge whose state is lost: what it cannot explain may be in use, and stays until its stations had their time."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.other import OperatorDeassociate
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.switches.recovery import KEY, UNKNOWN, Recovery
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.unit.pipeline.test_forwarding import relay_on
from tests.unit.switches.test_lost_channel import relays
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV2, HV3, S1, S2, Vm, World

VM, OTHER, FAR = Vm(7), Vm(8), Vm(9)
ALL = {HV1, HV2, HV3}
#: Longer than the bridge waits for stations to claim what they use, at the timers of the tests.
GRACE = 12.0


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV2, OTHER, VdpMode.ASSOCIATE)
    world.ask(HV3, FAR, VdpMode.ASSOCIATE)
    return world


def lose(world: World) -> None:
    """The controller dies, and somebody removes or empties its state."""
    world.store = {key: record for key, record in UNKNOWN.items() if record is not None}
    world.restart_controller()


def claim(world: World) -> None:
    """The stations say what they use."""
    for port, vm in ((HV1, VM), (HV2, OTHER), (HV3, FAR)):
        world.ask(port, vm, VdpMode.ASSOCIATE)


def claim_for(world: World, seconds: float) -> None:
    for _ in range(int(seconds)):
        world.advance(1.0)
        claim(world)


def test_gates_stay_when_the_controller_is_killed_again_before_anybody_has_claimed_them(world: World) -> None:
    lose(world)
    for _ in range(3):
        world.restart_controller()
        world.advance(1.0)
        assert gate_ports(world) == ALL


def test_gates_of_others_stay_when_it_is_killed_after_one_has_been_claimed(world: World) -> None:
    lose(world)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.restart_controller()
    assert gate_ports(world) == ALL


def test_all_is_claimed_and_nothing_is_left_over(world: World) -> None:
    before = {dpid: len(rules) for dpid, rules in world.snapshot().items()}
    lose(world)
    claim_for(world, GRACE)
    assert gate_ports(world) == ALL
    assert {dpid: len(rules) for dpid, rules in world.snapshot().items()} == before


def test_when_the_time_is_over_the_past_is_known(world: World) -> None:
    lose(world)
    assert KEY in world.store
    claim_for(world, GRACE)
    assert KEY not in world.store and world.engine.recovery.over


def test_a_switch_that_holds_nothing_unexplained_is_not_waited_for() -> None:
    """A bridge that starts for the first time, and is killed while a body is staged, leaves none of it."""
    world = World()
    world.store = {key: record for key, record in UNKNOWN.items() if record is not None}
    world.restart_controller()
    assert world.engine.recovery.over and KEY not in world.store
    before = world.snapshot()
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.store.clear()
    world.restart_controller()
    assert world.snapshot() == before


def test_what_nobody_claims_goes(world: World) -> None:
    lose(world)
    world.advance(GRACE)
    assert gate_ports(world) == set()


def test_rules_that_no_record_explains_are_an_alarm_until_their_time_is_over(world: World) -> None:
    lose(world)
    told = [event.kind for event in world.happened if event.dpid == S1]
    assert "switch.unclaimed" in told and "switch.claimed" not in told
    world.advance(GRACE)
    assert "switch.claimed" in [event.kind for event in world.happened if event.dpid == S1]


def test_reflective_relay_stays_on(world: World) -> None:
    relay_on(world, HV1)
    lose(world)
    assert relays(world)
    world.restart_controller()
    assert relays(world)


def test_reflective_relay_that_a_known_past_has_off_goes_off(world: World) -> None:
    relay_on(world, HV1)
    del world.store[f"relay/{HV1}"]
    world.restart_controller()
    assert not relays(world)


def test_a_switch_that_comes_late_has_its_time_all_the_same(world: World) -> None:
    world.disconnect(S2)
    world.store = {key: record for key, record in UNKNOWN.items() if record is not None}
    world.restart_controller()
    world.disconnect(S2)
    world.advance(2 * GRACE)
    world.connect(S2)
    world.advance(1.0)
    assert HV3 in gate_ports(world)
    world.restart_controller()
    assert HV3 in gate_ports(world)
    world.ask(HV3, FAR, VdpMode.ASSOCIATE)
    assert world.answer(HV3).success and HV3 in gate_ports(world)


def test_a_switch_whose_time_is_over_is_not_waited_for_again(world: World) -> None:
    lose(world)
    world.disconnect(S2)
    claim_for(world, GRACE)
    world.restart_controller()
    assert not world.engine.recovery.in_grace(S1) and world.engine.recovery.in_grace(S2)


def test_a_switch_that_is_compared_again_meanwhile_stays_patient(world: World) -> None:
    lose(world)
    world.engine.comparisons.compare(S1, world.now)
    world.advance(0.1)
    assert gate_ports(world) == ALL


def test_what_this_life_has_taken_out_is_not_waited_for(world: World) -> None:
    lose(world)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.disconnect(S1)
    world.feed(OperatorDeassociate(VM.text))
    world.connect(S1)
    assert gate_ports(world) == {HV2, HV3}
    assert len(world.rules(S1, CookieKind.GATE)) == len(world.rules(S2, CookieKind.GATE))


@pytest.mark.parametrize("record", [b"", b"\xc1", b"\x01", b"\x91\xa1x"])
def test_a_mark_that_cannot_be_read_knows_no_switch(record: bytes) -> None:
    recovery = Recovery((S1, S2), {KEY: record}, complete=True)
    assert recovery.in_grace(S1) and recovery.in_grace(S2)


# --- what lives elsewhere, as the switches have it ---
def told(world: World, port: PortId) -> VdpError:
    return world.answer(port).error


def test_old_host_that_repeats_itself_first_does_not_get_a_vsi_that_lives_elsewhere(world: World) -> None:
    lose(world)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    assert told(world, HV3) is VdpError.INSUFFICIENT_RESOURCES and gate_ports(world) == ALL
    (contested,) = [event for event in world.happened if event.kind == "vsi.contested"]
    assert contested.detail == {"owner": str(HV1), "claimant": str(HV3)}
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success and gate_ports(world) == ALL


def test_the_alarm_of_such_a_claim_lasts_until_the_vsi_is_claimed_where_it_lives(world: World) -> None:
    lose(world)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    quarrel = [event.kind for event in world.happened if event.kind in ("vsi.contested", "vsi.settled")]
    assert quarrel == ["vsi.contested"]
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    (settled,) = [event for event in world.happened if event.kind == "vsi.settled"]
    assert (settled.vsi, settled.detail) == (VM.text, {"owner": str(HV1)})


def test_or_until_nobody_has_claimed_it_for_a_while(world: World) -> None:
    lose(world)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    patience = world.engine.stations[HV3].evb.operational.keep_alive_timeout
    world.advance(patience - 0.1)
    assert not [event for event in world.happened if event.kind == "vsi.settled"]
    world.advance(0.2)
    (settled,) = [event for event in world.happened if event.kind == "vsi.settled"]
    assert settled.vsi == VM.text


def test_nor_while_the_switch_where_it_lives_is_away(world: World) -> None:
    world.disconnect(S2)
    lose(world)
    world.disconnect(S2)
    world.ask(HV1, FAR, VdpMode.ASSOCIATE)
    assert told(world, HV1) is VdpError.INSUFFICIENT_RESOURCES
    world.connect(S2)
    world.ask(HV3, FAR, VdpMode.ASSOCIATE)
    assert world.answer(HV3).success and gate_ports(world) == ALL


def test_announced_vsi_moves_though_no_record_explains_where_it_was(world: World) -> None:
    lose(world)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV3).success and gate_ports(world) == {HV2, HV3}


def test_vsi_that_was_claimed_and_let_go_may_be_had_without_announcement(world: World) -> None:
    lose(world)
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV3).success


def test_when_the_time_is_over_what_nobody_has_claimed_hinders_nobody(world: World) -> None:
    lose(world)
    world.advance(GRACE)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV3).success


def test_port_where_the_gate_is_open_too_may_have_it(world: World) -> None:
    """A controller that dies between the switches of a move leaves two."""
    rules = world.rules(S1, CookieKind.GATE)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    ingress = {key: rule for key, rule in rules.items() if rule.table is Table.INGRESS}
    world.tables[S1].rules.update(ingress)
    lose(world)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV3).success and HV3 in gate_ports(world)
