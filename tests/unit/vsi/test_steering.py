"""Instances of appliances whose legs are VSIs of their own, what they say to all, and the rules that are reserved."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from ryu_apps.evb.event_catalogue.bridge import ApplianceInstanceChanged
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.simulation.switch import forward
from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.evb.vsi.reservation import ResourceKind, SwitchResource
from ryu_apps.evb.wire.filter_info import FilterInfo, Vid
from ryu_apps.evb.wire.vdp import ASSOCIATIONS, Association, RequestStatus, VdpMode
from tests.worlds.bridge import Vm
from tests.worlds.counting import BROADCAST, udp
from tests.worlds.steered import BLOCKED, BUMP, PLAIN, Bump, SteeredWorld, host_mac

RR, ASSOCIATE, DEASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
AT_1, AT_2, AT_3, HOST_3 = PortId(1, 1), PortId(2, 1), PortId(3, 1), PortId(3, 4)
CLIENT = Vm(7, BLOCKED)


@dataclass(slots=True)
class Leg(Vm):
    """One leg of a bump in the wire as a VSI of its own."""

    type: VsiTypeKey = BUMP

    def tlv(self, mode: VdpMode, **status: bool) -> Association:
        """Its association TLV."""
        return ASSOCIATIONS[mode](RequestStatus(**status), *self.type, self.vsi_id, FilterInfo.of(Vid(self.vid)))


@pytest.fixture
def world() -> SteeredWorld:
    world = SteeredWorld()
    world.connect()
    world.ask(AT_1, CLIENT, ASSOCIATE)
    return world


def ways(world: SteeredWorld) -> list[list[PortId]]:
    """Ports at which a frame from the client is delivered, and one to it."""
    ends = {"src_ip": int(CLIENT.address), "dst_ip": 0x0A006403}, {"src_ip": 0x0A006403, "dst_ip": int(CLIENT.address)}
    out = udp(CLIENT.mac, host_mac(3), **ends[0]), udp(host_mac(3), CLIENT.mac, **ends[1])
    return [[copy.port for copy in world.deliver(*each)] for each in ((AT_1, out[0]), (HOST_3, out[1]))]


def test_an_instance_is_in_use_when_both_legs_are_active(world: SteeredWorld) -> None:
    inner, outer = Leg(60, vid=4001), Leg(61, vid=4002)
    world.ask(AT_2, inner, ASSOCIATE)
    assert ways(world) == [[], []]
    world.ask(AT_2, outer, ASSOCIATE)
    assert ways(world) == [[HOST_3], [AT_1]] and world.passages == ["one"]
    world.ask(AT_2, inner, DEASSOCIATE)
    assert ways(world) == [[], []]
    told = [(event.in_use, event.left) for event in world.happened if isinstance(event, ApplianceInstanceChanged)]
    assert told == [(True, 1), (False, 0)]


def test_the_legs_of_an_instance_move_one_after_the_other(world: SteeredWorld) -> None:
    inner, outer = Leg(60, vid=4001), Leg(61, vid=4002)
    for leg in (inner, outer):
        world.ask(AT_2, leg, ASSOCIATE)
    for leg in (inner, outer):
        world.ask(AT_3, leg, RR)
        world.ask(AT_3, leg, ASSOCIATE)
    assert ways(world) == [[HOST_3], [AT_1]]
    assert not any(isinstance(event, ApplianceInstanceChanged) and not event.in_use for event in world.happened)


def test_what_an_instance_says_to_all_does_not_leave_its_switch(world: SteeredWorld) -> None:
    world.ask(AT_2, Bump(40), ASSOCIATE)
    for vid in (4001, 4002):
        frame = udp(CLIENT.mac, BROADCAST) | {"vlan_vid": VLAN_PRESENT | vid, "in_port": AT_2.port_no}
        assert forward(world.tables[2], frame) == []


@pytest.mark.parametrize("kind", [BLOCKED, PLAIN])
def test_the_gates_of_a_client_have_reserved_rules(world: SteeredWorld, kind: VsiTypeKey) -> None:
    """Other switches have reserved what an Associate adds to their table of destinations, and no more."""
    before = {dpid: (in_forward(world, dpid), reserved(world, dpid)) for dpid in (1, 3)}
    world.ask(AT_2, Vm(8, kind), ASSOCIATE)
    for dpid, (rules, booked) in before.items():
        assert in_forward(world, dpid) - rules == reserved(world, dpid) - booked > 0


def reserved(world: SteeredWorld, dpid: int) -> int:
    """The number of rules that a switch has reserved in FORWARD."""
    return world.engine.ledger.used(dpid, SwitchResource(ResourceKind.TABLE, Table.FORWARD))


def in_forward(world: SteeredWorld, dpid: int) -> int:
    """The number of rules of a switch in FORWARD."""
    return sum(key.table == Table.FORWARD for key in world.tables[dpid].rules)
