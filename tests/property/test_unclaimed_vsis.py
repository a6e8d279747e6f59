"""VSIs that have yet to claim their rules are reached, by one copy each, whatever known ones do."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.pipeline.test_forwarding import send
from tests.unit.switches.test_lost_state import lose
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV2, HV3, HV4, NMS, NMS_MAC, OPEN_2, S1, S2, Vm, World
from tests.worlds.draws import drawn

#: Never heard again; of the type of most others, at both switches.
BYSTANDERS = {HV2: Vm(8), HV3: Vm(9)}
#: Those that go on speaking: two that were there before, and two that come.
MOVERS = (Vm(1), Vm(2, type=OPEN_2), Vm(3), Vm(4, type=OPEN_2))
PORTS = (HV1, HV2, HV3, HV4)
EVERYBODY = (1 << 48) - 1

REQUESTS = st.tuples(st.sampled_from(PORTS), st.sampled_from(MOVERS), st.sampled_from(list(VdpMode)))
FAULTS = st.tuples(st.sampled_from(["reconnect", "compare", "restart"]), st.sampled_from([S1, S2]))


def fault(world: World, kind: str, dpid: int) -> None:
    match kind:
        case "reconnect":
            world.disconnect(dpid)
            world.connect(dpid)
        case "compare":
            world.engine.comparisons.compare(dpid, world.now)
        case _:
            world.restart_controller()


def reached(world: World, host: PortId, mac: int) -> None:
    """Check that frames of an end system reach each bystander once, and its frames the end system."""
    arrived = send(world, host, mac, EVERYBODY)
    for port, vm in BYSTANDERS.items():
        assert send(world, host, mac, vm.mac) == [(port, vm.mac)]
        assert send(world, port, vm.mac, mac) == [(host, mac)]
        assert [place for place, to in arrived if to == vm.mac] == [port]


@drawn(20)
@given(st.lists(REQUESTS | FAULTS, min_size=3, max_size=8))
def test_bystanders_are_reached_whatever_known_vsis_do(
    steps: list[tuple[PortId, Vm, VdpMode] | tuple[str, int]],
) -> None:
    world = World()
    world.connect()
    for port, vm in (*BYSTANDERS.items(), (HV1, MOVERS[0]), (HV4, MOVERS[1])):
        world.ask(port, vm, VdpMode.ASSOCIATE)
    lose(world)
    for step in steps:
        match step:
            case str(kind), int(dpid):
                fault(world, kind, dpid)
            case port, Vm() as vm, VdpMode() as mode:
                world.ask(port, vm, mode)
        reached(world, NMS, NMS_MAC)
    reached(world, CLIENT, CLIENT_MAC)
