"""Warnings: rules that never decide, and rules that decide against their neighbour."""

from __future__ import annotations

import pytest

from ryu_apps.evb.policy.loader import load_policies

HEAD = "version: 1\nvsi_type: {type_id: 7, version: 2, name: web}\n"


def warnings(*rules: str, direction: str = "from_vm", more: str = "") -> list[str]:
    """Warnings about rules on line 5, 6, ...; what precedes the reason is checked here."""
    lines = "".join(f"    - rule: {{{rule}}}\n" for rule in rules)
    policies, found = load_policies([("p", f"{HEAD}{direction}:\n  rules:\n{lines}{more}")])
    assert policies is not None, found
    assert all(str(diagnostic).startswith(f"p:{diagnostic.line}:7: warning: ") for diagnostic in found)
    return [f"{diagnostic.line}: {diagnostic.reason}" for diagnostic in found]


ALLOW, DENY = "actions: {allow: 1}", "actions: {allow: 0}"


def test_distinct_rules_are_no_reason_to_warn() -> None:
    assert (
        warnings(f"tcp_dst: 80, {ALLOW}", f"udp_dst: 80, {ALLOW}", f"tcp_src: 80, {DENY}", f"arp_op: 1, {ALLOW}") == []
    )


def test_an_exception_before_the_rule_it_excepts_from_is_no_reason_to_warn() -> None:
    assert warnings(f"ipv4_src: 10.0.0.1, {DENY}", f"ipv4_src: 10.0.0.0/8, {ALLOW}") == []


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("tcp_dst: 80", "tcp_dst: 80, ipv4_src: 10.0.0.1"),
        ("ipv4_src: 10.0.0.0/8", "ipv4_src: 10.1.0.0/16"),
        ("tcp_dst: 8000-8010", "tcp_dst: 8003-8009"),
        ("tcp_dst: [80, 443, 8080]", "tcp_dst: [443, 80]"),
        ("eth_type: [ipv4, ipv6]", "ipv6_dst: '::1'"),
        ("eth_dst: 01:00:00:00:00:00/01:00:00:00:00:00", "eth_dst: broadcast, arp_op: 1"),
    ],
)
def test_a_rule_that_an_earlier_one_covers_is_shadowed(earlier: str, later: str) -> None:
    assert warnings(f"{earlier}, {ALLOW}", f"{later}, {ALLOW}") == [
        "6: shadowed by the rule on line 5: it has no effect"
    ]


def test_the_opposite_action_of_the_covering_rule_is_told() -> None:
    assert warnings(f"eth_type: ipv4, {DENY}", f"ipv4_dst: 10.0.0.1, {ALLOW}") == [
        "6: shadowed by the rule on line 5, with the opposite action: it has no effect"
    ]


def test_several_rules_together_shadow_one() -> None:
    assert warnings(f"tcp_dst: 80, {ALLOW}", f"tcp_dst: 81, {ALLOW}", f"tcp_dst: [80, 81], {ALLOW}") == [
        "7: shadowed by the rules on lines 5, 6: it has no effect"
    ]


def test_a_rule_covered_in_part_is_not_shadowed() -> None:
    assert warnings(f"tcp_dst: 80, {ALLOW}", f"tcp_dst: 80-81, {ALLOW}") == []


def test_the_same_match_with_opposite_actions_is_a_contradiction() -> None:
    assert warnings(f"tcp_dst: 80, {ALLOW}", f"tcp_dst: http, {DENY}") == [
        "6: contradicts the rule on line 5: same match, opposite action; the earlier rule applies"
    ]


def test_directions_do_not_shadow_each_other() -> None:
    other = f"to_vm:\n  rules:\n    - rule: {{tcp_dst: 80, {ALLOW}}}\n"
    assert warnings(f"tcp_dst: 80, {ALLOW}", more=other) == []


@pytest.mark.parametrize(
    ("written", "direction", "reason"),
    [
        ("eth_type: ipv4, ip_proto: icmpv6", "from_vm", "never matches: ICMPv6 is not carried over IPv4"),
        ("eth_type: ipv6, ip_proto: icmp", "to_vm", "never matches: ICMP is not carried over IPv6"),
        ("eth_dst: broadcast", "to_vm", "never matches: a broadcast reaches each VM as a copy with the VM's own"),
        ("eth_src: broadcast", "from_vm", "never matches: a source address is never a group address"),
        ("ipv4_src: 192.0.2.0/24", "from_vm", "never matches: ipv4_src is outside the type's addresses"),
        ("ipv6_src: '2001:db8::1'", "from_vm", "never matches: ipv6_src is outside the type's addresses"),
    ],
)
def test_a_rule_no_frame_can_match_is_told(written: str, direction: str, reason: str) -> None:
    found = warnings(f"{written}, {ALLOW}", direction=direction, more="addresses: [10.0.0.0/8]\n")
    assert len(found) == 1
    assert found[0].startswith(f"5: {reason}")


@pytest.mark.parametrize(
    "written", ["ipv4_src: 10.1.0.0/16", "ipv4_src: 0.0.0.0/1", "ipv4_src: 0.0.0.0", "ipv6_src: 'fe80::1'"]
)
def test_sources_that_anti_spoofing_lets_through_are_no_reason_to_warn(written: str) -> None:
    assert warnings(f"{written}, {ALLOW}", more="addresses: [10.0.0.0/8]\n") == []


def test_a_catch_all_that_silences_neighbour_discovery_is_told() -> None:
    found = warnings(f"tcp_dst: 80, {ALLOW}", DENY)
    assert len(found) == 1
    assert found[0].startswith("6: denies ARP and neighbour discovery too")


def test_denying_arp_by_name_is_meant() -> None:
    assert warnings(f"eth_type: arp, {DENY}") == []


def test_a_catch_all_is_meant_where_neighbour_discovery_is_off() -> None:
    assert warnings(DENY, more="neighbour_discovery: false\n") == []


def test_rules_that_all_have_masks_of_their_own_are_given_up_on() -> None:
    # Every rule is looked up under the masks of all before it: a hostile file, not a human's.
    rules = [
        f"tcp_src: 0x8000/{0x8000 | number:#x}, tcp_dst: 0x8000/{0xFFFF ^ number:#x}, {ALLOW}" for number in range(2100)
    ]
    found = warnings(*rules)
    assert found[-1].endswith("too many different masks: no check for shadowed rules from this rule on")
