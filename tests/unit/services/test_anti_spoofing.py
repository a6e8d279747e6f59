"""A VM speaks only for itself, and may always say where it is: decided frame by frame."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_address, ip_network
from typing import Any

import pytest

from ryu_apps.evb.flow.actions import Output
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import Binding, VsiBinding, VsiTypeKey
from ryu_apps.evb.pipeline.tables import ALL_METADATA, CookieKind, Direction, Table, metadata, parse_cookie
from ryu_apps.evb.policy.model import Acl, AntiSpoofing, VsiType
from ryu_apps.evb.services.anti_spoofing import ANTI_SPOOFING
from ryu_apps.evb.services.body import body_of_type, body_of_vsi
from ryu_apps.evb.services.split_horizon import SPLIT_HORIZON
from ryu_apps.evb.simulation.switch import forward

EPOCH, INDEX = 5, 9
MAC, OTHER_MAC = 0x525400000001, 0x525400000002
#: Where a frame ends up: told to skip the ACL, handed to it, or dropped.
ANNOUNCED, ASKED, DROPPED = "announced", "asked", "dropped"

PLAIN = VsiType(VsiTypeKey(1, 1), "x", Acl(), Acl())
WITH_NETWORKS = replace(PLAIN, addresses=(ip_network("10.0.0.0/24"), ip_network("2001:db8::/64")))
NOBODY_TOLD = VsiBinding(INDEX, 1, (Binding(100, MAC),))
TOLD = replace(NOBODY_TOLD, addresses=(ip_address("10.0.0.5"), ip_address("2001:db8::5")))


def fate(vsi_type: VsiType, binding: VsiBinding, **fields: Any) -> str:
    """Send one frame of the VM through the body; what it says is given as match fields, addresses as text."""
    numbers = {name: int(ip_address(value)) if isinstance(value, str) else value for name, value in fields.items()}
    frame = {"in_port": 1, "vlan_vid": VLAN_PRESENT | 100, "eth_src": MAC, "eth_dst": 1, **numbers}
    carried = metadata(vsi=binding.vsi_index, epoch=EPOCH, direction=Direction.FROM_VM)
    rules = [
        Rule(0, 1, (), 0, metadata=(carried, ALL_METADATA), goto=Table.ANTISPOOF),
        *ANTI_SPOOFING.per_type(vsi_type, EPOCH),
        *ANTI_SPOOFING.per_vsi(vsi_type, binding),
        Rule(Table.FORWARD, 1, (), 0, apply=(Output(2),)),
        Rule(Table.ACL_FROM, 1, (), 0, apply=(Output(3),)),
    ]
    keys = [rule.key for rule in rules]
    assert len(set(keys)) == len(keys), "a rule would overwrite another"
    out = forward(FlowTable(dict(zip(keys, rules, strict=True))), frame)
    return {(): DROPPED, (2,): ANNOUNCED, (3,): ASKED}[tuple(copy.port for copy in out)]


def arp(spa: str, tpa: str = "10.0.0.9", sha: int = MAC, op: int = 1) -> dict[str, Any]:
    return {"eth_type": 0x0806, "arp_op": op, "arp_spa": spa, "arp_tpa": tpa, "arp_sha": sha, "arp_tha": 0}


def ipv4(src: str, **more: Any) -> dict[str, Any]:
    return {"eth_type": 0x0800, "ip_proto": 6, "ipv4_src": src, "ipv4_dst": "10.0.0.9", **more}


def ipv6(src: str, **more: Any) -> dict[str, Any]:
    return {"eth_type": 0x86DD, "ip_proto": 6, "ipv6_src": src, "ipv6_dst": "2001:db8::9", **more}


def discovery(kind: int, src: str, target: str) -> dict[str, Any]:
    return ipv6(src, ip_proto=58, icmpv6_type=kind, icmpv6_code=0, ipv6_nd_target=target)


def advertisement(src: str, target: str) -> dict[str, Any]:
    return discovery(136, src, target)


DHCP = ipv4("0.0.0.0", ip_proto=17, ipv4_dst="255.255.255.255", udp_src=68, udp_dst=67)


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (ipv4("10.0.0.5"), ASKED),
        (ipv4("10.0.0.6"), DROPPED),
        (ipv4("0.0.0.0"), DROPPED),
        (DHCP, ASKED),
        (DHCP | {"udp_src": 67}, DROPPED),
        (DHCP | {"ipv4_dst": "10.0.0.1"}, DROPPED),
        (arp("10.0.0.5"), ASKED),
        (arp("10.0.0.5", op=2), ASKED),
        (arp("10.0.0.6", op=2), DROPPED),
        (arp("10.0.0.5", sha=OTHER_MAC), DROPPED),
        (arp("0.0.0.0"), DROPPED),
        (arp("10.0.0.5", "10.0.0.5"), ANNOUNCED),
        (arp("10.0.0.5", "10.0.0.5", op=2), ANNOUNCED),
        (arp("0.0.0.0", "10.0.0.5"), ANNOUNCED),
        (arp("10.0.0.5", "10.0.0.5", sha=OTHER_MAC), DROPPED),
        (arp("10.0.0.6", "10.0.0.6"), DROPPED),
        (ipv6("2001:db8::5"), ASKED),
        (ipv6("2001:db8::6"), DROPPED),
        (ipv6("fe80::77"), ASKED),
        (ipv6("::"), DROPPED),
        (advertisement("2001:db8::5", "2001:db8::5"), ANNOUNCED),
        (advertisement("fe80::77", "2001:db8::5"), ANNOUNCED),
        (advertisement("2001:db8::6", "2001:db8::5"), DROPPED),
        (advertisement("2001:db8::5", "2001:db8::6"), DROPPED),
        (advertisement("fe80::77", "fe80::77"), ASKED),
        (discovery(135, "::", "2001:db8::5"), ANNOUNCED),
        (discovery(135, "::", "fe80::77"), ASKED),
        (discovery(135, "::", "2001:db8::6"), DROPPED),
        (discovery(135, "2001:db8::5", "2001:db8::6"), ASKED),
        (discovery(135, "2001:db8::6", "2001:db8::5"), DROPPED),
        (ipv6("::", ip_proto=58, icmpv6_type=133), ASKED),
        (ipv6("::", ip_proto=58, icmpv6_type=143), ASKED),
        (ipv6("::", ip_proto=58, icmpv6_type=128), DROPPED),
        ({"eth_type": 0x8035}, ANNOUNCED),
        ({"eth_type": 0x88B5}, ASKED),
    ],
)
def test_a_vm_whose_addresses_are_known_speaks_for_those_only(frame: dict[str, Any], expected: str) -> None:
    assert fate(PLAIN, TOLD, **frame) == expected
    # The networks of the type do not widen what is known about the VM.
    assert fate(WITH_NETWORKS, TOLD, **frame) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (ipv4("10.0.0.77"), ASKED),
        (ipv4("10.0.1.1"), DROPPED),
        (DHCP, ASKED),
        (arp("10.0.0.77"), ASKED),
        (arp("10.0.1.1"), DROPPED),
        (arp("10.0.0.77", sha=OTHER_MAC), DROPPED),
        (arp("0.0.0.0"), ASKED),
        (arp("0.0.0.0", "10.0.1.9"), DROPPED),
        (ipv6("2001:db8::77"), ASKED),
        (ipv6("2001:db9::77"), DROPPED),
        (ipv6("fe80::77"), ASKED),
        (advertisement("2001:db8::77", "2001:db8::77"), ASKED),
        (advertisement("2001:db8::77", "2001:db9::77"), DROPPED),
        (discovery(135, "::", "2001:db8::77"), ASKED),
        (discovery(135, "::", "2001:db9::77"), DROPPED),
        ({"eth_type": 0x8035}, ANNOUNCED),
    ],
)
def test_a_vm_nobody_told_about_is_held_to_the_networks_of_its_type(frame: dict[str, Any], expected: str) -> None:
    assert fate(WITH_NETWORKS, NOBODY_TOLD, **frame) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (ipv4("192.0.2.1"), ASKED),
        (ipv6("2001:db9::1"), ASKED),
        (advertisement("2001:db9::1", "2001:db9::1"), ASKED),
        (discovery(135, "::", "2001:db9::1"), ASKED),
        (arp("192.0.2.1"), ASKED),
        (arp("192.0.2.1", sha=OTHER_MAC), DROPPED),
        ({"eth_type": 0x8035}, ANNOUNCED),
    ],
)
def test_where_no_address_is_known_only_hardware_addresses_are_checked(frame: dict[str, Any], expected: str) -> None:
    assert fate(PLAIN, NOBODY_TOLD, **frame) == expected


def test_a_version_of_ip_that_the_networks_leave_out_is_not_allowed_at_all() -> None:
    only_6 = replace(PLAIN, addresses=(ip_network("2001:db8::/64"),))
    assert fate(only_6, NOBODY_TOLD, **ipv4("10.0.0.1")) == DROPPED
    assert fate(only_6, NOBODY_TOLD, **arp("10.0.0.1")) == DROPPED


def test_knowing_one_version_of_ip_says_nothing_about_the_other() -> None:
    told_4 = replace(NOBODY_TOLD, addresses=(ip_address("10.0.0.5"),))
    assert fate(PLAIN, told_4, **ipv6("2001:db9::1")) == ASKED
    assert fate(WITH_NETWORKS, told_4, **ipv6("2001:db9::1")) == DROPPED


def test_a_known_link_local_address_is_the_only_one_allowed() -> None:
    told = replace(NOBODY_TOLD, addresses=(ip_address("fe80::5"), ip_address("2001:db8::5")))
    assert fate(PLAIN, told, **ipv6("fe80::5")) == ASKED
    assert fate(PLAIN, told, **ipv6("fe80::77")) == DROPPED
    assert fate(PLAIN, told, **advertisement("fe80::5", "fe80::5")) == ANNOUNCED
    assert fate(PLAIN, told, **advertisement("fe80::77", "fe80::77")) == DROPPED


@pytest.mark.parametrize(
    ("switched_off", "frame", "expected"),
    [
        ({"ip": False}, ipv4("10.0.0.6"), ASKED),
        ({"ip": False}, ipv6("2001:db8::6"), ASKED),
        ({"ip": False}, arp("10.0.0.6"), DROPPED),
        ({"ip": False}, advertisement("2001:db8::6", "2001:db8::6"), DROPPED),
        ({"ip": False}, discovery(135, "::", "2001:db8::6"), DROPPED),
        ({"ip": False}, discovery(135, "::", "2001:db8::5"), ANNOUNCED),
        ({"ip": False}, advertisement("2001:db8::6", "2001:db8::5"), ASKED),
        ({"arp": False}, arp("10.0.0.6", sha=OTHER_MAC), ASKED),
        ({"arp": False}, advertisement("2001:db8::5", "2001:db8::6"), ASKED),
        ({"arp": False}, advertisement("2001:db8::6", "2001:db8::6"), DROPPED),
        ({"arp": False}, discovery(135, "::", "2001:db8::6"), ASKED),
        ({"arp": False}, ipv4("10.0.0.6"), DROPPED),
        ({"arp": False}, {"eth_type": 0x8035}, ANNOUNCED),
        ({"mac": False}, arp("10.0.0.5", sha=OTHER_MAC), ASKED),
        ({"mac": False}, arp("10.0.0.6", sha=OTHER_MAC), DROPPED),
        ({"mac": False}, ipv4("10.0.0.6"), DROPPED),
        ({"ip": False, "arp": False}, discovery(135, "::", "2001:db8::6"), ASKED),
    ],
)
def test_each_part_can_be_switched_off(switched_off: dict[str, bool], frame: dict[str, Any], expected: str) -> None:
    loose = AntiSpoofing(**switched_off)
    assert fate(replace(PLAIN, anti_spoofing=loose), TOLD, **frame) == expected
    assert fate(replace(WITH_NETWORKS, anti_spoofing=loose), TOLD, **frame) == expected


def test_a_filter_without_mac_leaves_hardware_addresses_open() -> None:
    whole_vid = replace(TOLD, bindings=(Binding(100, MAC), Binding(200, None)))
    assert fate(PLAIN, whole_vid, **arp("10.0.0.5", sha=OTHER_MAC)) == ASKED
    assert fate(PLAIN, whole_vid, **arp("10.0.0.6", sha=OTHER_MAC)) == DROPPED


def test_each_of_several_macs_may_be_spoken_for() -> None:
    two = replace(TOLD, bindings=(Binding(100, MAC), Binding(100, OTHER_MAC), Binding(200, MAC)))
    assert fate(PLAIN, two, **arp("10.0.0.5", sha=OTHER_MAC)) == ASKED
    assert fate(PLAIN, two, **arp("10.0.0.5", sha=OTHER_MAC + 1)) == DROPPED


def test_another_vsi_of_the_same_type_gets_nothing_from_the_rules_of_this_one() -> None:
    rules = [*body_of_type(PLAIN, EPOCH), *body_of_vsi(PLAIN, TOLD)]
    carried = metadata(vsi=INDEX + 1, epoch=EPOCH, direction=Direction.FROM_VM)
    start = Rule(0, 1, (), 0, metadata=(carried, ALL_METADATA), goto=Table.ANTISPOOF)
    table = FlowTable({rule.key: rule for rule in (start, *rules)})
    frame = arp("10.0.0.5", "10.0.0.5") | {"in_port": 1, "eth_src": MAC, "eth_dst": 1}
    assert (
        forward(
            table,
            {
                name: int(ip_address(arrival)) if isinstance(arrival, str) else arrival
                for name, arrival in frame.items()
            },
        )
        == []
    )


def test_a_vsi_costs_a_handful_of_rules_however_long_its_policy() -> None:
    assert len(body_of_vsi(PLAIN, NOBODY_TOLD)) == 2
    assert len(body_of_vsi(PLAIN, replace(TOLD, addresses=TOLD.addresses[:1]))) <= 8
    assert len(body_of_vsi(WITH_NETWORKS, TOLD)) <= 20


@pytest.mark.parametrize("vsi_type", [PLAIN, WITH_NETWORKS])
def test_rules_carry_the_cookie_of_their_owner_and_match_its_metadata(vsi_type: VsiType) -> None:
    for rule in body_of_type(vsi_type, EPOCH):
        assert parse_cookie(rule.cookie) == (CookieKind.TYPE_BODY, EPOCH, 0)
        assert any(field.name == "metadata" for field in rule.match)
    for rule in body_of_vsi(vsi_type, replace(TOLD, generation=77)):
        assert parse_cookie(rule.cookie) == (CookieKind.VSI_BODY, INDEX, 77)
        assert any(field.name == "metadata" for field in rule.match)


@pytest.mark.parametrize(("source", "heard"), [(MAC, False), (OTHER_MAC, True)])
def test_a_vm_never_hears_its_own_frames_again(source: int, heard: bool) -> None:
    open_type = replace(PLAIN, to_vm=Acl(default=True))
    carried = metadata(vsi=INDEX, port=3, epoch=EPOCH, direction=Direction.TO_VM)
    rules = [
        Rule(0, 1, (), 0, metadata=(carried, ALL_METADATA), goto=Table.ACL_TO),
        *body_of_type(open_type, EPOCH),
        *SPLIT_HORIZON.per_vsi(open_type, TOLD),
        Rule(Table.OUTPUT, 1, (), 0, apply=(Output(3),)),
    ]
    out = forward(
        FlowTable({rule.key: rule for rule in rules}),
        {"in_port": 1, "eth_src": source, "eth_dst": MAC, "eth_type": 0x800},
    )
    assert bool(out) is heard
