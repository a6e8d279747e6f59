"""Appliances in evbridge.yaml: read, written, and each mistake at its place."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from ryu_apps.evb.config import load_config
from ryu_apps.evb.config.writing import dump_config
from ryu_apps.evb.topology.appliance import MOST_APPLIANCES, Appliance, ApplianceInstance, Probing
from ryu_apps.evb.topology.appliance_ports import parts_at_hosts
from ryu_apps.evb.topology.numbering import numbers_of

GOOD = """\
version: 1
appliances:
  fw:
    vlan: 100
    passed: 3000
    instances:
      a: {inside: 3001, outside: 3002}
      b: {inside: 3003, outside: 3004}
  gateway:
    vlan: 200
    instances:
      one: {mac: "52:54:00:aa:00:51", address: 10.0.200.1}
    probe: {interval: 0.5, missed: 4}
dps:
  s1:
    dp_id: 0x1
    interfaces:
      1: {name: hv1, role: station, native_vlan: 100}
      2: {name: nms, role: host, native_vlan: 7, tagged_vlans: [8], macs: ["52:54:00:00:64:01"]}
"""
GATE = ApplianceInstance("one", mac=0x525400AA0051, address=IPv4Address("10.0.200.1"))
FW, GATEWAY = numbers_of(("fw", "gateway"), MOST_APPLIANCES).values()
BALANCER = """\
load_balancers:
  web:
    vlan: 100
    mac: "02:00:00:00:64:c8"
    addresses: [10.0.0.1]
    port: 80
    backends: {one: {mac: "52:54:00:aa:00:01", addresses: [10.0.0.2]}}
"""


def test_appliances_are_read_and_written() -> None:
    config, found = load_config("evbridge.yaml", GOOD)
    assert config is not None and found == []
    assert config.fabric.appliances == (
        Appliance(FW, "fw", 100, (ApplianceInstance("a", 3001, 3002), ApplianceInstance("b", 3003, 3004)), 3000),
        Appliance(GATEWAY, "gateway", 200, (GATE,), probing=Probing(0.5, 4)),
    )
    assert config.fabric.appliance("fw", 100) is config.fabric.appliances[0]
    assert config.fabric.appliance("fw", 200) is None
    assert load_config("again.yaml", dump_config(config)) == (config, [])


def test_an_appliance_keeps_its_number_when_others_come() -> None:
    """Else a switch would lead its traffic by the groups of another one while it is given new rules."""
    many = numbers_of((f"name {number}" for number in range(500)), MOST_APPLIANCES)
    assert len(set(many.values())) == 500 and min(many.values()) >= 1 and max(many.values()) <= MOST_APPLIANCES
    kept = numbers_of(("fw", "a", "gateway", "z"), MOST_APPLIANCES)
    assert (kept["fw"], kept["gateway"]) == (FW, GATEWAY)


@pytest.mark.parametrize(
    ("before", "after", "line", "reason"),
    [
        ("    passed: 3000\n", "", 4, "passed was expected: the VLAN of frames that have passed"),
        ("passed: 3000", "passed: 100", 5, "VLAN 100 is that of the clients"),
        ("passed: 3000", "passed: 200", 5, "VLAN 200 is that of clients of gateway"),
        ("passed: 3000", "passed: 8", 5, "VLAN 8 is in use at port 2 of s1"),
        ("inside: 3003", "inside: 3002", 8, "VLAN 3002 is given twice"),
        ("{inside: 3003, outside: 3004}", '{mac: "52:54:00:aa:00:52"}', 7, "instances are all routers, or none is"),
        ("vlan: 200\n", "vlan: 200\n    passed: 3005\n", 11, "routers need no VLAN for what has passed"),
        (", address: 10.0.200.1", "", 12, "address was expected: a router that is probed is asked for it"),
        ("outside: 3004", "outside: 3004, address: 10.0.0.1", 8, "address belongs to mac"),
        (", outside: 3004", "", 8, "either inside and outside were expected, or mac"),
        (
            "outside: 3004",
            'outside: 3004, mac: "52:54:00:aa:00:52"',
            8,
            "either inside and outside were expected, or mac",
        ),
        (
            "address: 10.0.200.1}\n",
            'address: 10.0.200.1}\n      two: {mac: "52:54:00:aa:00:51", address: 10.0.200.2}\n',
            13,
            "52:54:00:aa:00:51 is that of one",
        ),
        (
            "dps:\n",
            BALANCER + "dps:\n",
            4,
            "VLAN 100 has a load balancer, so no traffic in it can be led",
        ),
        ("dp_id: 0x1\n", "dp_id: 0x1\n    profile: openflow13\n", 17, "appliances need the extensions of Open vSwitch"),
    ],
)
def test_a_mistake_is_shown_at_its_place(before: str, after: str, line: int, reason: str) -> None:
    assert GOOD.count(before) == 1
    config, found = load_config("evbridge.yaml", GOOD.replace(before, after))
    assert config is None
    assert any(reason in diagnostic.reason and diagnostic.line == line for diagnostic in found), found


@pytest.mark.parametrize("vlans", ["native_vlan: 3000", "tagged_vlans: [100, 3002]"])
def test_other_pods_cannot_send_in_the_vlan_of_a_leg_or_of_what_has_passed(vlans: str) -> None:
    port = f"      3: {{name: core, role: pod, {vlans}}}\n"
    _, (found,) = load_config("evbridge.yaml", GOOD + port)
    assert "is in use at port 3 of s1" in found.reason


def test_a_mirror_cannot_have_the_vlan_of_a_leg() -> None:
    port = "      3: {name: ids, role: mirror, remote_vlan: 3001}\n"
    _, (found,) = load_config("evbridge.yaml", GOOD + port)
    assert found.reason == "VID 3001 is that of appliance 'fw'"


# --- at host ports --------------------------------------------------------------------------------
LEG_PORTS = """\
      3: {name: wire, role: host, tagged_vlans: [3001, 3002]}
      4: {name: in, role: host, native_vlan: 3003}
      5: {name: out, role: host, native_vlan: 3004}
      6: {name: gate, role: host, native_vlan: 200, macs: ["52:54:00:aa:00:51"]}
"""


def test_host_ports_with_the_vlans_of_legs_or_the_address_of_a_router_are_the_appliance() -> None:
    config, found = load_config("evbridge.yaml", GOOD + LEG_PORTS)
    assert config is not None and found == []
    fw, gateway = (parts_at_hosts(config.fabric, appliance) for appliance in config.fabric.appliances)
    assert {part: port.port_no for part, port in fw.items()} == {
        ("a", 3001): 3,
        ("a", 3002): 3,
        ("b", 3003): 4,
        ("b", 3004): 5,
    }
    assert {part: port.port_no for part, port in gateway.items()} == {("one", 200): 6}
    assert load_config("again.yaml", dump_config(config)) == (config, [])


@pytest.mark.parametrize(
    ("before", "after", "reason"),
    [
        ("[3001, 3002]", "[3001]", "one leg is at a host port, and VLAN 3002 of the other one is at none"),
        ("native_vlan: 3004", "native_vlan: 3004, tagged_vlans: [3001]", "VLAN 3001 is at port 3 of s1 and at port 5"),
        ("native_vlan: 200", "native_vlan: 201", "port 6 of s1, where this address is, has no VLAN 200"),
        ("[3001, 3002]", "[3001, 3002, 9]", "macs were expected: only VLANs that are legs"),
        ("native_vlan: 3003", "native_vlan: 3003, appliance: tcp_proxy", "macs were expected"),
        ("native_vlan: 3004", "native_vlan: 3004, tagged_vlans: [3000]", "VLAN 3000 is in use at port 5 of s1"),
    ],
)
def test_a_host_port_that_is_half_an_appliance_is_a_mistake(before: str, after: str, reason: str) -> None:
    assert LEG_PORTS.count(before) == 1
    config, found = load_config("evbridge.yaml", GOOD + LEG_PORTS.replace(before, after))
    assert config is None and any(reason in diagnostic.reason for diagnostic in found), found
