"""Fault 1: the controller dies at every step of both ladders, and nobody notices but those who wait for an answer.

Two VMs move at once, one down each ladder, in opposite directions.  The proxy holds the messages of the step at
the chosen point, the controller is killed with SIGKILL, and a new one finds the state directory as it was.  Half of the
pairs of step and point are for `make soak`; ``test_bridge_cluster.py`` has those with a take-over.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest

from mininet_tests.conftest import every_other
from ryu_apps.testbed.faults.proxy import MessageKind, Trap
from ryu_apps.testbed.faults.rig import Rig, RigVm
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station import VdptoolMode
from ryu_apps.testbed.harness.vm import NamespaceVm

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

QUICK, SAFE = RigVm("quick", 21), RigVm("safe", 22)
#: VM -> source, destination.
ROADS = {QUICK: ("hv1", "hv5"), SAFE: ("hv6", "hv2")}
#: VM -> the steps of its ladder: at which end of its road, what.  In the first ladder the bridge itself tells the
#: source, together with the answer to the Associate.
LADDERS = {
    QUICK: ((1, VdptoolMode.PREASSOCIATE_RR), (1, VdptoolMode.ASSOCIATE)),
    SAFE: ((1, VdptoolMode.PREASSOCIATE_RR), (0, VdptoolMode.DEASSOCIATE), (1, VdptoolMode.ASSOCIATE)),
}

#: What is held when the controller dies; None: nothing.
POINTS = {
    "nothing has been sent to the switches": (MessageKind.CHANGE,),
    "the switches have confirmed in vain": (MessageKind.CONFIRMATION,),
    "the answer is written but not sent": (MessageKind.VDP_ANSWER,),
    "the step is done": None,
}


@pytest.fixture(scope="module")
def controller_rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with inside(), Rig(tmp_path_factory.mktemp("faults")) as rig:
        yield rig
        rig.write("controller")


@pytest.fixture
def rig(controller_rig: Rig) -> Iterator[Rig]:
    yield controller_rig
    controller_rig.tidy(*ROADS)


def step(rig: Rig, guest: RigVm, number: int) -> tuple[str, VdptoolMode] | None:
    """A step of the VM's ladder, None behind its end."""
    steps = LADDERS[guest]
    return (ROADS[guest][steps[number][0]], steps[number][1]) if number < len(steps) else None


def go_on(rig: Rig, guest: RigVm, begin: int) -> None:
    """The rest of the ladder; what was asked before may be asked again."""
    for number in range(begin, len(LADDERS[guest])):
        where = step(rig, guest, number)
        assert where is not None
        if where[1] is VdptoolMode.DEASSOCIATE:
            rig.let_go(where[0], guest)
        else:
            rig.granted(*where, guest)


def moved(rig: Rig, guest: RigVm) -> bool:
    source, destination = ROADS[guest]
    return rig.places(guest) == [destination] and not rig.holds(source, guest)


@pytest.mark.parametrize(("number", "point"), every_other(range(3), POINTS, first=0))
def test_killed_controller_comes_back_and_both_migrations_are_finished(rig: Rig, number: int, point: str) -> None:
    with (
        rig.restored(),
        rig.unharmed(f"controller killed at step {number + 1} of both ladders: {point}") as times,
    ):
        movers = [guest for guest in ROADS if step(rig, guest, number)]
        for guest in movers:
            rig.admit(guest, ROADS[guest][0])
            for earlier in range(number):
                rig.granted(*step(rig, guest, earlier), guest)  # type: ignore[misc]
        kill_at(rig, movers, number, POINTS[point])
        times["controller ready again"] = rig.restart()
        for guest in movers:
            assert len(rig.places(guest)) <= 1
        begun = time.monotonic()
        for guest in movers:
            go_on(rig, guest, number)
        wait_until(lambda: all(moved(rig, guest) for guest in movers), "both VMs where they should be")
        times["migrations finished"] = time.monotonic() - begun
        for guest in movers:
            rig.dismiss(guest, *ROADS[guest])


def kill_at(rig: Rig, movers: list[RigVm], number: int, held: tuple[MessageKind, ...] | None) -> None:
    """Let both VMs take the step, and kill the controller when both have got to the point."""
    since = time.monotonic()
    traps = set_traps(rig, movers, number, held) if held else {}
    for guest in movers:
        where = step(rig, guest, number)
        assert where is not None
        if held is None:
            rig.granted(*where, guest)
        else:
            rig.ask(*where, guest)
    for guest, trap in traps.items():
        wait_until(lambda guest=guest: rig.events(since, "vdp.request", guest), f"{guest.name}: the request")
        wait_until(lambda trap=trap: trap.caught, f"{guest.name}: something to hold")
    rig.controller.kill()
    rig.proxy.clear()


def set_traps(rig: Rig, movers: list[RigVm], number: int, held: tuple[MessageKind, ...]) -> dict[RigVm, Trap]:
    """One for the answer to each VM, or one for each switch concerned."""
    traps: dict[RigVm, Trap] = {}
    switches: dict[int, Trap] = {}
    for guest in movers:
        where = step(rig, guest, number)
        assert where is not None
        dpid = rig.cluster.hypervisors[where[0]].port.dpid
        if held == (MessageKind.VDP_ANSWER,):
            traps[guest] = rig.proxy.set(Trap(held, dpid, guest.vsi.uuid))
        else:
            traps[guest] = switches[dpid] = switches.get(dpid) or rig.proxy.set(Trap(held, dpid))
    return traps


def test_requests_to_a_dead_controller_are_repeated_to_the_next(rig: Rig) -> None:
    with rig.restored(), rig.unharmed("controller dead while stations ask") as times:
        rig.controller.kill()
        for guest, (_, destination) in ROADS.items():
            rig.ask(destination, VdptoolMode.PREASSOCIATE_RR, guest)
        times["controller ready again"] = rig.restart()
        begun = time.monotonic()
        for guest, (_, destination) in ROADS.items():
            rig.admit(guest, destination)
            assert rig.places(guest) == [destination]
        times["migrations finished"] = time.monotonic() - begun
        for guest, road in ROADS.items():
            rig.dismiss(guest, *road)


def test_a_vm_that_moved_while_the_controller_died_has_its_network(rig: Rig) -> None:
    guest, (source, destination) = QUICK, ROADS[QUICK]
    with rig.restored(), rig.unharmed("controller killed while a VM is carried over") as times:
        vm = NamespaceVm(guest.name, guest.mac, guest.ip)
        rig.cluster.boot(vm, source)
        rig.admit(guest, source)
        rig.granted(destination, VdptoolMode.PREASSOCIATE_RR, guest)
        nms = rig.cluster.hosts["nms"].ip
        assert pings(vm, nms)
        rig.controller.kill()
        rig.cluster.hypervisors[source].edge.detach(vm.port)
        vm.carry(rig.cluster.hypervisors[source].namespace, rig.cluster.hypervisors[destination].namespace)
        rig.cluster.hypervisors[destination].edge.attach(vm.port, vm.mac)
        rig.cluster.hypervisors[destination].edge.raise_port(vm.port)
        assert not pings(vm, nms), "a staged port that lets frames through"
        times["controller ready again"] = rig.restart()
        rig.granted(destination, VdptoolMode.ASSOCIATE, guest)
        begun = time.monotonic()
        wait_until(lambda: pings(vm, nms), "a network for the VM")
        times["VM has its network"] = time.monotonic() - begun
        rig.dismiss(guest, source, destination)
        rig.cluster.shut_down(guest.name, destination)


def pings(vm: NamespaceVm, address: str) -> bool:
    """One echo request, answered within 200 ms."""
    command = vm.namespace.popen("ping", "-q", "-c", "1", "-W", "0.2", address)
    return command.wait() == 0
