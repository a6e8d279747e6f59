"""Inventory files: what a good one says, and every mistake with its line and column."""

from __future__ import annotations

import pytest

from ryu_apps.evb.policy.diagnostic import Severity
from ryu_apps.vcm.inventory import Level, Occupancy, Size, natural
from ryu_apps.vcm.loader import Loaded, load_inventory

GOOD = """\
version: 1
name: small
switches:
  s1: {links: [s2]}
  s2: {}
nodes:
  hv1: {switch: s1, power: a, slots: 2, memory_mib: 4096}
  hv2: {switch: s2, slots: 2, memory_mib: 4096}
groups:
  web: {apart: [power]}
appliances:
  proxy: {switches: [s1, s2]}
vms:
  web1: {at: hv1, mac: "52:54:00:AA:00:01", addresses: [10.0.100.11], vlan: 100, type: 1, version: 2, memory_mib: 1024,
         group: web, needs: {proxy: local, fw: reachable}}
  fw: {at: hv2, mac: "52:54:00:aa:00:02", vlan: 100, type: 1, version: 1, memory_mib: 512}
cluster: {max_rules: {s2: 100}}
"""


def good() -> Loaded:
    loaded, found = load_inventory("good.yaml", GOOD)
    assert loaded is not None and found == []
    return loaded


def test_an_inventory_says_who_is_where_and_what_for() -> None:
    inventory = good().inventory
    web = inventory.vms["web1"]
    assert (web.at, web.size, web.group, web.reaches, web.local) == (
        "hv1",
        Size(1, 1024),
        "web",
        ("proxy", "fw"),
        ("proxy",),
    )
    assert (web.interface.mac, web.interface.addresses, web.interface.version) == (
        "52:54:00:aa:00:01",
        ("10.0.100.11",),
        2,
    )
    assert inventory.groups["web"].apart == {Level.POWER}
    assert inventory.hops()["s1"] == {"s1": 0, "s2": 1}
    assert inventory.hops(without=frozenset({"s2"})) == {"s1": {"s1": 0}, "s2": {}}


def test_end_systems_of_the_cluster_have_ipv4_addresses() -> None:
    text = GOOD.replace("{max_rules: {s2: 100}}", '{hosts: {client: "fd00::1", nms: 10.0.100.300}}')
    _, found = load_inventory("inventory.yaml", text)
    assert [str(mistake).split(": ", 1)[1] for mistake in found] == [
        "an IPv4 address was expected",
        "'10.0.100.300' does not appear to be an IPv4 or IPv6 address",
    ]


def test_a_vsi_is_always_the_same_and_never_that_of_another() -> None:
    first, again = good().inventory, good().inventory
    identities = [vm.interface.vsi for vm in first.vms.values()]
    assert identities == [vm.interface.vsi for vm in again.vms.values()]
    assert len(set(identities)) == 2


def test_a_vm_without_a_vid_is_in_a_vlan_of_its_type() -> None:
    text = GOOD.replace("vlan: 100, ", "")
    loaded, found = load_inventory("inventory.yaml", text)
    assert loaded is not None and found == []
    face = loaded.inventory.vms["web1"].interface
    assert (face.vlan, face.filter) == (None, "0-52:54:00:aa:00:01")
    assert good().inventory.vms["web1"].interface.filter == "100-52:54:00:aa:00:01"
    # Two types may be in two VLANs; one type is not.
    same = text.replace("aa:00:02", "aa:00:01")
    assert load_inventory("inventory.yaml", same)[1] == []
    _, found = load_inventory("inventory.yaml", same.replace("version: 2", "version: 1"))
    assert [str(mistake) for mistake in found] == ["inventory.yaml:16:22: 52:54:00:aa:00:01 is already the one of web1"]


def test_a_vm_with_a_group_id_is_in_the_vlan_of_its_group() -> None:
    text = GOOD.replace("vlan: 100, ", "group_id: 4096, ")
    loaded, found = load_inventory("inventory.yaml", text)
    assert loaded is not None and found == []
    face = loaded.inventory.vms["web1"].interface
    assert (face.filter, face.network) == ("0-52:54:00:aa:00:01-4096", "GroupID 4096")
    both, _ = load_inventory("inventory.yaml", GOOD.replace("vlan: 100, ", "vlan: 100, group_id: 4096, "))
    assert both is not None and both.inventory.vms["web1"].interface.filter == "100-52:54:00:aa:00:01-4096"
    # Whatever their types: one group is one VLAN.
    same = text.replace("aa:00:02", "aa:00:01")
    assert "52:54:00:aa:00:01 is already the one of web1" in str(load_inventory("inventory.yaml", same)[1][0])
    assert (
        load_inventory(
            "inventory.yaml", same.replace("group_id: 4096, type: 1, version: 1", "group_id: 5, type: 1, version: 1")
        )[1]
        == []
    )
    assert load_inventory("inventory.yaml", text.replace("4096", "4294967296"))[0] is None


def test_a_vm_that_moves_weighs_on_both_ends() -> None:
    inventory = good().inventory
    both = Occupancy(inventory).with_vm("web1", "hv1", "hv2")
    assert both.free("hv1") == Size(1, 3072)
    assert both.free("hv2") == Size(0, 2560)
    assert both.at("hv2") == ("fw", "web1")


def test_names_are_sorted_as_people_do() -> None:
    assert sorted(["hv10", "hv2", "a1b", "hv1"], key=natural) == ["a1b", "hv1", "hv2", "hv10"]


@pytest.mark.parametrize(
    ("old", "new", "place", "words"),
    [
        ("switch: s1, power", "switch: s9, power", (7, 17), "there is no switch 's9'"),
        ("links: [s2]", "links: [s7]", (4, 16), "there is no switch 's7'"),
        ("links: [s2]", "links: [s1]", (4, 16), "a link leads to another switch"),
        ("links: [s2]", "rack: s7", (4, 14), "there is no switch 's7'"),
        ("links: [s2]", "rack: s1", (4, 14), "s1 is the switch of a server, not of a rack"),
        ("switches: [s1, s2]", "switches: [s1, s3]", (12, 26), "there is no switch 's3'"),
        ("max_rules: {s2", "max_rules: {s4", (17, 23), "there is no switch 's4'"),
        ("at: hv2", "at: hv3", (16, 12), "there is no node 'hv3'"),
        ("group: web,", "group: wed,", (15, 17), "there is no group 'wed'"),
        ("fw: reachable", "fv: reachable", (15, 44), "there is no appliance and no VM 'fv'"),
        ("fw: reachable", "web1: reachable", (15, 44), "a VM does not need itself"),
        ("fw: reachable", "fw: local", (15, 48), "fw is a VM and may move: it can only be reachable"),
        ("  proxy: {switches", "  fw: {switches", (12, 3), "fw is a VM already"),
        ("  hv2: {switch: s2", "  s2: {switch: s2", (8, 3), "s2 is a switch already"),
        ("power: a", "power: hv2", (7, 28), "hv2 is a switch or a node already"),
        ("aa:00:02", "aa:00:01", (16, 22), "52:54:00:aa:00:01 is already the one of web1"),
        (
            "slots: 2, memory_mib: 4096}\n  hv2",
            "slots: 2, memory_mib: 1000}\n  hv2",
            (7, 3),
            "hv1 has 2 slots and 1000",
        ),
        ("memory_mib: 512", "memory_mb: 512", (16, 75), "did you mean 'memory_mib'?"),
        ("slots: 2, memory_mib: 4096}\ngroups", "slots: two, memory_mib: 4096}\ngroups", (8, 28), "not 'two'"),
        ("apart: [power]", "apart: [rack]", (10, 17), "rack"),
        ("memory_mib: 512", "memory_mib: 512, firewall: {tcp: [80]}", (16, 102), "no router of cluster.appliances has"),
        ("memory_mib: 512", "memory_mib: 512, firewall: {}", (16, 102), "a firewall that lets nothing through"),
        ("group: web,", "firewall: {udp: [53]}, group: web,", (15, 20), "no VM needs it"),
    ],
)
def test_a_mistake_is_told_with_its_place(old: str, new: str, place: tuple[int, int], words: str) -> None:
    assert old in GOOD
    loaded, found = load_inventory("bad.yaml", GOOD.replace(old, new))
    assert loaded is None
    assert any((mistake.line, mistake.column) == place and words in mistake.reason for mistake in found), list(
        map(str, found)
    )


def test_all_mistakes_are_told_at_once() -> None:
    text = (
        GOOD.replace("at: hv1", "at: hv8")
        .replace("at: hv2", "at: hv9")
        .replace("s1: {links: [s2]}", "s1: {links: [s8]}")
    )
    _, found = load_inventory("bad.yaml", text)
    assert [mistake.line for mistake in found] == [4, 14, 16]


def test_what_must_be_apart_and_is_not_is_told_but_no_mistake() -> None:
    text = GOOD.replace("memory_mib: 512}", "memory_mib: 512, group: web}").replace("at: hv2", "at: hv1")
    loaded, found = load_inventory("odd.yaml", text)
    assert loaded is not None
    assert {mistake.severity for mistake in found} == {Severity.WARNING}
    assert [mistake.reason for mistake in found] == [
        "shares power a with fw of its group",
        "shares power a with web1 of its group",
    ]


@pytest.mark.parametrize("text", ["", "[]", "version: 2", "vms: {a: &a {at: *a}}"])
def test_rubbish_is_refused_in_words(text: str) -> None:
    loaded, found = load_inventory("rubbish.yaml", text)
    assert loaded is None and found
