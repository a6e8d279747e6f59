"""Transfer of learnt state of a VSI to the switch that it moves to."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Mode, ReadRules
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import VSI_MASK, CookieKind, Table, cookie, metadata, of_kind
from ryu_apps.evb.policy.model import Acl, PolicySet, Trigger
from ryu_apps.evb.services.firewall.schema import FirewallPolicy, Lifetimes
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi import state_transfer
from ryu_apps.evb.vsi.late_switches import PATIENCE
from ryu_apps.evb.vsi.reservation import RULES
from ryu_apps.evb.vsi.state_transfer import STAGED_IDLE
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.worlds import learnt
from tests.worlds.bridge import HV1, HV2, HV3, HV4, OPEN, POLICIES, S1, S2, Vm, World, open_type

DUAL, SINGLE, SMALL = VsiTypeKey(30, 1), VsiTypeKey(31, 1), VsiTypeKey(32, 1)
IDLE = 60


def walled(key: VsiTypeKey, trigger: Trigger = Trigger.DUAL, most: int = 10) -> PolicySet:
    firewall = FirewallPolicy(Acl(default=True), Acl(), most, Lifetimes(IDLE, 20, IDLE, IDLE))
    return replace(open_type(key), services=(("firewall", firewall),), trigger=trigger)


@pytest.fixture
def world() -> World:
    types = {DUAL: walled(DUAL), SINGLE: walled(SINGLE, Trigger.SINGLE), SMALL: walled(SMALL, most=1)}
    world = World(policies=PolicySet({**POLICIES.types, **types}))
    world.connect()
    return world


def learn(world: World, vm: Vm, *ports: int) -> None:
    """The switch where a VM is active learns a connection for each of these TCP ports."""
    learnt.learn(world, vm, *ports, idle=IDLE)


def state(world: World, dpid: int) -> list[Rule]:
    return list(world.rules(dpid, CookieKind.STATE).values())


def ports(world: World, dpid: int) -> set[int]:
    return {field.value for rule in state(world, dpid) for field in rule.match if field.name == "tcp_src"}


def associated(world: World, vm: Vm, port: PortId = HV1) -> None:
    world.ask(port, vm, VdpMode.ASSOCIATE)
    assert world.answer(port).success


def test_state_is_staged_under_the_new_index_before_the_station_is_answered(world: World) -> None:
    vm = Vm(7, DUAL)
    associated(world, vm)
    learn(world, vm, 1000, 1001)
    world.hold.add(S2)
    assert world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR) == []
    world.release()
    world.release()
    assert world.answer(HV3).success
    program = world.engine.registry.vsi(vm.vsi_id).attachments[HV3].holding.program
    assert {rule.cookie for rule in state(world, S2)} == {
        cookie(CookieKind.STATE, program.binding.vsi_index, program.binding.generation)
    }
    for rule in state(world, S2):
        (scope,) = (field for field in rule.match if field.name == "metadata")
        assert (scope.value, scope.mask) == (metadata(vsi=program.binding.vsi_index), VSI_MASK)
    assert ports(world, S2) == ports(world, S1) == {1000, 1001}


def test_staged_state_outlasts_a_long_reservation_and_its_timeouts_begin_with_the_move(world: World) -> None:
    vm = Vm(7, DUAL)
    associated(world, vm)
    learn(world, vm, 1000)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    assert [rule.idle_timeout for rule in state(world, S2)] == [STAGED_IDLE]
    world.ask(HV3, vm, VdpMode.ASSOCIATE)
    assert [rule.idle_timeout for rule in state(world, S2)] == [IDLE]


@pytest.mark.parametrize("kind", [DUAL, SINGLE])
@pytest.mark.parametrize("release_first", [False, True])
def test_what_came_after_staging_is_fixed_up(world: World, kind: VsiTypeKey, release_first: bool) -> None:
    vm = Vm(7, kind)
    associated(world, vm)
    learn(world, vm, 1000)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    learn(world, vm, 1001)
    if release_first:
        world.ask(HV1, vm, VdpMode.DEASSOCIATE)
        assert world.answer(HV1).success
        assert ports(world, S1) == (set() if kind is DUAL else {1000, 1001})
        assert ports(world, S2) == ({1000, 1001} if kind is DUAL else {1000})
    world.ask(HV3, vm, VdpMode.ASSOCIATE)
    assert world.answer(HV3).success
    assert ports(world, S2) == {1000, 1001}
    world.advance(1.0)
    assert state(world, S1) == []
    fixed = [happened.detail for happened in world.happened if happened.kind == "state.fixed_up"]
    assert fixed == [{"rules": 1, "services": {"firewall": 1}}]
    program = world.engine.registry.vsi(vm.vsi_id).attachments[HV3].holding.program
    assert (program.carried, program.fixed_up) == ({"firewall": 2}, {"firewall": 1})


@pytest.mark.parametrize("kind", [DUAL, SINGLE])
def test_suspension_is_a_trigger_for_types_that_have_two(world: World, kind: VsiTypeKey) -> None:
    vm = Vm(7, kind)
    associated(world, vm)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    learn(world, vm, 1000)
    world.ask(HV1, vm, VdpMode.ASSOCIATE, suspended=True)
    assert ports(world, S2) == ({1000} if kind is DUAL else set())


@pytest.mark.parametrize("release_first", [False, True])
def test_much_state_is_read_after_the_associate_with_two_triggers_too(
    world: World, monkeypatch: pytest.MonkeyPatch, release_first: bool
) -> None:
    """The switch that shows it would answer the Associate late."""
    monkeypatch.setattr(state_transfer, "MOST_EARLY", 2)
    vm = Vm(7, DUAL)
    associated(world, vm)
    learn(world, vm, 1000, 1001, 1002)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    learn(world, vm, 1003)
    if release_first:
        world.ask(HV1, vm, VdpMode.DEASSOCIATE)
        assert world.answer(HV1).success
    else:
        world.ask(HV1, vm, VdpMode.ASSOCIATE, suspended=True)
    assert ports(world, S2) == {1000, 1001, 1002}
    world.ask(HV3, vm, VdpMode.ASSOCIATE)
    assert ports(world, S2) == {1000, 1001, 1002, 1003}
    world.advance(1.0)
    assert state(world, S1) == []


def test_state_left_at_a_source_goes_when_the_destination_gives_up(world: World) -> None:
    vm = Vm(7, SINGLE)
    associated(world, vm)
    before = world.tables[S2].rules.copy()
    learn(world, vm, 1000)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    world.ask(HV1, vm, VdpMode.DEASSOCIATE)
    assert ports(world, S1) == {1000}
    world.ask(HV3, vm, VdpMode.DEASSOCIATE)
    world.advance(1.0)
    assert state(world, S1) == state(world, S2) == []
    assert not world.rules(S2, CookieKind.VSI_BODY, CookieKind.TYPE_BODY) and before


def test_without_a_successor_state_goes_with_its_vsi(world: World) -> None:
    vm = Vm(7, SINGLE)
    associated(world, vm)
    learn(world, vm, 1000)
    world.ask(HV1, vm, VdpMode.DEASSOCIATE)
    assert state(world, S1) == []


def test_source_that_cannot_be_asked_keeps_nobody_from_leaving_it(world: World) -> None:
    vm = Vm(7, DUAL)
    associated(world, vm)
    learn(world, vm, 1000)
    world.disconnect(S1)
    world.advance(PATIENCE)
    world.ask(HV3, vm, VdpMode.ASSOCIATE, migrating=True)
    assert world.answer(HV3).success
    assert any(happened.kind == "state.lost" for happened in world.happened)


def test_more_state_than_the_type_has_room_for_is_refused_and_leaves_nothing(world: World) -> None:
    vm = Vm(7, DUAL)
    associated(world, vm)
    learn(world, vm, 1000, 1001, 1002)
    before = world.snapshot()
    world.ask(HV3, replace(vm, type=SMALL), VdpMode.PREASSOCIATE_RR)
    assert world.answer(HV3).error is VdpError.INSUFFICIENT_RESOURCES
    world.advance(1.0)
    assert world.snapshot() == before


def test_room_for_all_the_state_a_vsi_may_have_is_reserved(world: World) -> None:
    used = world.engine.ledger.used(S1)
    associated(world, Vm(7, OPEN))
    without = world.engine.ledger.used(S1) - used
    associated(world, Vm(8, DUAL), HV2)
    program = world.engine.registry.vsi(Vm(8).vsi_id).attachments[HV2].holding.program
    assert world.engine.ledger.reservations(S1)["vsi", program.binding.vsi_index][RULES] >= without + 2 * 10


@pytest.mark.parametrize("restart", [False, True])
def test_state_of_the_living_stays_and_of_the_dead_goes(world: World, restart: bool) -> None:
    vm = Vm(7, DUAL)
    associated(world, vm)
    learn(world, vm, 1000)
    stale = replace(state(world, S1)[0], cookie=cookie(CookieKind.STATE, 999, 999), priority=99)
    world.tables[S1].rules[stale.key] = stale
    if restart:
        world.restart_controller()
    else:
        for _ in range(32):
            world.advance(1.0)
            world.ask(HV1, vm, VdpMode.ASSOCIATE)
    assert stale.key not in world.tables[S1].rules
    assert ports(world, S1) == {1000}


@pytest.mark.parametrize("kind", [DUAL, SINGLE])
def test_move_after_a_restart_carries_all(world: World, kind: VsiTypeKey) -> None:
    vm = Vm(7, kind)
    associated(world, vm)
    learn(world, vm, 1000)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    learn(world, vm, 1001)
    world.restart_controller()
    world.ask(HV3, vm, VdpMode.ASSOCIATE)
    assert {rule.idle_timeout for rule in state(world, S2)} == {IDLE}
    assert ports(world, S2) == {1000, 1001}


def test_there_and_back_and_within_a_switch(world: World) -> None:
    vm = Vm(7, DUAL)
    associated(world, vm)
    learn(world, vm, 1000)
    for port, dpid in ((HV3, S2), (HV4, S2), (HV1, S1), (HV2, S1)):
        world.ask(port, vm, VdpMode.ASSOCIATE, migrating=True)
        world.advance(0.5)
        assert world.answer(port).success
        assert ports(world, dpid) == {1000}
        assert state(world, S1 if dpid == S2 else S2) == []
        assert len(state(world, dpid)) == 1


def test_expired_reservation_leaves_no_state(world: World) -> None:
    vm = Vm(7, DUAL)
    associated(world, vm)
    learn(world, vm, 1000)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    for _ in range(8):
        world.advance(1.0)
        world.ask(HV1, vm, VdpMode.ASSOCIATE)
    assert state(world, S2) == [] and ports(world, S1) == {1000}


def test_migration_tells_what_followed_even_when_the_rest_is_over(world: World) -> None:
    vm = Vm(7, DUAL)
    associated(world, vm)
    learn(world, vm, 1000)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    learn(world, vm, 1001)
    world.ask(HV3, vm, VdpMode.ASSOCIATE)
    migration = list(world.engine.migrations)[-1]
    told = [(step.kind, step.detail.get("rules")) for _, step in migration.steps if step.kind.startswith("state.")]
    assert migration.finished and told == [("state.carried", 1), ("state.fixed_up", 1)]


def test_rules_that_teach_go_together_with_what_they_have_taught(world: World) -> None:
    vm = Vm(7, DUAL)
    associated(world, vm)
    learn(world, vm, 1000)
    world.applied.clear()
    world.ask(HV1, vm, VdpMode.DEASSOCIATE)
    taught = of_kind(CookieKind.STATE)
    (swept,) = [apply for apply in world.applied if any(taught.covers(m.cookie) for m in apply.change.delete_by_cookie)]
    assert len(swept.change.delete_by_cookie) == 2
    assert swept.mode is Mode.ATOMIC


def reads_of(world: World) -> list[ReadRules]:
    """Reads from now on, filled while the world goes on."""
    seen: list[ReadRules] = []
    world.observers.append(lambda _, effects: seen.extend(e for e in effects if isinstance(e, ReadRules)))
    return seen


def test_early_reading_is_in_parts_so_that_a_gate_may_go_between(world: World) -> None:
    vm = Vm(7, DUAL)
    associated(world, vm)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    seen = reads_of(world)
    world.ask(HV1, vm, VdpMode.ASSOCIATE, suspended=True)
    (read,) = seen
    assert {part.table for part in read.parts} == {Table.CONNECTIONS}
    assert read.most == state_transfer.MOST_EARLY


def test_state_of_a_source_that_leaves_is_read_at_once(world: World) -> None:
    vm = Vm(7, DUAL)
    associated(world, vm)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    seen = reads_of(world)
    world.ask(HV1, vm, VdpMode.DEASSOCIATE)
    (read,) = seen
    assert (read.parts, read.most) == ((), None), "the answer to the station waits behind it"


def test_more_state_than_may_be_read_early_is_read_after_the_associate(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    vm = Vm(7, DUAL)
    associated(world, vm)
    learn(world, vm, 1000)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    monkeypatch.setattr(state_transfer, "MOST_EARLY", 3)
    learn(world, vm, *range(1001, 1006))
    world.ask(HV1, vm, VdpMode.ASSOCIATE, suspended=True)
    assert ports(world, S2) == {1000}
    world.ask(HV3, vm, VdpMode.ASSOCIATE)
    assert world.answer(HV3).success
    assert ports(world, S2) == set(range(1000, 1006))
