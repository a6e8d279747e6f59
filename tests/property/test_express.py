"""Changes that are sent ahead of an Associate are those that its steps come to, whatever has happened before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.events.effect import Apply, Mode
from ryu_apps.evb.events.other import BackendJudged, OperatorDeassociate, PoliciesLoaded
from ryu_apps.evb.events.switch import PortChanged, SwitchCapacity
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.topology.fabric import Converge, Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_treatment import Takeover
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.vsi.flapping import MOVES
from ryu_apps.evb.wire.vdp import VdpMode
from tests.property.test_bridge_model import ALL_SPEEDS, FABRIC, OTHERS, RECEIVERS, SERVING, TYPES
from tests.worlds.bridge import (
    EAGER,
    HV1,
    HV2,
    HV3,
    HV4,
    OPEN_2,
    S1,
    S2,
    Vm,
    World,
    two_switches,
    with_gates,
    without_extensions,
)
from tests.worlds.draws import drawn
from tests.worlds.vswitch import STATION1, STATION2, ServerWorld, server_fabric, tap_of

RR, ASSOCIATE, DEASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
PORTS = [HV1, HV2, HV3, HV4]
VMS = [Vm(1), Vm(2), Vm(2, type=OPEN_2), Vm(3, type=EAGER), *OTHERS]
#: Long enough that flips are prepared, and that no keep-alive is due.
IDLE = 0.05


def taking(fabric: Fabric, takeover: Takeover) -> Fabric:
    """The same fabric, whose ports take VSIs over on this condition."""
    switches = {
        dpid: replace(
            switch,
            interfaces={number: replace(port, takeover=takeover) for number, port in switch.interfaces.items()},
        )
        for dpid, switch in fabric.switches.items()
    }
    return replace(fabric, switches=switches)


FABRICS = [
    FABRIC,
    with_gates(FABRIC, GateMode.METER),
    replace(FABRIC, converge=Converge.COPY),
    with_gates(replace(FABRIC, converge=Converge.COPY), GateMode.METER),
    taking(FABRIC, Takeover.RESERVED),
    taking(FABRIC, Takeover.ANY),
    without_extensions(two_switches(), S2),
]


class Change(NamedTuple):
    """A change that a switch was sent, without its token."""

    change: RuleChange
    blocks: tuple[tuple[Rule, ...], ...]
    mode: Mode
    lane: int

    @classmethod
    def of(cls, apply: Apply) -> Change:
        """Blocks of rules are equal only to themselves."""
        blocks = tuple(tuple(block.rules) for block in apply.change.blocks)
        return cls(replace(apply.change, blocks=()), blocks, apply.mode, apply.lane)


class Twins:
    """Two worlds in which the same happens; in one of them nothing is sent ahead."""

    def __init__(self, fabric: Fabric, seconds: int, made: type[World] = World) -> None:
        self.worlds = [
            made(
                fabric,
                policies=TYPES,
                forward_in_flight=seconds,
                capacity=SwitchCapacity(speeds=ALL_SPEEDS),
                express=express,
            )
            for express in (True, False)
        ]
        self.do(lambda world: world.connect())

    def do(self, step: Callable[[World], object]) -> None:
        """Let something happen in both, and compare what is there then."""
        for world in self.worlds:
            step(world)
        one, other = map(self._taken, self.worlds)
        assert one == other

    @staticmethod
    def _taken(world: World) -> list[object]:
        """Return all that has been done since the last comparison; it is dropped."""
        changes: dict[int, list[Change]] = {}
        for apply in world.applied:
            changes.setdefault(apply.dpid, []).append(Change.of(apply))
        seen = [changes, *map(list, (world.happened, world.frames)), dict(world.store)]
        for log in (world.applied, world.happened, world.frames):
            log.clear()
        return seen


Step = Callable[[World], object]


def asks(port: PortId, vm: Vm, mode: VdpMode, status: dict[str, bool]) -> Step:
    return lambda world: world.ask(port, vm, mode, **status)


def comes(port: PortId, vm: Vm, pause: float) -> Step:
    """A VM is staged at a port and, after a pause, associated there."""

    def step(world: World) -> None:
        world.ask(port, vm, RR)
        world.advance(pause)
        world.ask(port, vm, ASSOCIATE)

    return step


def tells(address: int, vm: Vm, port: PortId) -> Step:
    """A station gives a VM another address with its Associate than with its Pre-Associate."""

    def step(world: World) -> None:
        world.ask(port, vm, RR)
        world.advance(IDLE)
        world.send(port, vm.tlv(ASSOCIATE), Vm(address).address)

    return step


def loads(without: Vm) -> Step:
    left = {key: made for key, made in TYPES.types.items() if key != without.type}
    return lambda world: world.feed(PoliciesLoaded(PolicySet(left)))


def judges(up: bool, weight: int) -> Step:
    def step(world: World) -> None:
        for balancer in world.fabric.balancers:
            world.feed(BackendJudged(balancer.name, "one", up, weight))

    return step


def flaps(vm: Vm) -> Step:
    def step(world: World) -> None:
        for number in range(MOVES + 1):
            comes((HV1, HV3)[number % 2], vm, IDLE)(world)

    return step


def reconnects(dpid: int) -> Step:
    def step(world: World) -> None:
        world.disconnect(dpid)
        return_all(world)

    return step


def return_all(world: World) -> None:
    """Connect the switches that are away."""
    if away := world.fabric.switches.keys() - world.engine.bringup.switches.keys():
        world.connect(*sorted(away))


AT, VM, SWITCH = st.sampled_from(PORTS), st.sampled_from(VMS), st.sampled_from([S1, S2])
STATUS = st.sampled_from([{}, {}, {"migrating": True}, {"suspended": True}])
STEPS = st.lists(
    st.builds(comes, AT, VM, st.sampled_from([IDLE, 0.0, 3.0]))
    | st.builds(comes, AT, VM, st.just(IDLE))
    | st.builds(asks, AT, VM, st.sampled_from([RR, ASSOCIATE, ASSOCIATE, DEASSOCIATE, VdpMode.PREASSOCIATE]), STATUS)
    | st.builds(tells, st.integers(20, 22), VM, AT)
    | st.builds(lambda seconds: lambda world: world.advance(seconds), st.sampled_from([IDLE, 0.7, 3.0, 12.0]))
    | st.builds(lambda dpid: lambda world: world.hold.add(dpid), SWITCH)
    | st.builds(lambda dpid: lambda world: world.refuse.update({(dpid, Mode.ATOMIC): "refused"}), SWITCH)
    | st.builds(reconnects, SWITCH)
    | st.builds(lambda dpid: lambda world: world.disconnect(dpid), SWITCH)
    | st.builds(lambda dpid: lambda world: world.delete_objects(dpid), SWITCH)
    | st.builds(lambda port, up: lambda world: world.feed(PortChanged(port, up)), AT, st.booleans())
    | st.builds(lambda vm: lambda world: world.feed(OperatorDeassociate(vm.text)), VM)
    | st.builds(loads, VM)
    | st.builds(judges, st.booleans(), st.integers(1, 3))
    | st.builds(flaps, VM)
    | st.sampled_from([World.release, World.store_answers, World.restart_controller, return_all])
    | st.builds(lambda delays: lambda world: setattr(world, "store_delays", delays), st.booleans()),
    min_size=3,
    max_size=16,
)


@drawn(40)
@given(st.sampled_from(FABRICS), st.sampled_from([0, 2]), STEPS)
def test_what_is_sent_ahead_is_what_the_steps_come_to(fabric: Fabric, seconds: int, steps: list[Step]) -> None:
    twins = Twins(fabric, seconds)
    for step in steps:
        twins.do(step)


def test_moves_are_sent_ahead() -> None:
    """Else nothing is compared above."""
    for fabric in FABRICS:
        twins = Twins(fabric, 0)
        for port in PORTS:
            twins.do(comes(port, Vm(1), IDLE))
            twins.do(lambda world: world.advance(3.0))
        # Floods of a switch without extensions are not prepared.
        ahead = sum(fabric.switches[port.dpid].extended for port in PORTS)
        assert [world.foreseen for world in twins.worlds] == [ahead, 0], fabric


def test_moves_of_back_ends_and_of_receivers_are_sent_ahead() -> None:
    twins = Twins(FABRIC, 0)
    moves = [(port, vm) for port in PORTS for vm in (SERVING[0], RECEIVERS[0], Vm(1))]
    for port, vm in moves:
        twins.do(comes(port, vm, IDLE))
    # With the first VM that receives every group the common rules change at the other switch; so they do with the last
    # one that leaves.
    assert [world.foreseen for world in twins.worlds] == [len(moves) - 2, 0]


def test_moves_between_vsi_ports_are_sent_ahead() -> None:
    twins = Twins(server_fabric(), 0, ServerWorld)
    for number, port in enumerate((STATION1, STATION2, STATION1), start=5):
        twins.do(plugs(PortId(port.dpid, number), tap_of(Vm(1))))
        twins.do(comes(port, Vm(1), IDLE))
        twins.do(lambda world: world.advance(3.0))
    assert [world.foreseen for world in twins.worlds] == [3, 0]


def plugs(place: PortId, name: str) -> Step:
    """A tap appears where its VM is next, and is gone where it was."""

    def step(world: World) -> None:
        assert isinstance(world, ServerWorld)
        for where in [where for where, tap in world.taps.items() if tap == name]:
            world.unplug(where)
        world.plug(place, name)

    return step
