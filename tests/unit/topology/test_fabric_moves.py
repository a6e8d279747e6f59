"""Moves that are ordinary in a large fabric: next door, in a circle, many at once; and what a VM costs where."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise

import pytest

from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.services.body import body_of_vsi
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import SELDOM, VLAN, Vm, World

RR, ASSOC, DEASSOC = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
LEAVES, SPINES, STATIONS = (1, 2, 3, 4), (11, 12), 8
HOST, FIRST_STATION = 3, 10


def large() -> Fabric:
    """Four leaves with a host and eight stations each, two spines."""

    def leaf(dpid: int) -> Switch:
        ports = [
            *(Interface(number, f"spine{number}", Role.TRUNK, peer=PortId(spine, dpid)) for number, spine in _spines()),
            Interface(HOST, f"host{dpid}", Role.HOST, VLAN, macs=(mac_of(dpid),)),
            *(
                Interface(FIRST_STATION + number, f"hv{dpid}-{number}", Role.STATION, VLAN)
                for number in range(STATIONS)
            ),
        ]
        return Switch(dpid, f"leaf{dpid}", {port.port_no: port for port in ports})

    def spine(number: int, dpid: int) -> Switch:
        ports = [Interface(leaf, f"leaf{leaf}", Role.TRUNK, peer=PortId(leaf, number)) for leaf in LEAVES]
        return Switch(dpid, f"spine{number}", {port.port_no: port for port in ports})

    switches = [*map(leaf, LEAVES), *(spine(*arguments) for arguments in _spines())]
    return Fabric({switch.dpid: switch for switch in switches})


def _spines() -> Iterable[tuple[int, int]]:
    return enumerate(SPINES, 1)


def mac_of(leaf: int) -> int:
    return 0x020000000F00 | leaf


def hv(leaf: int, number: int = 0) -> PortId:
    return PortId(leaf, FIRST_STATION + number)


@pytest.fixture
def world() -> World:
    world = World(large())
    world.connect()
    for station in world.engine.stations.values():
        station.relay = True  # several VMs behind one port talk to each other
    return world


def moves(world: World, vm: Vm, to: PortId, away: PortId | None = None) -> None:
    """The destination reserves and associates; then the source lets go."""
    for mode in (RR, ASSOC):
        world.ask(to, vm, mode)
        assert world.answer(to).success
    if away is not None:
        world.ask(away, vm, DEASSOC)


def places(world: World, vm: Vm) -> list[PortId]:
    """Port at which frames for a VM leave, from the host of each leaf; the same for all."""
    found = set()
    for leaf in LEAVES:
        frame = {"eth_src": mac_of(leaf), "eth_dst": vm.mac, "eth_type": 0x88B5, "vlan_vid": 0}
        found.add(tuple(delivery.port for delivery in world.carry(PortId(leaf, HOST), frame)))
    (one,) = found
    return list(one)


def gates(world: World) -> Counter[int]:
    """Number of ports that admit each MAC address."""
    return Counter(
        field.value
        for dpid in world.tables
        for key in world.rules(dpid, CookieKind.GATE)
        if key.table == Table.INGRESS
        for field in key.match
        if field.name == "eth_src"
    )


# --- ordinary moves -------------------------------------------------------------------------------
@pytest.mark.parametrize("to", [hv(1, 1), hv(2)], ids=["next door", "another leaf"])
def test_a_move_and_back(world: World, to: PortId) -> None:
    vm = Vm(1)
    moves(world, vm, hv(1))
    moves(world, vm, to, hv(1))
    assert places(world, vm) == [to]
    moves(world, vm, hv(1), to)
    assert places(world, vm) == [hv(1)]


def test_two_vms_change_places(world: World) -> None:
    one, other = Vm(1), Vm(2)
    moves(world, one, hv(1))
    moves(world, other, hv(2))
    for vm, to in ((one, hv(2)), (other, hv(1))):
        world.ask(to, vm, RR)
    for vm, to in ((one, hv(2)), (other, hv(1))):
        world.ask(to, vm, ASSOC)
    for vm, away in ((one, hv(1)), (other, hv(2))):
        world.ask(away, vm, DEASSOC)
    assert (places(world, one), places(world, other)) == ([hv(2)], [hv(1)])


def test_a_chain_is_done_in_one_go(world: World) -> None:
    vms = [Vm(number) for number in (1, 2, 3)]
    for number, vm in enumerate(vms, 1):
        moves(world, vm, hv(number))
    for number, vm in enumerate(vms, 1):
        world.ask(hv(number + 1), vm, RR)
    for number, vm in enumerate(vms, 1):
        world.ask(hv(number + 1), vm, ASSOC)
    assert [places(world, vm) for vm in vms] == [[hv(2)], [hv(3)], [hv(4)]]


def test_there_and_back_again_and_again_leaves_nothing(world: World) -> None:
    vm = Vm(1)
    moves(world, vm, hv(1))
    first = {dpid: len(rules) for dpid, rules in world.snapshot().items()}
    here, there = hv(1), hv(3)
    for _ in range(20):
        moves(world, vm, there, here)
        here, there = there, here
        world.advance(SELDOM)
    assert places(world, vm) == [hv(1)]
    assert {dpid: len(rules) for dpid, rules in world.snapshot().items()} == first
    assert gates(world) == {vm.mac: 1}


@pytest.mark.parametrize("seed", range(5))
def test_thirty_two_moves_at_once(world: World, seed: int) -> None:
    """Requests interleave in any order, and switches obey when they like."""
    dice = random.Random(seed)
    vms = [Vm(number) for number in range(1, 33)]
    homes = {vm.number: hv(LEAVES[index % 4], index // 4) for index, vm in enumerate(vms)}
    aims = {vm.number: hv(LEAVES[(index + 1) % 4], index // 4) for index, vm in enumerate(vms)}
    for vm in vms:
        moves(world, vm, homes[vm.number])
    world.hold |= set(world.fabric.switches)
    wishes = {vm.number: [(aims[vm.number], RR), (aims[vm.number], ASSOC)] for vm in vms}
    while wishes:
        number = dice.choice(sorted(wishes))
        port, mode = wishes[number].pop(0)
        world.ask(port, vms[number - 1], mode)
        wishes = {vm_number: left for vm_number, left in wishes.items() if left}
        while world.held and dice.random() < 0.6:
            dpid = dice.choice([effect.dpid for effect in world.held])
            first = next(effect for effect in world.held if effect.dpid == dpid)
            world.held.remove(first)
            world._apply(first)
        assert max(gates(world).values()) <= 2, "on its way over a gate may be open nowhere, and never at three ports"
    world.release()
    for vm in vms:
        world.ask(homes[vm.number], vm, DEASSOC)
    assert all(places(world, vm) == [aims[vm.number]] for vm in vms)
    assert set(gates(world).values()) == {1}


# --- what a VM costs ------------------------------------------------------------------------------
def test_a_vm_costs_one_rule_elsewhere_and_a_handful_where_it_is(world: World) -> None:
    """The formula of docs/switch.rst, "What a VM costs"."""

    def held() -> dict[int, int]:
        return {dpid: len(rules) for dpid, rules in world.snapshot().items()}

    counts = [held()]
    for number in range(1, 101):
        moves(world, Vm(number), hv(1, number % STATIONS))
        counts.append(held())
    steps = [{dpid: after[dpid] - before[dpid] for dpid in after} for before, after in pairwise(counts)]
    for dpid in (*LEAVES[1:], *SPINES):
        assert {step[dpid] for step in steps} == {1}
    program = next(iter(world.engine.registry)).gate_program
    assert program is not None
    own, shared = len(body_of_vsi(program.vsi_type, program.binding)), len(world.rules(1, CookieKind.TYPE_BODY))
    pages = [int(number % 32 == 0) for number in range(100)]
    assert [step[1] for step in steps[1:]] == [own + 2 + page for page in pages[1:]]
    assert steps[0][1] == shared + own + 2 + pages[0]
    assert own < 10
    moves(world, Vm(200), hv(2))
    assert len(world.rules(2, CookieKind.TYPE_BODY)) == shared
