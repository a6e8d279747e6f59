"""Counting of frames that other services redirect, copy, punt or deny."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

import pytest

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.vsi.statistics.totals import CounterValue
from ryu_apps.evb.wire.membership import group_mac
from tests.worlds.bridge import CLIENT, CLIENT_MAC, HV1, HV2, HV3, NMS, NMS_MAC, S1, S2, VLAN, PortId, Vm, two_switches
from tests.worlds.counting import BROADCAST, FROM, TO, CountingWorld, udp
from tests.worlds.multicast import join
from tests.worlds.simulated_tcp import ACK, SYN, Segment

PROXY, PROXY_MAC = PortId(S1, 4), 0x020000000A01
G, FIXED = IPv4Address("239.1.1.1"), IPv4Address("239.9.9.9")

IN_ALL, BY_RULE, WALLED = (VsiTypeKey(number, 1) for number in (50, 51, 52))
_OPEN = "from_vm: {default: allow}\nto_vm: {default: allow}\n"
_GROUPS = "multicast: {groups: [239.9.9.9]}\n"
_TEXTS = {
    IN_ALL: f"{_OPEN}statistics: {{}}\n{_GROUPS}tcp_proxy: {{ports: [80]}}\n",
    BY_RULE: f"{_OPEN}statistics: {{per_rule: true}}\n{_GROUPS}tcp_proxy: {{ports: [80]}}\n",
    WALLED: (
        "statistics: {}\nfirewall:\n  from_vm: {rules: [rule: {udp_dst: 53, actions: {allow: 1}}]}\n"
        "  to_vm: {default: deny}\n"
    ),
}
BOTH = pytest.mark.parametrize("key", [IN_ALL, BY_RULE])


def policies() -> PolicySet:
    def text(key: VsiTypeKey) -> str:
        return f"version: 1\nvsi_type: {{type_id: {key.type_id}, version: {key.version}, name: some}}\n{_TEXTS[key]}"

    found, mistakes = load_policies([(f"{key.type_id}.yaml", text(key)) for key in _TEXTS], SECTIONS)
    assert found is not None, mistakes
    return found


def cluster() -> Fabric:
    """The cluster of the tests and a proxy at each switch."""
    fabric = two_switches()
    made = {}
    for dpid, switch in fabric.switches.items():
        proxy = Interface(4, f"proxy{dpid}", Role.HOST, VLAN, macs=(PROXY_MAC + dpid - S1,), appliance="tcp_proxy")
        made[dpid] = replace(switch, interfaces={**switch.interfaces, 4: proxy})
    return Fabric(made)


@pytest.fixture
def world() -> CountingWorld:
    world = CountingWorld(cluster(), policies())
    world.connect(S1, S2)
    return world


def active(world: CountingWorld, number: int, key: VsiTypeKey, port: PortId) -> Vm:
    vm = Vm(number, type=key)
    world.interface(vm)
    world.move(vm, port)
    return vm


def exact(world: CountingWorld, *vms: Vm) -> None:
    world.read()
    for vm in vms:
        assert world.totals(vm) == (world.interface(vm).tx, world.interface(vm).rx)


def segment(vm: Vm, flags: int = SYN) -> Segment:
    return Segment(CLIENT_MAC, vm.mac, ("192.0.2.7", 40000), (str(vm.address), 80), flags)


# --- proxies --------------------------------------------------------------------------------------
@BOTH
@pytest.mark.parametrize("port", [HV1, HV3])
def test_what_a_redirect_takes_away_the_vm_has_not_got(world: CountingWorld, key: VsiTypeKey, port: PortId) -> None:
    vm = active(world, 1, key, port)
    for flags in (SYN, ACK, ACK):
        assert world.host_sends(CLIENT, segment(vm, flags).fields) == 1
    world.read()
    assert world.account(vm).total(TO) == CounterValue()


@BOTH
def test_what_comes_from_a_proxy_and_what_answers_it_is_counted_once(world: CountingWorld, key: VsiTypeKey) -> None:
    vm = active(world, 1, key, HV1)
    world.host_sends(CLIENT, segment(vm).fields)
    opening = replace(segment(vm), eth_src=PROXY_MAC)
    answer = replace(opening.answered(vm.mac, SYN | ACK), eth_dst=CLIENT_MAC)
    assert world.host_sends(PROXY, opening.fields, 70) == 1
    assert world.vm_sends(vm, HV1, answer.fields, 80) == 1
    assert world.host_sends(PROXY, opening.flagged(ACK).fields, 90) == 1
    assert (world.interface(vm).tx, world.interface(vm).rx) == (CounterValue(1, 80), CounterValue(2, 160))
    exact(world, vm)


def test_what_belongs_to_no_connection_is_counted_for_nobody(world: CountingWorld) -> None:
    vm = active(world, 1, IN_ALL, HV1)
    assert world.host_sends(CLIENT, segment(vm, ACK).fields) == 0
    assert world.vm_sends(vm, HV1, segment(vm).answered(vm.mac, ACK).fields) == 0
    world.read()
    assert (world.account(vm).total(FROM), world.account(vm).total(TO)) == (CounterValue(), CounterValue())


# --- groups ---------------------------------------------------------------------------------------
def datagram(src: int, group: IPv4Address, src_ip: int = 0) -> dict[str, int]:
    return udp(src, group_mac(group), 5004, int(group), src_ip)


@BOTH
def test_each_copy_for_a_member_is_counted_for_that_member(world: CountingWorld, key: VsiTypeKey) -> None:
    first, second, third = (active(world, number, key, port) for number, port in ((1, HV1), (2, HV2), (3, HV3)))
    world.host_sends(CLIENT, datagram(CLIENT_MAC, FIXED), 100, times=3)
    world.vm_sends(first, HV1, datagram(first.mac, FIXED, int(first.address)), 90)
    assert world.interface(first).rx == CounterValue(3, 300)
    assert world.interface(second).rx == world.interface(third).rx == CounterValue(4, 390)
    exact(world, first, second, third)


@BOTH
def test_a_group_that_a_vm_has_not_joined_is_not_counted_for_it(world: CountingWorld, key: VsiTypeKey) -> None:
    vm = active(world, 1, key, HV1)
    world.host_sends(CLIENT, datagram(CLIENT_MAC, G))
    exact(world, vm)
    assert world.account(vm).total(TO) == CounterValue()


@BOTH
@pytest.mark.parametrize("version", [4, 6])
def test_a_report_is_counted_as_the_vm_has_sent_it(world: CountingWorld, key: VsiTypeKey, version: int) -> None:
    """The copy for the controller has a tag, and what is counted after it would have one too."""
    vm = active(world, 1, key, HV1)
    if version == 4:
        ip = {"eth_type": 0x0800, "ip_proto": 2, "ipv4_src": int(vm.address), "ipv4_dst": int(G)}
    else:
        ip = {
            "eth_type": 0x86DD,
            "ip_proto": 58,
            "icmpv6_type": 143,
            "ipv6_src": 0xFE80 << 112 | 1 << 32,
            "ipv6_dst": 0xFF02 << 112,
        }
    mac = group_mac(G) if version == 4 else 0x333300000016
    world.vm_sends(vm, HV1, {"eth_src": vm.mac, "eth_dst": mac, "vlan_vid": 0, **ip}, 64, times=2)
    exact(world, vm)
    assert {count.number for count in world.account(vm).counts} == {0}


def test_a_query_of_a_vm_is_no_frame_that_it_may_send(world: CountingWorld) -> None:
    vm = active(world, 1, IN_ALL, HV1)
    query = {"eth_type": 0x0800, "ip_proto": 2, "ipv4_src": int(vm.address), "ipv4_dst": 0xE0000001}
    world.vm_sends(vm, HV1, {"eth_src": vm.mac, "eth_dst": 0x01005E000001, "vlan_vid": 0, **query})
    world.read()
    assert world.account(vm).total(FROM) == CounterValue()


# --- firewall, announcements --------------------------------------------------------------------------
def test_what_a_firewall_turns_away_was_neither_sent_nor_given(world: CountingWorld) -> None:
    vm = active(world, 1, WALLED, HV1)
    own, host = int(vm.address), int(IPv4Address("192.0.2.9"))
    assert world.host_sends(NMS, udp(NMS_MAC, vm.mac, 443, own, host)) == 0
    assert world.vm_sends(vm, HV1, udp(vm.mac, NMS_MAC, 443, host, own)) == 0
    assert world.vm_sends(vm, HV1, udp(vm.mac, NMS_MAC, 53, host, own), 100) == 1
    answer = {**udp(NMS_MAC, vm.mac, 5000, own, host), "udp_src": 53}
    assert world.host_sends(NMS, answer, 200) == 1
    world.read()
    assert (world.account(vm).total(FROM), world.account(vm).total(TO)) == (CounterValue(1, 100), CounterValue(1, 200))


@BOTH
def test_an_announcement_past_all_services_is_counted(world: CountingWorld, key: VsiTypeKey) -> None:
    vm = active(world, 1, key, HV1)
    rarp = {"eth_src": vm.mac, "eth_dst": BROADCAST, "eth_type": 0x8035, "vlan_vid": 0}
    world.vm_sends(vm, HV1, rarp)
    assert world.interface(vm).tx.packets == 1
    exact(world, vm)


# --- together on the move, and in another life --------------------------------------------------------
@BOTH
def test_totals_and_groups_outlive_the_controller_together(world: CountingWorld, key: VsiTypeKey) -> None:
    vm = active(world, 1, key, HV1)
    join(world, HV1, vm, G)
    world.host_sends(CLIENT, datagram(CLIENT_MAC, G), 100)
    world.read()
    world.restart_controller()
    world.connect()
    vsi = world.engine.registry.named(vm.text)
    assert vsi is not None and G in {subscription.group for subscription in world.engine.snooper.subscriptions(vsi)}
    world.host_sends(CLIENT, datagram(CLIENT_MAC, G), 100)
    assert world.interface(vm).rx == CounterValue(2, 200)
    world.read()
    assert world.account(vm).total(TO) == CounterValue(2, 200)


@BOTH
@pytest.mark.parametrize("target", [HV2, HV3])
def test_a_stream_is_counted_on_at_the_destination(world: CountingWorld, key: VsiTypeKey, target: PortId) -> None:
    vm = active(world, 1, key, HV1)
    join(world, HV1, vm, G)
    world.host_sends(CLIENT, datagram(CLIENT_MAC, G), 100, times=3)
    world.move(vm, target)
    world.host_sends(CLIENT, datagram(CLIENT_MAC, G), 100, times=4)
    world.read()
    assert world.account(vm).total(TO) == world.interface(vm).rx == CounterValue(7, 700)
