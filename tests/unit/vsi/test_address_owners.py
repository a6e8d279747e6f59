"""MAC addresses, IP addresses and VLANs that a VSI may have, and their owners after a move."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network, IPv6Network, ip_address

import pytest

from ryu_apps.evb.config import load_config
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.ports.bridge_port import bridge_mac
from ryu_apps.evb.services.anti_spoofing import Rung
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.filter_info import FilterInfo, MacVid
from ryu_apps.evb.wire.mac import mac_from_text
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.unit.services.test_load_balancer import balancer
from tests.worlds.bridge import (
    HV1,
    HV2,
    HV3,
    NMS,
    NMS_MAC,
    S1,
    S2,
    VLAN,
    Address,
    Vm,
    World,
    open_type,
    two_switches,
    with_vlans,
)
from tests.worlds.bridge import OPEN as PLAIN

ASSOCIATE, RR = VdpMode.ASSOCIATE, VdpMode.PREASSOCIATE_RR
OTHER_VLAN = 200
GATEWAY = ip_address("10.0.100.254")
NARROW = PLAIN._replace(type_id=5)
NETWORKS = (IPv4Network("10.0.100.0/24"), IPv6Network("fd00:100::/64"))
POLICIES = PolicySet({PLAIN: open_type(PLAIN), NARROW: replace(open_type(NARROW), addresses=NETWORKS)})
VM, OTHER = Vm(7), Vm(8)


def fabric() -> Fabric:
    """The usual one with a second VLAN, a load balancer, and a gateway whose address is configured."""
    usual = with_vlans(two_switches(), OTHER_VLAN)
    switch = usual.switches[S1]
    nms = replace(switch.interfaces[NMS.port_no], addresses=(GATEWAY,))
    changed = replace(switch, interfaces={**switch.interfaces, NMS.port_no: nms})
    return Fabric({**usual.switches, S1: changed}, (balancer(),))


@pytest.fixture
def world() -> World:
    world = World(fabric(), POLICIES)
    world.connect()
    return world


def tell(world: World, port: PortId, vm: Vm, *addresses: str | Address, mode: VdpMode = ASSOCIATE) -> VdpError:
    """A request that tells addresses; the bridge's answer."""
    world.advance(0.01)
    world.send(port, vm.tlv(mode), None, *(ip_address(str(address)) for address in addresses))
    return world.answer(port).error


def refused(world: World) -> str:
    """Reason of the last refusal."""
    return str([event for event in world.happened if event.kind == "vdp.refused"][-1].detail["reason"])


def bound(world: World, vm: Vm) -> list[str]:
    """The IPv4 addresses that the switch of a VSI lets it use; none: it is not bound to any."""
    vsi = world.engine.registry.named(vm.text)
    assert vsi is not None and vsi.owner is not None
    rules = world.rules(vsi.owner.port.dpid, CookieKind.VSI_BODY).values()
    fields = [{field.name: field.value for field in rule.match} for rule in rules if rule.priority == Rung.VSI + 1]
    return sorted(str(ip_address(conditions["ipv4_src"])) for conditions in fields if "ipv4_src" in conditions)


# --- IP addresses that a station tells ------------------------------------------------------------
@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("8.8.8.8", "8.8.8.8 is none of the addresses of VSI type 5/1"),
        ("2001:db8::1", "2001:db8::1 is none of the addresses of VSI type 5/1"),
        ("10.0.100.254", "10.0.100.254 in VID 100 belongs to the end system nms"),
        ("10.0.100.200", "10.0.100.200 in VID 100 belongs to the load balancer web"),
        ("10.0.100.11", "10.0.100.11 in VID 100 belongs to the back end w1 of web"),
        ("224.0.0.5", "224.0.0.5 is not the address of a VM"),
        ("255.255.255.255", "255.255.255.255 is not the address of a VM"),
        ("0.0.0.0", "0.0.0.0 is not the address of a VM"),
        ("127.0.0.1", "127.0.0.1 is not the address of a VM"),
        ("ff02::1", "ff02::1 is not the address of a VM"),
    ],
)
def test_an_address_that_is_not_its_own_is_refused(world: World, address: str, reason: str) -> None:
    before = world.snapshot()
    assert tell(world, HV1, replace(VM, type=NARROW), "10.0.100.7", address) is VdpError.OTHER_FAILURE
    assert refused(world) == reason
    world.advance(5.0)
    assert world.snapshot() == before


def test_addresses_of_the_type_and_link_local_ones_are_granted(world: World) -> None:
    addresses = ("10.0.100.7", "fd00:100::7", "fe80::7")
    assert tell(world, HV1, replace(VM, type=NARROW), *addresses) is VdpError.SUCCESS


def test_a_type_without_addresses_leaves_them_to_the_station(world: World) -> None:
    assert tell(world, HV1, VM, "8.8.8.8") is VdpError.SUCCESS


@pytest.mark.parametrize("port", [HV1, HV2, HV3])
def test_an_address_is_one_vsis_in_a_vlan(world: World, port: PortId) -> None:
    assert tell(world, HV1, VM, "10.0.100.7") is VdpError.SUCCESS
    assert tell(world, port, OTHER, "10.0.100.7") is VdpError.OTHER_FAILURE
    assert refused(world) == f"10.0.100.7 in VID 100 belongs to {VM.text}"
    assert tell(world, port, replace(OTHER, vid=OTHER_VLAN), "10.0.100.7") is VdpError.SUCCESS


def test_an_address_is_free_when_its_vsi_is_gone(world: World) -> None:
    tell(world, HV1, VM, "10.0.100.7")
    tell(world, HV1, VM, mode=VdpMode.DEASSOCIATE)
    assert tell(world, HV3, OTHER, "10.0.100.7") is VdpError.SUCCESS


def test_an_address_that_was_refused_does_not_stay_with_the_vsi(world: World) -> None:
    narrow = replace(VM, type=NARROW)
    assert tell(world, HV1, narrow, "10.0.100.7") is VdpError.SUCCESS
    assert tell(world, HV1, narrow, "8.8.8.8") is VdpError.OTHER_FAILURE
    assert world.answer(HV1).keep and bound(world, narrow) == ["10.0.100.7"]
    assert tell(world, HV1, narrow, "10.0.100.9") is VdpError.SUCCESS
    assert bound(world, narrow) == ["10.0.100.7", "10.0.100.9"]
    assert tell(world, HV2, OTHER, "8.8.8.8") is VdpError.SUCCESS


# --- moves and restarts -----------------------------------------------------------------------------
@pytest.mark.parametrize("restart", [False, True], ids=["", "controller restarted"])
@pytest.mark.parametrize("steps", [(RR, ASSOCIATE), (VdpMode.PREASSOCIATE, ASSOCIATE)])
def test_addresses_go_with_the_vm_if_its_new_station_tells_none(
    world: World, steps: tuple[VdpMode, ...], restart: bool
) -> None:
    tell(world, HV1, VM, "10.0.100.7")
    for step in steps:
        assert tell(world, HV3, VM, mode=step) is VdpError.SUCCESS
        if restart:
            world.restart_controller()
    assert bound(world, VM) == ["10.0.100.7"]
    assert tell(world, HV2, OTHER, "10.0.100.7") is VdpError.OTHER_FAILURE
    assert tell(world, HV3, VM) is VdpError.SUCCESS and bound(world, VM) == ["10.0.100.7"]


@pytest.mark.parametrize("restart", [False, True], ids=["", "controller restarted"])
def test_what_the_new_station_tells_takes_the_place_of_what_the_old_one_told(world: World, restart: bool) -> None:
    tell(world, HV1, VM, "10.0.100.7")
    tell(world, HV3, VM, mode=RR)
    if restart:
        world.restart_controller()
    assert tell(world, HV3, VM, "10.0.100.9") is VdpError.SUCCESS
    assert bound(world, VM) == ["10.0.100.9"]


def test_addresses_go_on_over_several_moves_and_back(world: World) -> None:
    tell(world, HV1, VM, "10.0.100.7")
    for port in (HV3, HV2, HV1, HV3):
        world.advance(0.5)
        assert [tell(world, port, VM, mode=step) for step in (RR, ASSOCIATE)] == [VdpError.SUCCESS] * 2
        assert bound(world, VM) == ["10.0.100.7"]


# --- MAC addresses --------------------------------------------------------------------------------
@pytest.mark.parametrize("vid", [VLAN, OTHER_VLAN])
@pytest.mark.parametrize(
    ("mac", "owner"),
    [
        (NMS_MAC, "a configured end system"),
        (balancer().mac, "the load balancer web"),
        (bridge_mac(HV1), "a port of the bridge"),
        (bridge_mac(PortId(S2, 11)), "a port of the bridge"),
        (mac_from_text("00:00:5e:00:01:0a"), "virtual routers (VRRP)"),
        (mac_from_text("00:00:5e:00:02:ff"), "virtual routers (VRRP)"),
        (mac_from_text("00:00:0c:07:ac:01"), "virtual routers (HSRP)"),
        (mac_from_text("00:00:0c:9f:f1:23"), "virtual routers (HSRP)"),
        (mac_from_text("00:05:73:a0:00:01"), "virtual routers (HSRP)"),
        (mac_from_text("00:07:b4:00:01:02"), "virtual routers (GLBP)"),
        (mac_from_text("01:00:5e:00:00:01"), None),
        (mac_from_text("33:33:00:00:00:01"), None),
        (mac_from_text("ff:ff:ff:ff:ff:ff"), None),
        (0, None),
    ],
)
def test_a_mac_address_of_somebody_else_is_refused_in_every_vlan(
    world: World, mac: int, owner: str | None, vid: int
) -> None:
    tlv = replace(VM.tlv(ASSOCIATE), filter_info=FilterInfo.of(MacVid(vid=vid, mac=mac)))
    world.send(HV1, tlv)
    assert world.answer(HV1).error is VdpError.INVALID_VID_GROUP_MAC
    assert refused(world).endswith(f"belongs to {owner}" if owner else "is not the address of a station")


@pytest.mark.parametrize("mac", ["00:00:5e:00:03:01", "00:00:5e:00:00:01", "00:00:0c:9f:e0:01", "02:eb:00:09:00:01"])
def test_the_address_beside_them_is_free(world: World, mac: str) -> None:
    world.send(HV1, replace(VM.tlv(ASSOCIATE), filter_info=FilterInfo.of(MacVid(vid=VLAN, mac=mac_from_text(mac)))))
    assert world.answer(HV1).success


# --- VLANs ------------------------------------------------------------------------------------------
def test_a_port_with_a_native_vlan_alone_has_no_other() -> None:
    world = World()
    world.connect()
    assert tell(world, HV1, replace(VM, vid=OTHER_VLAN)) is VdpError.INVALID_VID_GROUP_MAC
    assert refused(world) == "VID 200 is not configured at port hv1"
    assert tell(world, HV1, VM) is VdpError.SUCCESS


# --- configuration --------------------------------------------------------------------------------
def test_addresses_of_end_systems_are_read() -> None:
    text = """version: 1
dps:
  s1:
    dp_id: 1
    interfaces:
      1: {name: gw, role: host, native_vlan: 100, macs: ['02:00:00:00:0f:01'], addresses: [10.0.0.1, 'fd00::1']}
"""
    config, found = load_config("e.yaml", text)
    assert config is not None and not found
    assert list(map(str, config.fabric.switches[1].interfaces[1].addresses)) == ["10.0.0.1", "fd00::1"]
