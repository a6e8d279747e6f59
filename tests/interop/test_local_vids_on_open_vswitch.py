"""Local VIDs and default priorities as Open vSwitch carries them out, also of frames that are copied to many ports."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import REGISTERS, VLAN_PRESENT
from ryu_apps.evb.policy.model import PolicySet, VsiNetwork
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.topology.vid_translation import VidTranslation
from ryu_apps.evb.wire.filter_info import FilterInfo, GroupMacVid
from ryu_apps.evb.wire.vdp import Associate, RequestStatus
from tests.interop.test_simulate_agrees_with_open_vswitch import (
    BROADCAST,
    OpenVswitch,
    copies_of_trace,
    simulated,
)
from tests.interop.test_simulate_agrees_with_open_vswitch import switch as switch
from tests.worlds.bridge import NMS_MAC, OPEN, S1, Vm, World, open_type

RED, BLUE = 1000, 2000
#: Relay VIDs, and what they are at station ports.
GROUPS, LOCAL_VIDS = {RED: 100, BLUE: 200}, {100: 200, 200: 100}
PRIORITY = 5
NETWORK = VsiNetwork(pcp=PRIORITY)
HOST_PORT = 3
FIELDS = {"in_port", "eth_src", "eth_dst", "eth_type", "vlan_vid", "vlan_pcp", "metadata", *REGISTERS}


def new_world() -> World:
    stations = [Interface(number, f"hv{number}", Role.STATION, timers=Timers(rka=24)) for number in (1, 2, 4)]
    host = Interface(HOST_PORT, "nms", Role.HOST, tagged_vlans=(100, 200), macs=(NMS_MAC,))
    ports = {port.port_no: port for port in (*stations, host)}
    only = Switch(S1, "s1", ports, translation=VidTranslation(LOCAL_VIDS))
    world = World(Fabric({S1: only}, groups=GROUPS), PolicySet({OPEN: replace(open_type(OPEN), network=NETWORK)}))
    world.connect()
    for number, (port, group) in enumerate(((1, RED), (2, RED), (4, RED), (4, BLUE)), start=1):
        vm = Vm(number)
        info = FilterInfo.of(GroupMacVid(0, vm.mac, group))
        world.send(PortId(S1, port), Associate(RequestStatus(), *vm.type, vm.vsi_id, info))
        world.advance(0.01)
        assert world.answer(PortId(S1, port)).success
    return world


@pytest.fixture(scope="module")
def table() -> FlowTable:
    found = new_world().tables[S1]
    # Every frame here is plain Ethernet to the rules.
    plain = {
        key: rule
        for key, rule in found.rules.items()
        if rule.meter is None and all(field.name in FIELDS for field in rule.match)
    }
    return FlowTable(plain, found.groups)


def frame(port: int, vid: int, source: int, target: int, pcp: int = 0) -> dict[str, int]:
    tag = {"vlan_vid": VLAN_PRESENT | vid, "vlan_pcp": pcp}
    return {"in_port": port, "eth_src": source, "eth_dst": target, "eth_type": 0x0800, **tag}


@pytest.mark.parametrize(
    ("sent", "expected"),
    [
        (frame(1, 200, Vm(1).mac, Vm(2).mac), [(2, 200, PRIORITY)]),
        (frame(1, 200, Vm(1).mac, Vm(2).mac, 3), [(2, 200, 3)]),
        (frame(1, 100, Vm(1).mac, Vm(2).mac), []),
        (frame(1, 200, Vm(1).mac, Vm(4).mac), []),
        (frame(1, 200, Vm(1).mac, NMS_MAC), [(HOST_PORT, 100, PRIORITY)]),
        (frame(HOST_PORT, 100, NMS_MAC, Vm(1).mac, 2), [(1, 200, 2)]),
        (frame(HOST_PORT, 200, NMS_MAC, Vm(4).mac), [(4, 100, 0)]),
        (frame(HOST_PORT, 200, NMS_MAC, Vm(1).mac), []),
        # To the host with the relay VID, to two stations with the local one: a copy does not change the next.
        (frame(1, 200, Vm(1).mac, BROADCAST), [(2, 200, PRIORITY), (HOST_PORT, 100, PRIORITY), (4, 200, PRIORITY)]),
        (frame(HOST_PORT, 100, NMS_MAC, BROADCAST), [(1, 200, 0), (2, 200, 0), (4, 200, 0)]),
        (frame(HOST_PORT, 200, NMS_MAC, BROADCAST), [(4, 100, 0)]),
    ],
)
def test_frames_have_the_local_vid_at_station_ports_alone(
    switch: OpenVswitch, table: FlowTable, sent: dict[str, int], expected: list[tuple[int, int, int]]
) -> None:
    switch.install(table)
    copies = copies_of_trace(sent, switch.trace(sent))
    assert copies is not None
    assert sorted((port, vid & 0xFFF, pcp) for port, vid, pcp, *_ in copies) == expected
    assert sorted(copies) == sorted(simulated(table, sent) or [])
