"""Frames with a second tag or another header before IP, and frames with a priority and no VLAN, on paper."""

from __future__ import annotations

import pytest

from ryu_apps.evb.flow.match import PRIORITY_TAGGED, VLAN_PRESENT
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.simulation.switch import forward
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import CLIENT, HV1, HV2, HV3, NMS, NMS_MAC, VLAN, Vm, World

OPEN, WALLED, ALL_RULES, STACKED = (VsiTypeKey(number, 1) for number in (20, 21, 22, 23))
TEXTS = {
    OPEN: "from_vm: {default: allow}\nto_vm: {default: allow}\n",
    WALLED: "firewall: {from_vm: {default: deny}}\n",
    ALL_RULES: "from_vm: {rules: [{rule: {actions: {allow: 1}}}]}\nto_vm: {rules: [{rule: {actions: {allow: 1}}}]}\n",
    STACKED: """
from_vm: {rules: [{rule: {eth_type: [0x8100, 0x88a8], actions: {allow: 1}}}]}
to_vm: {rules: [{rule: {eth_type: [0x8100, 0x88a8], actions: {allow: 1}}}]}
""",
}
#: A tag behind the tag; LLC that is no SNAP; LLDP to an address that is not reserved; PPPoE, MPLS, something unknown.
HIDDEN = (0x8100, 0x88A8, 0x9100, 0x05FF, 0x88CC, 0x8864, 0x8847, 0x88B5)
PLAIN = {"eth_type": 0x0800, "ip_proto": 17, "ipv4_src": 0x0A0064F0, "ipv4_dst": 0x0A006401, "udp_src": 1, "udp_dst": 2}


def policies() -> PolicySet:
    head = "version: 1\nvsi_type: {{type_id: {}, version: {}, name: hidden}}\nanti_spoofing: {{ip: false}}\n"
    found, mistakes = load_policies([(str(key), head.format(*key) + text) for key, text in TEXTS.items()], SECTIONS)
    assert found is not None, mistakes
    return found


POLICIES = policies()


def ready(key: VsiTypeKey) -> tuple[World, Vm]:
    world, vm = World(policies=POLICIES), Vm(1, type=key)
    world.connect()
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    return world, vm


def to_vm(vm: Vm, **fields: int) -> dict[str, int]:
    return {"eth_src": NMS_MAC, "eth_dst": vm.mac, "vlan_vid": 0} | fields


def from_vm(vm: Vm, **fields: int) -> dict[str, int]:
    return {"eth_src": vm.mac, "eth_dst": NMS_MAC, "vlan_vid": 0} | fields


# --- what the bridge cannot look into ------------------------------------------------------------------
@pytest.mark.parametrize("eth_type", HIDDEN, ids=hex)
@pytest.mark.parametrize("key", [OPEN, WALLED, ALL_RULES], ids=["open", "walled", "all rules"])
def test_what_hides_its_contents_passes_in_neither_direction(key: VsiTypeKey, eth_type: int) -> None:
    world, vm = ready(key)
    assert not world.carry(NMS, to_vm(vm, eth_type=eth_type))
    everyone = world.carry(NMS, to_vm(vm, eth_type=eth_type, eth_dst=(1 << 48) - 1))
    assert [delivery.port for delivery in everyone] == [CLIENT]
    assert not world.carry(HV1, from_vm(vm, eth_type=eth_type))


@pytest.mark.parametrize("key", [OPEN, ALL_RULES], ids=["open", "all rules"])
def test_what_does_not_passes(key: VsiTypeKey) -> None:
    world, vm = ready(key)
    for fields in (
        PLAIN,
        {"eth_type": 0x86DD, "ip_proto": 6},
        {"eth_type": 0x0806, "arp_sha": vm.mac, "arp_spa": int(vm.address)},
    ):
        assert world.carry(NMS, to_vm(vm, **fields)) and world.carry(HV1, from_vm(vm, **fields))


def test_a_type_may_say_that_a_second_tag_passes() -> None:
    world, vm = ready(STACKED)
    for eth_type in (0x8100, 0x88A8):
        assert world.carry(NMS, to_vm(vm, eth_type=eth_type)) and world.carry(HV1, from_vm(vm, eth_type=eth_type))
    assert not world.carry(NMS, to_vm(vm, **PLAIN)) and not world.carry(HV1, from_vm(vm, eth_type=0x88CC))


# --- a priority and no VLAN ------------------------------------------------------------------------------
@pytest.mark.parametrize("pcp", [0, 5, 7])
def test_a_frame_with_a_priority_alone_is_of_the_port_s_vlan(pcp: int) -> None:
    """802.1Q 6.9; from VMs and hosts, to a gate, a host, and everyone, here and on another switch."""
    world, vm = ready(OPEN)
    other, far = Vm(2, type=OPEN), Vm(3, type=OPEN)
    world.ask(HV2, other, VdpMode.ASSOCIATE)
    world.ask(HV3, far, VdpMode.ASSOCIATE)
    prioritised = {"vlan_vid": PRIORITY_TAGGED, "vlan_pcp": pcp, **PLAIN}
    for port, frame, expected in (
        (NMS, to_vm(vm, **prioritised), [HV1]),
        (HV1, from_vm(vm, **prioritised), [NMS]),
        (HV1, from_vm(vm, **prioritised, eth_dst=other.mac), [HV2]),
        (HV1, from_vm(vm, **prioritised, eth_dst=far.mac), [HV3]),
        (HV1, from_vm(vm, **prioritised, eth_dst=(1 << 48) - 1), [CLIENT, HV2, HV3, NMS]),
    ):
        delivered = world.carry(port, frame)
        assert sorted(emitted_frame.port for emitted_frame in delivered) == sorted(expected)
        assert all(emitted_frame.fields["vlan_vid"] == 0 for emitted_frame in delivered)


def test_its_priority_is_kept() -> None:
    world, vm = ready(OPEN)
    frame = to_vm(vm, vlan_vid=PRIORITY_TAGGED, vlan_pcp=5, **PLAIN) | {"eth_dst": 0xFFFFFFFFFFFF}
    emitted = [
        emitted_frame.fields for emitted_frame in forward(world.tables[NMS.dpid], {**frame, "in_port": NMS.port_no})
    ]
    tags = {
        (emitted_frame["vlan_vid"], emitted_frame["vlan_pcp"]) for emitted_frame in emitted if emitted_frame["vlan_vid"]
    }
    assert tags == {(VLAN_PRESENT | VLAN, 5)}


def test_a_frame_that_says_the_port_s_own_vlan_is_refused() -> None:
    world, vm = ready(OPEN)
    own = VLAN_PRESENT | VLAN
    assert not world.carry(NMS, to_vm(vm, vlan_vid=own, **PLAIN)) and not world.carry(
        HV1, from_vm(vm, vlan_vid=own, **PLAIN)
    )


def test_reserved_addresses_are_refused_with_a_priority_too() -> None:
    world, vm = ready(OPEN)
    for last in (0x00, 0x02, 0x03, 0x0E):
        frame = from_vm(vm, vlan_vid=PRIORITY_TAGGED, eth_dst=0x0180C2000000 | last, eth_type=0x88CC)
        assert not world.carry(HV1, frame) and not world.carry(NMS, frame | {"eth_src": NMS_MAC})
