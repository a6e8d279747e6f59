"""A flip that was prepared is the one that would be computed when it is asked for, whatever has happened meanwhile."""

from __future__ import annotations

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.other import BackendJudged, OperatorDeassociate
from ryu_apps.evb.events.switch import SwitchCapacity
from ryu_apps.evb.pipeline.load_balancers import group_id
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from tests.property.test_bridge_model import ALL_SPEEDS, FABRIC, OTHERS, SERVING, TYPES, WEB
from tests.worlds.bridge import EAGER, HV1, HV2, HV3, HV4, OPEN_2, S1, S2, Vm, World
from tests.worlds.draws import drawn
from tests.worlds.prepared_flips import FlipComparison

PORTS = st.sampled_from([HV1, HV2, HV3, HV4])
SWITCHES = st.sampled_from([S1, S2])
VMS = st.sampled_from([Vm(1), Vm(2), Vm(2, type=OPEN_2), Vm(3, type=EAGER), *OTHERS])
PLACES = st.tuples(PORTS, VMS)
#: A step: it gets the world and the places where VMs have been reserved so far.
Step = Callable[[World, list[tuple[PortId, Vm]]], object]


def reserve(place: tuple[PortId, Vm]) -> Step:
    def step(world: World, reserved: list[tuple[PortId, Vm]]) -> None:
        reserved.append(place)
        world.ask(*place, VdpMode.PREASSOCIATE_RR)

    return step


def ask(which: int, mode: VdpMode, suspended: bool) -> Step:
    def step(world: World, reserved: list[tuple[PortId, Vm]]) -> None:
        if reserved:
            world.ask(*reserved[-1 - which % len(reserved)], mode, suspended=suspended)

    return step


def changed(change: Callable[[World], object]) -> Step:
    return lambda world, reserved: change(world)


def dawdle(dpid: int) -> Step:
    return changed(lambda world: world.hold.add(dpid))


def refuse(dpid: int) -> Step:
    return changed(lambda world: world.refuse.update({(dpid, Mode.ATOMIC): "refused"}))


def reconnect(dpid: int) -> Step:
    def step(world: World) -> None:
        world.disconnect(dpid)
        world.connect(dpid)

    return changed(step)


def judge(up: bool) -> Step:
    return changed(lambda world: world.feed(BackendJudged("web", "one", up)))


def take_off(vm: Vm) -> Step:
    return changed(lambda world: world.feed(OperatorDeassociate(vm.text)))


MODES = st.sampled_from([VdpMode.ASSOCIATE, VdpMode.ASSOCIATE, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE])
STEPS = st.lists(
    st.builds(reserve, PLACES)
    | st.builds(reserve, PLACES)
    | st.builds(ask, st.integers(0, 3), MODES, st.sampled_from([False, False, True]))
    | st.builds(ask, st.integers(0, 3), MODES, st.just(False))
    | st.builds(dawdle, SWITCHES)
    | st.builds(refuse, SWITCHES)
    | st.builds(reconnect, SWITCHES)
    | st.builds(judge, st.booleans())
    | st.builds(take_off, VMS)
    | st.sampled_from([changed(World.release), changed(World.restart_controller)]),
    min_size=4,
    max_size=30,
)


@drawn(40)
@given(STEPS)
def test_a_prepared_flip_is_the_one_that_is_due(steps: list[Step]) -> None:
    world = World(FABRIC, policies=TYPES, forward_in_flight=2, capacity=SwitchCapacity(speeds=ALL_SPEEDS))
    flips = FlipComparison(world)
    world.connect()
    reserved: list[tuple[PortId, Vm]] = []
    for step in steps:
        step(world, reserved)
        flips.compare_prepared()


def test_moves_back_and_forth_are_prepared() -> None:
    """Else nothing is compared above."""
    world = World(FABRIC, policies=TYPES, forward_in_flight=2, capacity=SwitchCapacity(speeds=ALL_SPEEDS))
    flips = FlipComparison(world)
    world.connect()
    vms = [Vm(1), Vm(3, type=EAGER), *{vm.number: vm for vm in OTHERS}.values()]
    for port in (HV1, HV3, HV2, HV4):
        for vm in vms:
            world.ask(port, vm, VdpMode.PREASSOCIATE_RR)
        world.advance(1)
        for vm in vms:
            flips.compare_prepared()
            world.ask(port, vm, VdpMode.ASSOCIATE)
            assert world.answer(port).success
    assert flips.used >= len(vms)


def test_a_judged_back_end_is_prepared_anew() -> None:
    world = World(FABRIC, policies=TYPES, capacity=SwitchCapacity(speeds=ALL_SPEEDS))
    flips = FlipComparison(world)
    world.connect()
    guest = SERVING[0]
    world.ask(HV1, guest, VdpMode.PREASSOCIATE_RR)
    for judged in (False, True, False):
        world.advance(0.05)
        # Neither is it in rotation: no group changes, but the one that its Associate leads to.
        world.feed(BackendJudged("web", "one", judged))
        flips.compare_prepared()
    world.advance(0.05)
    world.ask(HV1, guest, VdpMode.ASSOCIATE)
    assert flips.used == 1
    for table in world.tables.values():
        assert table.groups[group_id(WEB, 4)].buckets == ()
