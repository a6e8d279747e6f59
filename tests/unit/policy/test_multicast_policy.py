"""The multicast section of a policy file: what it means, and every mistake at its line and column."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network

import pytest

from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet, Trigger, VsiType
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.services.multicast.schema import MulticastPolicy
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, Vm, World
from tests.worlds.multicast import OFF, G, join, receivers

HEAD = "version: 1\nvsi_type: {type_id: 7, version: 2, name: listener}\n"


def load(text: str) -> VsiType:
    policies, diagnostics = load_policies([("p.yaml", HEAD + text)], SECTIONS)
    assert policies is not None, diagnostics
    return next(iter(policies.types.values()))


def mistakes(text: str) -> list[str]:
    return [str(diagnostic) for diagnostic in load_policies([("p.yaml", HEAD + text)], SECTIONS)[1]]


def test_everything_arrives() -> None:
    lists = "groups: [239.1.1.1, 'ff0e::1'], filter: [239.0.0.0/8, 'ff0e::/16']"
    assert load(f"multicast: {{{lists}, max_groups: 3, trigger: single}}\n").service("multicast") == MulticastPolicy(
        (ip_address("239.1.1.1"), ip_address("ff0e::1")),
        (ip_network("239.0.0.0/8"), ip_network("ff0e::/16")),
        max_groups=3,
        trigger=Trigger.SINGLE,
    )


def test_an_empty_section_allows_every_group_and_none_is_not_snooped() -> None:
    usual = load("multicast: {}\n").service("multicast")
    assert usual == MulticastPolicy()
    assert usual.allows(ip_address("232.1.1.1")) and usual.allows(ip_address("ff05::2"))
    assert not load("multicast: {filter: []}\n").service("multicast").allows(ip_address("232.1.1.1"))
    assert load("").service("multicast") is None


def test_the_section_is_part_of_the_meaning() -> None:
    texts = ("", "multicast: {}\n", "multicast: {groups: [239.1.1.1]}\n", "multicast: {filter: []}\n")
    assert len({load(text).digest for text in texts}) == len(texts)


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("{groups: [10.0.0.1]}", "3:22: 10.0.0.1 is not a multicast address"),
        ("{groups: [239.1.1.1, 'fe80::1']}", "3:33: fe80::1 is not a multicast address"),
        (
            "{groups: [224.0.0.251]}",
            "3:22: 224.0.0.251 is a group of the link itself, which every VM receives without joining",
        ),
        ("{groups: [239.1.1.1], filter: [239.2.0.0/16]}", "3:22: 239.1.1.1 is outside the filter"),
        ("{groups: [239.1.1.1, 239.1.1.2, 239.1.1.3], max_groups: 2}", "3:13: 3 groups, max_groups is 2"),
        ("{groups: [239.1.1.1, 239.1.1.1]}", "3:33: 239.1.1.1 is given twice"),
        ("{filter: [239.0.0.0/8, 10.0.0.0/8]}", "3:35: 10.0.0.0/8 is not a network of multicast addresses"),
        ("{filter: [0.0.0.0/0]}", "3:22: 0.0.0.0/0 is not a network of multicast addresses"),
        ("{max_groups: 0}", "3:25: input should be greater than or equal to 1, not 0"),
        ("{group: []}", "3:13: key 'group' does not belong here"),
    ],
)
def test_mistakes(section: str, expected: str) -> None:
    assert mistakes(f"multicast: {section}\n") == [f"p.yaml:{expected}"]


@pytest.mark.parametrize(
    "rest",
    [
        "from_vm: {default: deny}\nto_vm: {rules: [{rule: {udp_dst: 2, actions: {allow: 1}}}]}\n",
        "firewall: {from_vm: {default: deny}, to_vm: {rules: [{rule: {udp_dst: 2, actions: {allow: 1}}}]}}\n",
    ],
    ids=["ACL", "firewall"],
)
def test_reports_pass_a_policy_that_denies_everything_and_the_stream_what_it_allows(rest: str) -> None:
    vsi_type = load("multicast: {}\n" + rest)
    listener = Vm(1, vsi_type.key)
    world = World(policies=PolicySet({vsi_type.key: vsi_type}), snooping=OFF)
    world.connect()
    world.ask(HV1, listener, VdpMode.ASSOCIATE)
    assert join(world, HV1, listener, G)
    assert receivers(world, G) == [0, 1]
    assert receivers(world, G + 1) == [0]


def test_a_policy_that_denies_reports_keeps_the_vm_from_joining() -> None:
    denied = "from_vm: {default: allow, rules: [{rule: {eth_type: ipv4, ip_proto: igmp, actions: {allow: 0}}}]}\n"
    vsi_type = replace(load("multicast: {}\n" + denied))
    listener = Vm(1, vsi_type.key)
    world = World(policies=PolicySet({vsi_type.key: vsi_type}), snooping=OFF)
    world.connect()
    world.ask(HV1, listener, VdpMode.ASSOCIATE)
    assert join(world, HV1, listener, G) == []
    assert world.engine.snooper.counters == {}
