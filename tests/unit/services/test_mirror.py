"""Mirror: copies of what a VSI sends and receives, at the analyser alone, from Associate to the end of it."""

from __future__ import annotations

import pytest

from ryu_apps.evb.config import load_config
from ryu_apps.evb.config.bridge_config import BridgeConfig
from ryu_apps.evb.config.writing import dump_config
from ryu_apps.evb.event_catalogue.vsis import VdpRefused
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.simulation.packet import INNER_PCP, INNER_VID
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.worlds.bridge import (
    CLIENT,
    CLIENT_MAC,
    HV1,
    HV2,
    HV3,
    HV4,
    NMS,
    NMS_MAC,
    S1,
    Vm,
    islands,
    two_switches,
    with_vlans,
)
from tests.worlds.counting import BROADCAST, udp
from tests.worlds.mirrored import (
    BOTH,
    IDS,
    LOST,
    PLAIN,
    RECEIVED,
    REMOTE,
    RICH,
    SENT,
    STRICT,
    MirrorWorld,
    with_mirror,
)
from tests.worlds.sets import MultiVm

RR, ASSOCIATE, DEASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
VM, OTHER = Vm(7, type=BOTH), Vm(8, type=BOTH)
TAGGED = VLAN_PRESENT | 100


@pytest.fixture
def world() -> MirrorWorld:
    world = MirrorWorld()
    world.connect()
    return world


def from_vm(vm: Vm, destination: int = NMS_MAC, **fields: int) -> dict[str, int]:
    return udp(vm.mac, destination, src_ip=int(vm.address)) | fields


def to_vm(vm: Vm, source: int = NMS_MAC) -> dict[str, int]:
    return udp(source, vm.mac)


# --- copies ---------------------------------------------------------------------------------------
@pytest.mark.parametrize("here", [HV1, HV3], ids=["at the switch of the mirror", "at the other switch"])
def test_a_frame_in_either_direction_is_copied_once(world: MirrorWorld, here: PortId) -> None:
    world.ask(here, VM, ASSOCIATE)
    for port, frame, there in ((here, from_vm(VM), NMS), (NMS, to_vm(VM), here), (CLIENT, to_vm(VM, CLIENT_MAC), here)):
        (copy,), delivered = world.sent_by(port, frame)
        assert delivered == [there]
        assert copy.fields["vlan_vid"] == TAGGED and INNER_VID not in copy.fields, "with the tag of its VLAN"
        assert (copy.fields["eth_src"], copy.fields["eth_dst"]) == (frame["eth_src"], frame["eth_dst"])


@pytest.mark.parametrize(("kind", "sent", "received"), [(SENT, 1, 0), (RECEIVED, 0, 1), (BOTH, 1, 1), (PLAIN, 0, 0)])
@pytest.mark.parametrize("here", [HV1, HV3])
def test_a_type_says_which_direction(
    world: MirrorWorld, here: PortId, kind: VsiTypeKey, sent: int, received: int
) -> None:
    vm = Vm(7, type=kind)
    world.ask(here, vm, ASSOCIATE)
    assert len(world.sent_by(here, from_vm(vm))[0]) == sent
    assert len(world.sent_by(NMS, to_vm(vm))[0]) == received


def test_what_is_copied_is_what_arrives_and_what_is_delivered(world: MirrorWorld) -> None:
    """The policy refuses both frames: the first has arrived all the same, the second is not delivered."""
    vm = Vm(7, type=STRICT)
    world.ask(HV1, vm, ASSOCIATE)
    assert [len(found) for found in world.sent_by(HV1, from_vm(vm, udp_dst=80))] == [1, 0]
    assert [len(found) for found in world.sent_by(HV1, from_vm(vm, udp_dst=53))] == [1, 1]
    assert world.sent_by(NMS, to_vm(vm)) == ([], [])
    assert world.sent_by(HV1, from_vm(vm, eth_src=OTHER.mac)) == ([], []), "not a frame of the VSI"


@pytest.mark.parametrize(
    ("first", "second", "copies"), [(BOTH, BOTH, 2), (BOTH, PLAIN, 1), (PLAIN, BOTH, 1), (SENT, SENT, 1)]
)
@pytest.mark.parametrize("there", [HV2, HV3])
def test_between_two_vms_each_gets_the_copies_that_it_asks_for(
    world: MirrorWorld, there: PortId, first: VsiTypeKey, second: VsiTypeKey, copies: int
) -> None:
    one, other = Vm(7, type=first), Vm(8, type=second)
    world.ask(HV1, one, ASSOCIATE)
    world.ask(there, other, ASSOCIATE)
    found, delivered = world.sent_by(HV1, from_vm(one, other.mac))
    assert (len(found), delivered) == (copies, [there])


def test_a_broadcast_is_copied_for_its_sender_and_for_each_receiver(world: MirrorWorld) -> None:
    for port, vm in ((HV1, VM), (HV2, OTHER), (HV3, Vm(9, type=BOTH)), (HV4, Vm(10, type=PLAIN))):
        world.ask(port, vm, ASSOCIATE)
    found, delivered = world.sent_by(HV1, from_vm(VM, BROADCAST))
    assert delivered == [HV2, NMS, HV3, HV4, CLIENT]
    assert sorted(copy.fields["eth_dst"] for copy in found) == [OTHER.mac, Vm(9).mac, BROADCAST]
    found, _ = world.sent_by(CLIENT, udp(CLIENT_MAC, BROADCAST))
    assert len(found) == 3


# --- from when until when -------------------------------------------------------------------------
def test_nothing_is_copied_before_associate_and_after_the_end(world: MirrorWorld) -> None:
    world.ask(HV1, VM, RR)
    assert any(rule.table == Table.OUTPUT and rule.priority > 60_000 for rule in world.tables[S1].rules.values())
    assert world.sent_by(HV1, from_vm(VM)) == ([], []) and world.sent_by(NMS, to_vm(VM)) == ([], [])
    world.ask(HV1, VM, ASSOCIATE)
    assert len(world.sent_by(HV1, from_vm(VM))[0]) == 1
    world.ask(HV1, VM, DEASSOCIATE)
    assert world.sent_by(HV1, from_vm(VM)) == ([], []) and world.sent_by(NMS, to_vm(VM)) == ([], [])


@pytest.mark.parametrize(("source", "target"), [(HV1, HV3), (HV3, HV1), (HV1, HV2)])
def test_copies_follow_the_vm(world: MirrorWorld, source: PortId, target: PortId) -> None:
    world.ask(source, VM, ASSOCIATE)
    world.ask(target, VM, RR)
    assert len(world.sent_by(source, from_vm(VM))[0]) == 1 and world.sent_by(target, from_vm(VM)) == ([], [])
    world.ask(target, VM, ASSOCIATE)
    assert len(world.sent_by(target, from_vm(VM))[0]) == 1 and world.sent_by(source, from_vm(VM)) == ([], [])
    found, delivered = world.sent_by(CLIENT, to_vm(VM, CLIENT_MAC))
    assert (len(found), delivered) == (1, [target])


def test_a_restarted_controller_writes_no_rule(world: MirrorWorld) -> None:
    world.ask(HV3, VM, ASSOCIATE)
    before, sent = world.snapshot(), len(world.applied)
    world.restart_controller()
    assert world.snapshot() == before
    assert not any(apply.change.add or apply.change.remove for apply in world.applied[sent:])


# --- the mirror -----------------------------------------------------------------------------------
def test_what_the_mirror_sends_is_dropped(world: MirrorWorld) -> None:
    world.ask(HV1, VM, ASSOCIATE)
    for tag in (0, TAGGED, VLAN_PRESENT | REMOTE):
        for frame in (to_vm(VM), udp(NMS_MAC, BROADCAST), udp(VM.mac, CLIENT_MAC, src_ip=int(VM.address))):
            assert world.carry(IDS, frame | {"vlan_vid": tag}) == []


@pytest.mark.parametrize("port", [HV1, NMS])
def test_no_port_but_a_trunk_takes_the_vid_of_copies(world: MirrorWorld, port: PortId) -> None:
    world.ask(HV1, VM, ASSOCIATE)
    source = VM.mac if port == HV1 else NMS_MAC
    frame = udp(source, CLIENT_MAC, src_ip=int(VM.address)) | {"vlan_vid": VLAN_PRESENT | REMOTE}
    assert world.carry(port, frame) == []
    assert world.carry(port, frame | {INNER_VID: TAGGED, INNER_PCP: 0}) == []


def test_a_vsi_cannot_have_the_vid_of_copies() -> None:
    world = MirrorWorld(fabric=with_mirror(with_vlans(two_switches(), REMOTE)))
    world.connect()
    world.ask(HV1, Vm(7, type=PLAIN, vid=REMOTE), RR)
    assert world.answer(HV1).error is VdpError.INVALID_VID_GROUP_MAC


@pytest.mark.parametrize(
    ("port", "kind", "fabric", "reason"),
    [
        (HV1, LOST, with_mirror(two_switches()), "the configuration has no mirror 'elsewhere'"),
        (HV3, BOTH, with_mirror(two_switches(), None), "mirror 'ids' is at another switch and has no remote_vlan"),
        (HV3, BOTH, with_mirror(islands(two_switches())), "no trunk leads to mirror 'ids'"),
    ],
)
def test_a_mirror_that_cannot_be_had_is_refused(port: PortId, kind: VsiTypeKey, fabric: Fabric, reason: str) -> None:
    world = MirrorWorld(fabric=fabric)
    world.connect()
    world.ask(port, Vm(7, type=kind), RR)
    assert world.answer(port).error is VdpError.INSUFFICIENT_RESOURCES
    assert [event.reason for event in world.happened if isinstance(event, VdpRefused)] == [reason]
    world.ask(HV1, VM, RR)
    assert not world.answer(HV1).error


# --- with everything else -------------------------------------------------------------------------
def test_a_vsi_of_several_addresses_and_vlans_with_all_services() -> None:
    world = MirrorWorld(fabric=with_mirror(with_vlans(two_switches(), 200)))
    world.connect()
    vm, peer = MultiVm(9, type=RICH), Vm(8, type=RICH)
    for port in (HV3, HV1):
        world.send(port, vm.tlv(ASSOCIATE, migrating=True), *vm.addresses)
        world.ask(HV2, peer, ASSOCIATE)
        for mac in vm.macs:
            frame = udp(mac, peer.mac, src_ip=int(vm.addresses[0])) | {"ipv4_dst": int(peer.address)}
            found, delivered = world.sent_by(port, frame)
            assert (len(found), delivered) == (2, [HV2])
            assert {copy.fields["vlan_pcp"] for copy in found} == {5}
            tagged = frame | {"vlan_vid": VLAN_PRESENT | 200, "vlan_pcp": 3}
            (copy,), delivered = world.sent_by(port, tagged)
            assert (copy.fields["vlan_vid"], copy.fields["vlan_pcp"], delivered) == (VLAN_PRESENT | 200, 3, [])
        strange = udp(vm.macs[0], peer.mac, src_ip=int(vm.addresses[1])) | {"ipv4_dst": int(peer.address)}
        assert len(world.sent_by(port, strange | {"ipv4_src": 1})[0]) == 1, "it has arrived, and is refused"


def test_counters_count_frames_as_without_a_mirror(world: MirrorWorld) -> None:
    vm = Vm(7, type=RICH)
    world.ask(HV1, vm, ASSOCIATE)
    world.carry(HV1, from_vm(vm), octets=60)
    counted = [gauge.octets for meter, gauge in world.gauges[S1].items() if meter >= 1 << 31 and gauge.packets]
    assert counted == [60]


# --- files ----------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("section", "mistake"),
    [
        ("{}", "3:1: missing key 'to'"),
        ("{to: ids, direction: in}", "3:30: "),
        ("{to: ids, dir: both}", "3:19: unknown key 'dir'"),
        ("{to: ''}", "3:14: "),
    ],
)
def test_mistakes_of_a_type_have_their_place(section: str, mistake: str) -> None:
    head = "version: 1\nvsi_type: {type_id: 9, version: 1, name: some}\n"
    loaded, found = load_policies([("some.yaml", f"{head}mirror: {section}\n")], SECTIONS)
    assert loaded is None and any(f"some.yaml:{mistake}" in str(line) for line in found), found


CONFIG = """\
version: 1
groups: {{1000: 300}}
dps:
  s1:
    dp_id: 1
    interfaces:
      1: {{name: hv1, role: station, native_vlan: 100, tagged_vlans: [200]}}
      9: {{name: ids, role: mirror{0}}}
      10: {{name: {1}, role: mirror, remote_vlan: 4002}}
"""


@pytest.mark.parametrize(
    ("ids", "second", "mistake"),
    [
        (", remote_vlan: 100", "ids2", "8:49: VID 100 is in use at port 1 of s1"),
        (", remote_vlan: 200", "ids2", "8:49: VID 200 is in use at port 1 of s1"),
        (", remote_vlan: 300", "ids2", "8:49: VID 300 is that of a group"),
        (", remote_vlan: 4002", "ids2", "9:51: VID 4002 is that of mirror 'ids'"),
        ("", "ids", "9:18: mirror 'ids' is already port 9 of s1"),
        (", native_vlan: 5", "ids2", "8:36: key 'native_vlan' does not belong here"),
        (", remote_vlan: 4095", "ids2", "8:49: "),
    ],
)
def test_mistakes_of_a_configuration_have_their_place(ids: str, second: str, mistake: str) -> None:
    config, found = load_config("c.yaml", CONFIG.format(ids, second))
    assert config is None and any(mistake in str(line) for line in found), found


def test_a_configuration_is_written_as_it_was_read() -> None:
    config, found = load_config("c.yaml", CONFIG.format(", remote_vlan: 4001", "ids2"))
    assert isinstance(config, BridgeConfig), found
    assert config.fabric.mirrors == {"ids": PortId(1, 9), "ids2": PortId(1, 10)}
    assert load_config("c.yaml", dump_config(config))[0] == config
