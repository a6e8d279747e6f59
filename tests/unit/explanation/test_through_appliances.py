"""Explanations of frames that an appliance inspects: up to its instance, from there on, blocked, and never past it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from ryu_apps.evb.explanation.cluster import Owners, Port, PortView, SwitchView
from ryu_apps.evb.explanation.journey import travel
from ryu_apps.evb.explanation.report import Explanation
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import Vm
from tests.worlds.counting import BROADCAST, udp
from tests.worlds.steered import BLOCKED, Bump, SteeredWorld, host_mac

AT_1, AT_2, HOST_3 = PortId(1, 1), PortId(2, 1), PortId(3, 4)
CLIENT, INSTANCE = Vm(7, BLOCKED), Bump(40, instance="one")


@pytest.fixture
def world() -> SteeredWorld:
    world = SteeredWorld()
    world.connect()
    world.ask(AT_1, CLIENT, VdpMode.ASSOCIATE)
    return world


def explained(world: SteeredWorld, port: PortId, frame: Mapping[str, int]) -> str:
    def view(dpid: int) -> SwitchView:
        switch = world.fabric.switches[dpid]
        ports = {
            number: PortView(each.name, each.role.value, True, Port(*each.peer) if each.peer else None)
            for number, each in switch.interfaces.items()
        }
        return SwitchView(dpid, switch.name, ports, world.tables[dpid])

    return "\n".join(Explanation(frame, tuple(travel(Port(*port), frame, view)), Owners()).text(verbose=True))


def sent(mac: int = host_mac(3), **fields: int) -> dict[str, int]:
    return udp(CLIENT.mac, mac, src_ip=int(CLIENT.address), dst_ip=0x0A006403) | fields


def answer(mac: int = CLIENT.mac, **fields: int) -> dict[str, int]:
    return udp(host_mac(3), mac, src_ip=0x0A006403, dst_ip=int(CLIENT.address)) | fields


def test_both_directions_end_at_the_instance_and_go_on_from_there(world: SteeredWorld) -> None:
    world.ask(AT_2, INSTANCE, VdpMode.ASSOCIATE)
    for port, frame, leg in ((AT_1, sent(), 4001), (HOST_3, answer(), 4002)):
        found = explained(world, port, frame)
        assert "traffic that goes through an appliance" in found and "instance of the share" in found
        assert "port 1 of s2 (hv21, station)" in found and f"VID {leg}" in found
    for frame, leg, end in ((sent(), 4002, "port 4 of s3 (host3"), (answer(), 4001, "port 1 of s1 (hv11")):
        found = explained(world, AT_2, frame | {"vlan_vid": VLAN_PRESENT | leg})
        assert "frames of an appliance" in found and end in found


def test_what_is_blocked_or_would_pass_by_is_told(world: SteeredWorld) -> None:
    reason = "no instance of the appliance is in use, and its type blocks the traffic then"
    assert reason in explained(world, AT_1, sent()) and reason in explained(world, HOST_3, answer())
    world.ask(AT_2, INSTANCE, VdpMode.ASSOCIATE)
    for port, frame in ((AT_1, sent(BROADCAST)), (HOST_3, answer(BROADCAST))):
        assert "a frame to all or to a group is not for one IP address" in explained(world, port, frame)
