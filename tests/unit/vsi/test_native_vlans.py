"""Several native VLANs at the VSI ports of one pattern: each VM is untagged in its own, by rules of its gate."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.policy.model import PolicySet, VsiNetwork
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.vid_translation import VidTranslation
from ryu_apps.evb.topology.vsi_ports import VsiPortPattern
from ryu_apps.evb.wire.filter_info import FilterEntry, FilterInfo, MacVid
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, RequestStatus, VdpMode
from tests.worlds.bridge import NMS_MAC, OPEN, VLAN, Vm, open_type
from tests.worlds.vswitch import NMS, SERVER1, SERVER2, STATION1, STATION2, ServerWorld, server_fabric, tap_of

RR, A, D = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
OTHER_VLAN, TAGGED_VLAN = 200, 300
OF_OTHER = VsiTypeKey(7, 1)
POLICIES = PolicySet(
    {OPEN: open_type(OPEN), OF_OTHER: replace(open_type(OF_OTHER), network=VsiNetwork(vids=(OTHER_VLAN,)))}
)
VM, OTHER, THIRD = Vm(7), Vm(8, OF_OTHER, OTHER_VLAN), Vm(9, OF_OTHER, OTHER_VLAN)
TAP, OTHER_TAP, NEW_TAP, FAR_TAP = PortId(SERVER1, 7), PortId(SERVER1, 8), PortId(SERVER1, 9), PortId(SERVER2, 5)
BROADCAST = 0xFFFFFFFFFFFF


def fabric(local_vids: Mapping[int, int] | None = None) -> Fabric:
    """The servers; the second one may have local VIDs."""
    plain = server_fabric()
    pattern = VsiPortPattern("tap*", VLAN, (TAGGED_VLAN,), (VLAN, OTHER_VLAN))
    switches = {
        dpid: replace(switch, vsi_ports=(pattern,) if switch.vsi_ports else ())
        for dpid, switch in plain.switches.items()
    }
    switches[SERVER2] = replace(switches[SERVER2], translation=VidTranslation(dict(local_vids or {})))
    return replace(plain, switches=switches)


@pytest.fixture
def world() -> ServerWorld:
    made = ServerWorld(fabric(), policies=POLICIES)
    made.connect()
    return made


def live_at(world: ServerWorld, station: PortId, place: PortId, vm: Vm) -> None:
    world.plug(place, tap_of(vm))
    world.ask(station, vm, A)
    assert world.answer(station).success


def places(world: ServerWorld, place: PortId, source: int, destination: int) -> set[PortId]:
    """Places at which an untagged frame arrives, untagged."""
    return {found.port for found in world.reached(place, source, destination)}


def filled(world: ServerWorld, vm: Vm, *entries: FilterEntry) -> list[int] | None:
    """The VIDs that an Associate is answered; None: it is refused."""
    world.advance(0.01)
    world.send(STATION1, ASSOCIATIONS[A](RequestStatus(), *vm.type, vm.vsi_id, FilterInfo.of(*entries)), vm.address)
    answered = [entry.vid for entry in world.sent[STATION1][-1].filter_info.entries]
    return answered if world.answer(STATION1).success else None


def tags(world: ServerWorld) -> set[object]:
    """The rules that give frames their tag at the first server."""
    return {key for key in world.rules(SERVER1, CookieKind.GATE) if key.table in (Table.ADMIT, Table.OUTPUT)}


def test_vms_of_one_pattern_are_untagged_in_different_vlans(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    live_at(world, STATION1, OTHER_TAP, OTHER)
    live_at(world, STATION2, FAR_TAP, THIRD)
    assert places(world, TAP, VM.mac, BROADCAST) == {NMS}
    assert places(world, NMS, NMS_MAC, VM.mac) == {TAP}
    assert places(world, OTHER_TAP, OTHER.mac, BROADCAST) == {FAR_TAP}
    assert places(world, FAR_TAP, THIRD.mac, OTHER.mac) == {OTHER_TAP}
    for at, source, target in ((OTHER_TAP, OTHER, VM.mac), (TAP, VM, OTHER.mac), (OTHER_TAP, OTHER, NMS_MAC)):
        assert places(world, at, source.mac, target) == set(), "the VLANs are apart"


def test_a_null_vid_is_filled_by_the_type_and_else_by_the_first_of_the_port(world: ServerWorld) -> None:
    for vm, place, vid in ((VM, TAP, VLAN), (OTHER, OTHER_TAP, OTHER_VLAN)):
        world.plug(place, tap_of(vm))
        assert filled(world, vm, MacVid(0, vm.mac)) == [vid]
    assert places(world, TAP, VM.mac, NMS_MAC) == {NMS}
    assert places(world, OTHER_TAP, OTHER.mac, BROADCAST) == set()


def test_a_vsi_has_one_native_vlan_and_others_tagged(world: ServerWorld) -> None:
    world.plug(TAP, tap_of(VM))
    assert filled(world, VM, MacVid(VLAN, VM.mac), MacVid(OTHER_VLAN, VM.mac)) is None
    reason = str([event.detail["reason"] for event in world.happened if event.kind == "vdp.refused"][-1])
    assert reason == f"VIDs {VLAN} and {OTHER_VLAN} are both untagged at port {tap_of(VM)}"
    assert filled(world, VM, MacVid(OTHER_VLAN, VM.mac), MacVid(TAGGED_VLAN, VM.mac)) == [OTHER_VLAN, TAGGED_VLAN]
    live_at(world, STATION1, OTHER_TAP, OTHER)
    assert places(world, OTHER_TAP, OTHER.mac, VM.mac) == {TAP}


def test_tags_come_and_go_with_the_gate(world: ServerWorld) -> None:
    world.plug(OTHER_TAP, tap_of(OTHER))
    table = world.tables[SERVER1]
    before = dict(table.rules), dict(table.groups), dict(table.meters)
    world.ask(STATION1, OTHER, RR)
    assert not tags(world)
    assert places(world, OTHER_TAP, OTHER.mac, BROADCAST) == set()
    world.ask(STATION1, OTHER, A)
    assert tags(world)
    world.ask(STATION1, OTHER, D)
    assert (dict(table.rules), dict(table.groups), dict(table.meters)) == before


def test_a_vsi_that_changes_its_vlan_or_its_number_takes_its_tags_along(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    live_at(world, STATION1, OTHER_TAP, OTHER)
    assert filled(world, VM, MacVid(OTHER_VLAN, VM.mac)) == [OTHER_VLAN]
    assert places(world, TAP, VM.mac, BROADCAST) == {OTHER_TAP}
    world.unplug(OTHER_TAP)
    world.plug(NEW_TAP, tap_of(OTHER))
    assert places(world, TAP, VM.mac, BROADCAST) == {NEW_TAP}
    assert places(world, NEW_TAP, OTHER.mac, VM.mac) == {TAP}


def test_the_next_vsi_at_a_port_has_its_own_vlan(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    live_at(world, STATION2, FAR_TAP, THIRD)
    world.ask(STATION1, VM, D)
    world.plug(TAP, tap_of(OTHER))
    world.ask(STATION1, OTHER, A)
    assert places(world, TAP, OTHER.mac, BROADCAST) == {FAR_TAP}


def test_a_restart_changes_no_rule(world: ServerWorld) -> None:
    live_at(world, STATION1, TAP, VM)
    live_at(world, STATION1, OTHER_TAP, OTHER)
    before = world.snapshot()
    world.applied.clear()
    world.restart_controller()
    assert world.snapshot() == before
    assert [apply for apply in world.applied if apply.change.add or apply.change.remove] == []


def test_a_bridge_that_has_lost_its_records_has_the_tags_again(world: ServerWorld) -> None:
    live_at(world, STATION1, OTHER_TAP, OTHER)
    live_at(world, STATION2, FAR_TAP, THIRD)
    world.restart_controller(remembering=False)
    assert places(world, FAR_TAP, THIRD.mac, OTHER.mac) == {OTHER_TAP}
    world.ask(STATION1, OTHER, A)
    world.ask(STATION2, THIRD, A)
    world.advance(60.0)
    world.ask(STATION1, OTHER, A)
    world.ask(STATION2, THIRD, A)
    assert places(world, FAR_TAP, THIRD.mac, OTHER.mac) == {OTHER_TAP}


def test_local_vids_are_those_of_the_server() -> None:
    # At the second server 200 is what is 201 elsewhere; its pattern has local VIDs.
    world = ServerWorld(fabric({201: OTHER_VLAN, OTHER_VLAN: 201}), policies=POLICIES)
    world.connect()
    first, second = Vm(11, OPEN, VLAN), Vm(12, OPEN, OTHER_VLAN)
    live_at(world, STATION1, TAP, first)
    live_at(world, STATION2, FAR_TAP, second)
    assert places(world, FAR_TAP, second.mac, BROADCAST) == set()
    assert places(world, NMS, NMS_MAC, first.mac) == {TAP}
    third = PortId(SERVER2, 6)
    live_at(world, STATION2, third, Vm(13, OPEN, OTHER_VLAN))
    assert places(world, third, Vm(13).mac, BROADCAST) == {FAR_TAP}
