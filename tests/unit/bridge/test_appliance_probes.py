"""Probes of appliances: frames that an instance has to send on or to answer, and what becomes of one that does not."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from ryu_apps.evb.event_catalogue.bridge import ApplianceAnswers, ApplianceSilent
from ryu_apps.evb.events.other import Missed
from ryu_apps.evb.events.switch import FrameReceived, PortChanged
from ryu_apps.evb.flow.actions import CONTROLLER, TABLES
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.pipeline.appliance_probes import probe_meters
from ryu_apps.evb.simulation.switch import passage
from ryu_apps.evb.topology.appliance import Appliance, Probing
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import VLAN, Vm
from tests.worlds.counting import udp
from tests.worlds.steered import (
    APPLIANCES,
    BLOCKED,
    LEGS,
    LOOSE,
    PASSING,
    Bump,
    SteeredWorld,
    WholeVlan,
    host_mac,
    router,
    three_switches,
)

RR, ASSOCIATE, DEASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
AT_1, AT_2, AT_3, HOST_3 = PortId(1, 1), PortId(2, 1), PortId(3, 1), PortId(3, 4)
INTERVAL, MISSED = 1.0, 3
CLIENT, LENIENT = Vm(7, BLOCKED), Vm(8, PASSING)
ADDRESS = IPv4Address("10.0.100.81")
_ARP = 0x0806


def probed(appliance: Appliance) -> Appliance:
    instances = tuple(
        instance._replace(address=ADDRESS) if instance.mac else instance for instance in appliance.instances
    )
    return replace(appliance, instances=instances, probing=Probing(INTERVAL, MISSED))


def patient(fabric: Fabric) -> Fabric:
    """The same fabric, whose stations need no keep-alives in the time of a test."""

    def port(interface: Interface) -> Interface:
        return replace(interface, timers=Timers()) if interface.role is Role.STATION else interface

    switches = {
        dpid: replace(switch, interfaces={number: port(found) for number, found in switch.interfaces.items()})
        for dpid, switch in fabric.switches.items()
    }
    return replace(fabric, switches=switches)


@pytest.fixture
def world() -> SteeredWorld:
    world = SteeredWorld(fabric=replace(patient(three_switches()), appliances=tuple(map(probed, APPLIANCES))))
    world.connect()
    world.ask(AT_1, CLIENT, ASSOCIATE)
    world.ask(AT_1, LENIENT, ASSOCIATE)
    return world


def fields_of(data: bytes) -> dict[str, int]:
    """Fields of a tagged ARP frame."""
    names = {"eth_dst": (0, 6), "eth_src": (6, 12), "eth_type": (16, 18), "arp_op": (24, 26), "arp_sha": (26, 32)}
    names |= {"arp_spa": (32, 36), "arp_tha": (36, 42), "arp_tpa": (42, 46)}
    return {name: int.from_bytes(data[slice(*at)]) for name, at in names.items()} | {
        "vlan_vid": VLAN_PRESENT | int.from_bytes(data[14:16])
    }


def octets_of(fields: dict[str, int]) -> bytes:
    """The frame of some fields, with its tag."""
    vid = fields["vlan_vid"] & 0xFFF or VLAN
    head = fields["eth_dst"].to_bytes(6) + fields["eth_src"].to_bytes(6) + b"\x81\x00" + vid.to_bytes(2)
    arp = _ARP.to_bytes(2) + b"\0\1\x08\0\6\4"
    ends = ((fields["arp_sha"], 6), (fields["arp_spa"], 4), (fields["arp_tha"], 6), (fields["arp_tpa"], 4))
    return head + arp + fields["arp_op"].to_bytes(2) + b"".join(value.to_bytes(size) for value, size in ends)


def arrived(world: SteeredWorld) -> list[tuple[PortId, dict[str, int]]]:
    """Probes that have come to instances since this was called last, as they arrive there."""
    sent = [frame for frame in world.frames if frame.port.port_no == TABLES]
    world.frames.clear()
    return [
        (copy.port, copy.fields)
        for frame in sent
        for copy in world.carry(PortId(frame.port.dpid, CONTROLLER), fields_of(frame.data))
    ]


def returned(fields: dict[str, int]) -> dict[str, int]:
    """A frame as an instance in order sends it: out of the other leg, or as an answer."""
    vid = fields["vlan_vid"] & 0xFFF
    for inside, outside in LEGS.values():
        if vid == inside:
            return fields | {"vlan_vid": VLAN_PRESENT | outside}
    ends = {"eth_dst": fields["eth_src"], "eth_src": fields["eth_dst"], "arp_tha": fields["arp_sha"]}
    ends |= {"arp_sha": fields["eth_dst"], "arp_spa": fields["arp_tpa"], "arp_tpa": fields["arp_spa"]}
    return fields | ends | {"arp_op": 2, "vlan_vid": 0}


def to_controller(world: SteeredWorld, port: PortId, fields: dict[str, int]) -> list[bytes]:
    """Copies at the controller of a frame from a port."""
    found = passage(world.tables[port.dpid], fields | {"in_port": port.port_no})
    return [octets_of(dict(each.fields)) for each in found.emitted if each.port == CONTROLLER]


def in_order(world: SteeredWorld) -> int:
    """Let all instances answer their probes; returns how many have."""
    found = [(port, data) for port, fields in arrived(world) for data in to_controller(world, port, returned(fields))]
    for port, data in found:
        world.feed(FrameReceived(port, data))
    return len(found)


def rounds(world: SteeredWorld, number: int, answers: bool) -> None:
    """Let some intervals pass."""
    for _ in range(number):
        world.advance(INTERVAL)
        if answers:
            assert in_order(world) > 0
        else:
            arrived(world)


def used(world: SteeredWorld) -> set[str]:
    """All instances that get traffic."""
    return {name for appliance in world.fabric.appliances for name in world.engine.steering.in_use(appliance)}


def passes(world: SteeredWorld, vm: Vm) -> bool:
    """True if a frame for a client comes to it; passages say by which way."""
    frame = udp(host_mac(3), vm.mac, src_ip=0x0A006403, dst_ip=int(vm.address))
    return [copy.port for copy in world.deliver(HOST_3, frame)] == [AT_1]


INSTANCES = pytest.mark.parametrize(
    ("vm", "name"), [(Bump(40), "one"), (router("r1"), "r1")], ids=["bump in the wire", "router"]
)


@INSTANCES
def test_an_instance_that_answers_stays_and_one_that_hangs_goes(world: SteeredWorld, vm: Vm, name: str) -> None:
    world.ask(AT_2, vm, ASSOCIATE)
    rounds(world, 2 * MISSED, answers=True)
    assert used(world) == {name}
    rounds(world, MISSED, answers=False)
    assert used(world) == {name}, "the first of them had its answer"
    rounds(world, 1, answers=False)
    assert used(world) == set()
    rounds(world, 1, answers=True)
    assert used(world) == {name}
    told = [type(event) for event in world.happened if isinstance(event, ApplianceSilent | ApplianceAnswers)]
    assert told == [ApplianceSilent, ApplianceAnswers]


def test_what_a_type_says_of_failures_is_in_force_while_its_appliance_hangs(world: SteeredWorld) -> None:
    world.ask(AT_2, Bump(40), ASSOCIATE)
    for vm in (CLIENT, LENIENT):
        assert passes(world, vm) and world.passages == ["one"]
    rounds(world, MISSED + 1, answers=False)
    assert not passes(world, CLIENT) and world.passages == [], "on_failure: block"
    assert passes(world, LENIENT) and world.passages == [], "on_failure: pass"


def test_another_instance_gets_the_shares_of_one_that_hangs(world: SteeredWorld) -> None:
    world.ask(AT_2, Bump(40), ASSOCIATE)
    world.ask(AT_3, Bump(41, instance="two"), ASSOCIATE)
    for _ in range(MISSED + 1):
        world.advance(INTERVAL)
        for port, fields in arrived(world):
            for data in to_controller(world, port, returned(fields)) if port == AT_3 else ():
                world.feed(FrameReceived(port, data))
    assert used(world) == {"two"} and passes(world, CLIENT) and world.passages == ["two"]


def test_a_staged_instance_is_sent_nothing(world: SteeredWorld) -> None:
    world.ask(AT_2, Bump(40), RR)
    world.advance(3 * INTERVAL)
    assert arrived(world) == [] and not [frame for frame in world.frames if frame.port.port_no == TABLES]


def test_no_other_vm_speaks_for_an_instance(world: SteeredWorld) -> None:
    world.ask(AT_2, Bump(40), ASSOCIATE)
    loose, gateway = WholeVlan(9, LOOSE), router("r1")
    world.ask(PortId(2, 2), gateway, ASSOCIATE)
    world.ask(AT_3, loose, ASSOCIATE)
    for _ in range(MISSED + 1):
        world.advance(INTERVAL)
        for _, fields in arrived(world):
            answer = returned(fields)
            tags = {VLAN_PRESENT | vid for vid in (VLAN, *LEGS["one"])} | {0, answer["vlan_vid"]}
            for port in (AT_1, AT_3, HOST_3):
                assert not any(to_controller(world, port, answer | {"vlan_vid": tag}) for tag in tags)
    assert used(world) == set()


def test_another_number_is_no_answer(world: SteeredWorld) -> None:
    world.ask(AT_2, Bump(40), ASSOCIATE)
    old: list[bytes] = []
    for _ in range(MISSED + 1):
        world.advance(INTERVAL)
        for data in old:
            world.feed(FrameReceived(AT_2, data))
        old = [data for port, fields in arrived(world) for data in to_controller(world, port, returned(fields))]
        assert len(old) == 1
    assert used(world) == set()
    world.feed(FrameReceived(AT_2, old[0][:40]))
    assert used(world) == set(), "too short"


def test_answers_of_each_instance_have_a_bound_of_their_own(world: SteeredWorld) -> None:
    meters = probe_meters(world.fabric.appliances)
    assert len({meter.meter_id for meter in meters}) == 4
    world.ask(AT_2, Bump(40), ASSOCIATE)
    world.advance(INTERVAL)
    ((port, fields),) = arrived(world)
    found = passage(world.tables[2], returned(fields) | {"in_port": port.port_no})
    assert [meter.meter_id for meter in found.metered if meter.meter_id in {each.meter_id for each in meters}]


# --- what does not count --------------------------------------------------------------------------
def test_time_in_which_the_bridge_heard_nothing_does_not_count(world: SteeredWorld) -> None:
    world.ask(AT_2, Bump(40), ASSOCIATE)
    for _ in range(2 * MISSED):
        rounds(world, 1, answers=False)
        world.feed(Missed(2.0))
    assert used(world) == {"one"}


def test_a_move_does_not_count_and_a_silent_instance_stays_silent(world: SteeredWorld) -> None:
    bump = Bump(40)
    world.ask(AT_2, bump, ASSOCIATE)
    rounds(world, MISSED, answers=False)
    for mode in (RR, ASSOCIATE):
        world.ask(AT_3, bump, mode)
    rounds(world, 1, answers=False)
    assert used(world) == {"one"}, "the last probe was sent to where it was no more"
    rounds(world, 1, answers=False)
    assert used(world) == set()
    for mode in (RR, ASSOCIATE):
        world.ask(AT_2, bump, mode)
    assert used(world) == set()
    rounds(world, 1, answers=True)
    assert used(world) == {"one"}


def test_an_instance_whose_port_is_down_is_not_probed(world: SteeredWorld) -> None:
    world.ask(AT_2, Bump(40), ASSOCIATE)
    world.feed(PortChanged(AT_2, False))
    rounds(world, 2 * MISSED, answers=False)
    assert not any(isinstance(event, ApplianceSilent) for event in world.happened)


def test_an_instance_that_is_gone_is_no_alarm(world: SteeredWorld) -> None:
    world.ask(AT_2, Bump(40), ASSOCIATE)
    rounds(world, MISSED + 1, answers=False)
    world.ask(AT_2, Bump(40), DEASSOCIATE)
    world.advance(INTERVAL)
    assert isinstance([event for event in world.happened if hasattr(event, "instance")][-1], ApplianceAnswers)
    assert not any(key.startswith("silent/") for key in world.store)


# --- restarts, reloads, take-overs ----------------------------------------------------------------
def test_a_new_controller_leads_nothing_to_an_instance_that_hangs(world: SteeredWorld) -> None:
    world.ask(AT_2, Bump(40), ASSOCIATE)
    rounds(world, MISSED + 1, answers=False)
    world.restart_controller()
    assert used(world) == set() and passes(world, LENIENT) and world.passages == []
    rounds(world, 1, answers=True)
    assert used(world) == {"one"} and not any(key.startswith("silent/") for key in world.store)
    world.restart_controller()
    assert used(world) == {"one"} and passes(world, CLIENT)


def test_without_probes_in_the_file_a_silent_instance_is_in_use_again(world: SteeredWorld) -> None:
    world.ask(AT_2, Bump(40), ASSOCIATE)
    rounds(world, MISSED + 1, answers=False)
    world.fabric = replace(world.fabric, appliances=APPLIANCES)
    world.restart_controller()
    world.advance(2 * INTERVAL)
    assert used(world) == {"one"} and not any(key.startswith("silent/") for key in world.store)
