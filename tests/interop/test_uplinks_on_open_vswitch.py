"""Open vSwitch at a server with three uplinks sends each VLAN by those that its vSwitch names."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from tests.interop.test_simulate_agrees_with_open_vswitch import (
    OpenVswitch,
    copies_of_trace,
    frame_on,
    simulated,
)
from tests.interop.test_simulate_agrees_with_open_vswitch import switch as switch
from tests.unit.vsi.test_uplinks import FREE_VLAN, OTHER_VLAN, RACK1, RACK2, SERVER1, VIDS, host_mac, racks
from tests.worlds.bridge import VLAN, World
from tests.worlds.counting import BROADCAST

HOST = 4
#: Fields that are written for ovs-ofctl here; rules with others concern no frame of this test.
_KNOWN = {"in_port", "vlan_vid", "eth_src", "eth_dst", "eth_type", "metadata", "reg13"}


def at_the_server(*cut: int) -> FlowTable:
    """Rules and groups of the server's switch, with an end system at port 4, when some of its uplinks are down."""
    fabric = racks({VLAN: (2, 3), OTHER_VLAN: (1,)})
    server = fabric.switches[SERVER1]
    host = Interface(HOST, "box", Role.HOST, None, VIDS, macs=(host_mac(HOST),))
    ports = {number: port for number, port in server.interfaces.items() if port.role is Role.TRUNK} | {HOST: host}
    changed = replace(server, interfaces=ports, vsi_ports=())
    world = World(replace(fabric, switches=fabric.switches | {SERVER1: changed}))
    world.connect()
    for number in cut:
        world.link(PortId(SERVER1, number), False)
    table = world.tables[SERVER1]
    rules = {key: rule for key, rule in table.rules.items() if _KNOWN.issuperset(field.name for field in rule.match)}
    return FlowTable(rules, table.groups)


@pytest.mark.parametrize(
    ("cut", "vid", "by"),
    [
        ((), VLAN, {RACK1: 3, RACK2: 2}),
        ((), OTHER_VLAN, {RACK1: 1, RACK2: 1}),
        ((), FREE_VLAN, {RACK1: 1, RACK2: 2}),
        ((2,), VLAN, {RACK1: 3, RACK2: 3}),
        ((3,), VLAN, {RACK1: 2, RACK2: 2}),
        ((2, 3), VLAN, {RACK1: None, RACK2: None}),
        ((1,), OTHER_VLAN, {RACK1: None, RACK2: None}),
        ((1,), FREE_VLAN, {RACK1: 3, RACK2: 2}),
    ],
)
def test_frames_leave_by_the_uplinks_of_their_vlan(
    switch: OpenVswitch, cut: tuple[int, ...], vid: int, by: dict[int, int | None]
) -> None:
    table = at_the_server(*cut)
    switch.install(table)
    for number in (1, 2, 3):
        switch.set_link(number, up=number not in cut)
    live = frozenset({1, 2, 3, HOST} - {*cut})
    uplinks = {number for number in by.values() if number}
    for destination in (host_mac(RACK1), host_mac(RACK2), BROADCAST):
        frame = frame_on(HOST, vid, destination) | {"eth_src": host_mac(HOST)}
        found = copies_of_trace(frame, switch.trace(frame))
        assert found is not None and sorted(found) == sorted(simulated(table, frame, live) or [])
        ports = [copy[0] for copy in found]
        if destination == BROADCAST:
            assert len(ports) == bool(uplinks) and uplinks.issuperset(ports)
        else:
            wanted = by[RACK1 if destination == host_mac(RACK1) else RACK2]
            assert ports == ([] if wanted is None else [wanted])
