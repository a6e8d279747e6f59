"""A tag behind a tag, from an end system and from a VM, however many tags Open vSwitch looks for."""

from __future__ import annotations

import struct
from collections.abc import Iterator

import pytest

from ryu_apps.evb.flow.actions import Output
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from tests.interop.octets import UDP, Ends, part, udp
from tests.interop.test_simulate_agrees_with_open_vswitch import OpenVswitch
from tests.interop.test_simulate_agrees_with_open_vswitch import switch as switch
from tests.worlds.bridge import HV1, NMS, NMS_MAC, S1, Vm, World

VM = Vm(1)
IPV4 = struct.pack("!H", 0x0800)
#: A port that nobody is at.
OUT = 4


def tag(vid: int, tpid: int = 0x8100, priority: int = 5) -> bytes:
    return struct.pack("!HH", tpid, priority << 13 | vid)


HIDDEN = {
    "priority": tag(0) + tag(0),
    "VLAN": tag(0) + tag(200),
    "service tag outside": tag(0, 0x88A8) + tag(200),
    "service tag inside": tag(0) + tag(200, 0x88A8),
    "three": tag(0) + tag(0) + tag(200),
}
PLAIN = {"none": b"", "priority": tag(0), "service": tag(0, 0x88A8)}


@pytest.fixture(params=[1, 2, 0], ids=["one tag", "two tags", "all tags"])
def looking(switch: OpenVswitch, request: pytest.FixtureRequest) -> Iterator[OpenVswitch]:
    """The first tables of a switch that has a VSI; what they let pass as IPv4 goes out."""
    world = World()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    rules = [
        rule for rule in world.tables[S1].rules.values() if rule.table in (Table.ADMIT, Table.INGRESS, Table.SECOND_TAG)
    ]
    rules += [Rule(table, 1, match(eth_type=0x0800), 0, (Output(OUT),)) for table in (Table.FORWARD, Table.GUARD)]
    switch.install(FlowTable({rule.key: rule for rule in rules}))
    switch.look_for_tags(request.param)
    yield switch
    switch.look_for_tags(1)


def passes(switch: OpenVswitch, port: PortId, mac: int, tags: bytes) -> str:
    packet = part(Ends.of("10.0.100.1", "10.0.100.2"), UDP, udp(1, 2, 8))
    frame = bytes.fromhex("ffffffffffff") + mac.to_bytes(6) + tags + IPV4 + packet
    (actions,) = [line for line in switch.trace_octets(port.port_no, frame).splitlines() if "Datapath actions" in line]
    return actions.partition(": ")[2]


@pytest.mark.parametrize(("port", "mac"), [(NMS, NMS_MAC), (HV1, VM.mac)], ids=["end system", "VM"])
def test_no_frame_with_a_second_tag_passes_for_what_is_behind_it(looking: OpenVswitch, port: PortId, mac: int) -> None:
    assert {name: passes(looking, port, mac, tags) for name, tags in HIDDEN.items()} == dict.fromkeys(HIDDEN, "drop")
    passed = {name: passes(looking, port, mac, tags) for name, tags in PLAIN.items()}
    assert all(actions.endswith(str(OUT)) for actions in passed.values()), passed
