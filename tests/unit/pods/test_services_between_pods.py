"""State of each service goes from pod to pod, and frames follow a VM that has left."""

from __future__ import annotations

from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Address, ip_address
from typing import Any

import msgpack
import pytest

from ryu_apps.evb.event_catalogue.vsis import StateLost
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import CookieKind, Direction, Table, owned_by
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.services.multicast.schema import MulticastPolicy
from ryu_apps.evb.topology.balancer import Backend, LoadBalancer, TransportProtocol
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.statistics.totals import CounterValue
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, NMS, NMS_MAC, S1, S2, VLAN, Vm, two_switches
from tests.worlds.learnt import learn
from tests.worlds.multicast import join, receivers
from tests.worlds.pods import PodWorld, two_pods

RR, ASSOCIATE, GONE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
#: Towards the other pod.
BORDER = PortId(S2, 70)
_OPEN = "from_vm: {default: allow}\nto_vm: {default: allow}\n"
FIREWALL, PROXY, BALANCER, MULTICAST, STATISTICS = (VsiTypeKey(number, 1) for number in range(20, 25))
TEXTS = {
    FIREWALL: "firewall: {from_vm: {default: allow}, to_vm: {default: deny}}",
    PROXY: _OPEN + "tcp_proxy: {ports: [80]}",
    BALANCER: _OPEN + "load_balancer: {}",
    MULTICAST: _OPEN + "multicast: {}",
    STATISTICS: _OPEN + "statistics: {}",
}
LEARNED = {FIREWALL: Table.CONNECTIONS, PROXY: Table.PROXY_PINS, BALANCER: Table.BALANCER_PINS}
GROUP = IPv4Address("239.1.1.1")


def policies() -> PolicySet:
    head = "version: 1\nvsi_type: {{type_id: {}, version: 1, name: moving}}\n"
    texts = [(f"{key.type_id}.yaml", head.format(key.type_id) + text + "\n") for key, text in TEXTS.items()]
    found, mistakes = load_policies(texts, SECTIONS)
    assert found is not None, mistakes
    return found


def fabric() -> Fabric:
    """Two switches with a proxy, a load balancer, and a port towards the other pod."""
    switches = dict(two_switches().switches)
    proxy = Interface(4, "proxy", Role.HOST, VLAN, macs=(0x020000000A01,), appliance="tcp_proxy")
    border = Interface(BORDER.port_no, "to-b", Role.HOST, VLAN, uplink=True)
    for dpid, port in ((S1, proxy), (S2, border)):
        switches[dpid] = replace(switches[dpid], interfaces={**switches[dpid].interfaces, port.port_no: port})
    backends = (Backend("w1", Vm(11).mac, (ip_address("10.0.100.11"),), 80, 1),)
    virtual = (ip_address("10.0.100.200"),)
    web = LoadBalancer(1, "web", VLAN, 0x0200000064C8, virtual, TransportProtocol.TCP, 80, backends)
    return Fabric(switches, (web,))


@pytest.fixture
def pods() -> tuple[PodWorld, PodWorld]:
    _, a, b = two_pods(policies=policies(), fabric=fabric())
    return a, b


def admit(world: PodWorld, vm: Vm) -> None:
    world.ask(HV1, vm, RR)
    world.ask(HV1, vm, ASSOCIATE)
    assert world.answer(HV1).success and world.has_gate(vm)


def learned(world: PodWorld, vm: Vm, table: Table) -> set[int]:
    """Client ports of the rules that a switch of a pod has learned for a VM."""
    vsi = world.engine.registry.vsi(vm.vsi_id)
    assert vsi is not None
    program = vsi.attachments[HV1].holding.program
    assert program is not None
    mine = owned_by(CookieKind.STATE, program.binding.vsi_index, program.binding.generation)
    rules = world.rules(HV1.dpid, CookieKind.STATE).values()
    found = (field for rule in rules if rule.table == table and mine.covers(rule.cookie) for field in rule.match)
    return {field.value for field in found if field.name == "tcp_src"}


@pytest.mark.parametrize("key", LEARNED)
def test_learned_rules_of_each_service_go_along(pods: tuple[PodWorld, PodWorld], key: VsiTypeKey) -> None:
    (a, b), vm, table = pods, Vm(3, key), LEARNED[key]
    admit(a, vm)
    learn(a, vm, 1001, 1002, idle=300, table=table)
    b.ask(HV1, vm, RR)
    assert learned(b, vm, table) == {1001, 1002}
    learn(a, vm, 1003, idle=300, table=table)
    b.ask(HV1, vm, ASSOCIATE)
    assert b.has_gate(vm) and learned(b, vm, table) == {1001, 1002, 1003}


def test_groups_go_along(pods: tuple[PodWorld, PodWorld]) -> None:
    (a, b), vm = pods, Vm(4, MULTICAST)
    admit(a, vm)
    join(a, HV1, vm, GROUP)
    b.ask(HV1, vm, RR)
    assert vms(b) == []
    b.ask(HV1, vm, ASSOCIATE)
    assert vms(b) == [4]
    a.advance(0.1)
    assert vms(a) == []


def vms(world: PodWorld) -> list[int]:
    """VMs of a pod that get what is sent to the group there; 0 stands for ports of hosts."""
    return [number for number in receivers(world, GROUP, port=NMS) if number]


def test_totals_go_along(pods: tuple[PodWorld, PodWorld]) -> None:
    (a, b), vm = pods, Vm(5, STATISTICS)
    admit(a, vm)
    sent, received = CounterValue(7, 700), CounterValue(9, 900)
    counters = a.engine.lifecycle.counters
    counters.populate(a.engine.registry.named(vm.text), {Direction.FROM_VM: sent, Direction.TO_VM: received})
    admit(b, vm)
    account = b.engine.lifecycle.counters.accounts.of(vm.text)[-1]
    assert [account.total(way) for way in (Direction.FROM_VM, Direction.TO_VM)] == [sent, received]


#: Rules that no switch learns: for all of the VM's traffic, for a port of another service, without an end.
STRANGE: dict[str, Callable[[dict[str, Any]], object]] = {
    "one end is open": lambda rule: rule["match"].pop("ipv4_src"),
    "both ends are masked": lambda rule: rule["match"].update(ipv4_src=["0x0", "0x0"], ipv4_dst=["0x0", "0x0"]),
    "another priority": lambda rule: rule.update(priority=60_000),
    "it does not end": lambda rule: rule.update(idle_timeout=0, hard_timeout=0),
    "it writes more": lambda rule: rule["actions"].append(["load", "reg9", 0, 32, "0x1"]),
    "it writes nothing": lambda rule: rule["actions"].clear(),
}


@pytest.mark.parametrize("gate", ["shut", "open"])
@pytest.mark.parametrize("change", STRANGE)
@pytest.mark.parametrize("key", LEARNED)
def test_rules_that_no_switch_learns_do_not_go_along(
    pods: tuple[PodWorld, PodWorld], key: VsiTypeKey, change: str, gate: str
) -> None:
    (a, b), vm, table = pods, Vm(3, key), LEARNED[key]

    def spoil(state: dict[str, Any]) -> None:
        for rule in state["rules"]:
            if rule["match"]["tcp_src"] == "0x3e9":
                STRANGE[change](rule)

    a.spoil = spoil
    admit(a, vm)
    learn(a, vm, *((1001, 1002) if gate == "shut" else ()), idle=300, table=table)
    b.ask(HV1, vm, RR)
    learn(a, vm, 1001, 1002, idle=300, table=table)
    b.ask(HV1, vm, ASSOCIATE)
    assert b.has_gate(vm) and learned(b, vm, table) == {1002}
    lost = [event.reason for event in b.happened if isinstance(event, StateLost)]
    assert lost and set(lost) == {f"1 rules that no switch learns for VSI type {key}"}


#: Groups that no report of the VM would join: not of its type, of another VM, for routers, sources of another family.
OTHER_GROUP, OTHERS = IPv4Address("239.9.9.9"), IPv4Address("224.0.0.5")
FOREIGN: dict[str, list[Any]] = {
    "of another VM": [[VLAN, Vm(9).mac, OTHER_GROUP.packed, 3, True, []]],
    "for routers": [[VLAN, Vm(4).mac, OTHERS.packed, 3, True, []]],
    "no group": [[VLAN, Vm(4).mac, IPv4Address("10.0.0.1").packed, 3, True, []]],
    "sources of IPv6": [[VLAN, Vm(4).mac, OTHER_GROUP.packed, 3, False, [bytes(15) + b"1"]]],
    "damaged": [[VLAN, Vm(9).mac, OTHER_GROUP.packed, 3, True, []], [7]],
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_groups_that_no_report_of_the_vm_would_join_do_not_go_along(pods: tuple[PodWorld, PodWorld], kind: str) -> None:
    (a, b), vm = pods, Vm(4, MULTICAST)
    admit(a, vm)
    join(a, HV1, vm, GROUP)
    a.spoil = lambda state: state.update(memberships=spoilt(state["memberships"], FOREIGN[kind]))
    admit(b, vm)
    vsi = b.engine.registry.vsi(vm.vsi_id)
    assert vsi is not None
    assert [group for _, group in vsi.listener.memberships] == ([] if kind == "damaged" else [GROUP])


def test_no_more_groups_go_along_than_the_type_admits(pods: tuple[PodWorld, PodWorld]) -> None:
    (a, b), vm = pods, Vm(4, MULTICAST)
    admit(a, vm)
    join(a, HV1, vm, GROUP)
    many = [[VLAN, vm.mac, IPv4Address(f"239.2.0.{number}").packed, 3, True, []] for number in range(200)]
    a.spoil = lambda state: state.update(memberships=spoilt(state["memberships"], many))
    admit(b, vm)
    vsi = b.engine.registry.vsi(vm.vsi_id)
    policy = b.policies.types[MULTICAST].service("multicast")
    assert vsi is not None and isinstance(policy, MulticastPolicy)
    assert len(vsi.listener.memberships) == policy.max_groups < len(many)


def spoilt(written: str, more: list[Any]) -> str:
    """Memberships of a document with some more."""
    return b64encode(msgpack.packb([*msgpack.unpackb(b64decode(written)), *more])).decode("ascii")


@pytest.mark.parametrize(("seconds", "known"), [(50, {1001, 1002}), (70, {1001})])
def test_state_of_a_vm_that_has_left_is_kept_for_a_minute(
    pods: tuple[PodWorld, PodWorld], seconds: int, known: set[int]
) -> None:
    (a, b), vm = pods, Vm(3, FIREWALL)
    admit(a, vm)
    learn(a, vm, 1001, idle=300)
    b.ask(HV1, vm, RR)
    learn(a, vm, 1002, idle=300)
    a.ask(HV1, vm, GONE)
    for _ in range(seconds):
        a.advance(1.0)
        b.advance(1.0)
        b.ask(HV1, vm, RR)
    b.ask(HV1, vm, ASSOCIATE)
    assert learned(b, vm, Table.CONNECTIONS) == known


def test_frames_for_a_vm_that_has_gone_to_another_pod_follow_it_and_none_goes_back(
    pods: tuple[PodWorld, PodWorld],
) -> None:
    (a, b), vm = pods, Vm(6, FIREWALL)

    def arrivals(port: PortId, source: int) -> list[PortId]:
        frame = {"eth_src": source, "eth_dst": vm.mac, "eth_type": 0x88B5, "vlan_vid": 0}
        return [arrival.port for arrival in a.carry(port, frame)]

    assert arrivals(NMS, NMS_MAC) == [BORDER]
    admit(a, vm)
    assert BORDER not in arrivals(NMS, NMS_MAC)
    admit(b, vm)
    assert arrivals(NMS, NMS_MAC) == [BORDER]
    assert arrivals(BORDER, 0x020000009999) == []
