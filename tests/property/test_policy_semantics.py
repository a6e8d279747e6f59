"""Compiled ACLs decide each frame as their rules do, evaluated one by one.

The rules are written as an operator would, with a plain Python test of each field beside what is
written; the compiled program runs on the simulated switch.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from typing import Any, NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_apps.evb.flow.actions import Output
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import VLAN_PRESENT
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import ALL_METADATA, Direction, Table, metadata
from ryu_apps.evb.policy.fields import KINDS, parse_field, range_blocks
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import body_of_type
from ryu_apps.evb.simulation.switch import forward

EPOCH = 5
PORTS = (22, 80, 8000, 8003, 8007, 8010, 8016, 65535)
MACS = (0x020000000001, 0x020000000102, 0xFFFFFFFFFFFF, 0x01005E000001)
IPV4 = tuple(int(ip_address(name)) for name in ("10.0.0.1", "10.1.2.3", "10.255.0.0", "192.0.2.1"))
IPV6 = tuple(int(ip_address(name)) for name in ("fe80::1", "2001:db8::1", "2001:db8:1::1", "::1"))


class Condition(NamedTuple):
    """One field as an operator writes it, and what that means."""

    field: str
    written: Any
    holds: Callable[[int], bool]


def equals(field: str, values: tuple[int, ...], show: Callable[[int], Any] = int) -> st.SearchStrategy[Condition]:
    return st.sampled_from(values).map(lambda wanted: Condition(field, show(wanted), lambda value: value == wanted))


def one_of_several(field: str, values: tuple[int, ...]) -> st.SearchStrategy[Condition]:
    lists = st.lists(st.sampled_from(values), min_size=1, max_size=3)
    return lists.map(lambda some: Condition(field, some, lambda value: value in some))


def within(field: str, top: int) -> st.SearchStrategy[Condition]:
    ends = st.tuples(st.integers(0, top), st.integers(0, top)).map(sorted)
    return ends.map(lambda end: Condition(field, f"{end[0]}-{end[1]}", lambda value: end[0] <= value <= end[1]))


def masked(field: str, top: int) -> st.SearchStrategy[Condition]:
    pairs = st.tuples(st.integers(0, top), st.integers(1, top))
    return pairs.map(
        lambda pair: Condition(
            field, f"{pair[0] & pair[1]}/{pair[1]:#x}", lambda value: value & pair[1] == pair[0] & pair[1]
        )
    )


def inside(field: str, *networks: str) -> st.SearchStrategy[Condition]:
    return st.sampled_from(networks).map(
        lambda network: Condition(
            field,
            network,
            lambda value: int(ip_network(network).network_address) == value & int(ip_network(network).netmask),
        )
    )


def mac_text(mac: int) -> str:
    return mac.to_bytes(6).hex(":")


def port(field: str) -> st.SearchStrategy[Condition]:
    return st.one_of(equals(field, PORTS), one_of_several(field, PORTS), within(field, 0xFFFF), masked(field, 0xFFFF))


GROUPS = Condition("eth_dst", "01:00:00:00:00:00/01:00:00:00:00:00", lambda value: bool(value >> 40 & 1))
ETHERNET = [
    equals("eth_src", MACS, mac_text),
    st.one_of(equals("eth_dst", MACS, mac_text), st.just(GROUPS)),
    st.one_of(equals("vlan_vid", (100, 200)), within("vlan_vid", 4095)).map(
        lambda condition: Condition("vlan_vid", condition.written, lambda value: condition.holds(value & 0xFFF))
    ),
    equals("vlan_pcp", (0, 3)),
]
ON_IPV4 = [inside("ipv4_src", "10.0.0.0/8", "10.1.0.0/16", "192.0.2.1/32"), inside("ipv4_dst", "10.0.0.0/9")]
ON_IPV6 = [inside("ipv6_src", "fe80::/10", "2001:db8::/32", "::1/128"), inside("ipv6_dst", "2001:db8::/48")]
ON_IP = [one_of_several("ip_dscp", (0, 46))]
TCP, UDP = [port("tcp_src"), port("tcp_dst")], [port("udp_src"), port("udp_dst")]
ICMP = [one_of_several("icmpv4_type", (0, 3, 8)), within("icmpv4_code", 20)]
ICMPV6 = [one_of_several("icmpv6_type", (1, 128, 135, 136))]
ARP = [one_of_several("arp_op", (1, 2)), inside("arp_spa", "10.0.0.0/8"), equals("arp_sha", MACS, mac_text)]

#: Written prerequisites, what they mean, and the fields that may stand beside them.
IS_IPV4 = Condition("eth_type", "ipv4", lambda value: value == 0x0800)
IS_IPV6 = Condition("eth_type", "ipv6", lambda value: value == 0x86DD)
IS_ARP = Condition("eth_type", "arp", lambda value: value == 0x0806)
IS_TCP = Condition("ip_proto", "tcp", lambda value: value == 6)
KINDS_OF_RULE: list[tuple[list[Condition], list[st.SearchStrategy[Condition]]]] = [
    ([], ETHERNET),
    ([], TCP),
    ([], UDP),
    ([IS_TCP], ON_IP + TCP),
    ([IS_IPV4], ON_IPV4 + ON_IP),
    ([IS_IPV4, IS_TCP], ON_IPV4 + TCP),
    ([], ON_IPV4 + UDP),
    ([], ON_IPV4 + ICMP),
    ([IS_IPV6], ON_IPV6 + TCP),
    ([], ON_IPV6 + ICMPV6),
    ([IS_ARP], ARP),
]


def is_plain(frame: dict[str, int]) -> bool:
    return frame["eth_type"] in (0x0800, 0x0806, 0x86DD)


class Written(NamedTuple):
    """A rule of the file."""

    conditions: list[Condition]
    allow: bool

    def matches(self, frame: dict[str, int]) -> bool:
        """True if the rule matches; a rule that allows without an Ethernet type covers only plain frames."""
        if (
            self.allow
            and not any(condition.field == "eth_type" for condition in self.conditions)
            and not is_plain(frame)
        ):
            return False
        return all(
            condition.field in frame and condition.holds(frame[condition.field]) for condition in self.conditions
        )

    def as_yaml(self) -> dict[str, Any]:
        fields = {condition.field: condition.written for condition in self.conditions}
        return {"rule": {**fields, "actions": {"allow": int(self.allow)}}}


@st.composite
def written_rules(draw: st.DrawFn) -> Written:
    fixed, choices = draw(st.sampled_from(KINDS_OF_RULE))
    chosen = draw(st.lists(st.sampled_from(range(len(choices))), unique=True, max_size=3))
    return Written([*fixed, *(draw(choices[index]) for index in chosen)], draw(st.booleans()))


@st.composite
def frames(draw: st.DrawFn) -> dict[str, int]:
    def pick(name: str, values: tuple[int, ...]) -> None:
        frame[name] = draw(st.sampled_from(values))

    frame: dict[str, int] = {"vlan_vid": VLAN_PRESENT | draw(st.sampled_from((100, 200, 7)))}
    for name, values in (
        ("eth_src", MACS),
        ("eth_dst", MACS),
        ("vlan_pcp", (0, 3)),
        ("eth_type", (0x800, 0x806, 0x86DD, 0x88CC)),
    ):
        pick(name, values)
    addresses = {0x0800: ("ipv4", IPV4), 0x86DD: ("ipv6", IPV6)}.get(frame["eth_type"])
    if frame["eth_type"] == 0x0806:
        for name, values in (
            ("arp_op", (1, 2)),
            ("arp_spa", IPV4),
            ("arp_tpa", IPV4),
            ("arp_sha", MACS),
            ("arp_tha", MACS),
        ):
            pick(name, values)
    if addresses is not None:
        family, pool = addresses
        for name, values in (
            (f"{family}_src", pool),
            (f"{family}_dst", pool),
            ("ip_dscp", (0, 46)),
            ("ip_proto", (1, 6, 17, 58)),
        ):
            pick(name, values)
        for name in {6: ("tcp_src", "tcp_dst"), 17: ("udp_src", "udp_dst")}.get(frame["ip_proto"], ()):
            frame[name] = draw(st.sampled_from(PORTS) | st.integers(0, 0xFFFF))
        if (family, frame["ip_proto"]) in (("ipv4", 1), ("ipv6", 58)):
            kind = "icmpv4" if family == "ipv4" else "icmpv6"
            pick(f"{kind}_type", (0, 1, 3, 8, 128, 133, 134, 135, 136))
            pick(f"{kind}_code", (0, 1, 20, 21))
    return frame


def passes(policy: dict[str, Any], direction: Direction, frame: dict[str, int]) -> bool:
    """Compile, and ask the simulated switch."""
    policies, diagnostics = load_policies([("p", json.dumps(policy))])
    assert policies is not None, diagnostics
    block = body_of_type(next(iter(policies.types.values())), EPOCH)
    start = Table.ACL_FROM if direction is Direction.FROM_VM else Table.ACL_TO
    carried = metadata(vsi=9, port=3, epoch=EPOCH, direction=direction)
    way = [
        Rule(0, 1, (), 0, metadata=(carried, ALL_METADATA), goto=start),
        Rule(Table.FORWARD, 1, (), 0, apply=(Output(1),)),
        Rule(Table.OUTPUT, 1, (), 0, apply=(Output(1),)),
    ]
    return bool(forward(FlowTable({rule.key: rule for rule in (*way, *block)}), {"in_port": 7, **frame}))


def is_neighbour_discovery(direction: Direction, frame: dict[str, int]) -> bool:
    router = 133 if direction is Direction.FROM_VM else 134
    return frame["eth_type"] == 0x0806 or frame.get("icmpv6_type") in (router, 135, 136)


@settings(max_examples=300)
@given(
    st.lists(written_rules(), max_size=6),
    st.booleans(),
    st.booleans(),
    st.sampled_from([Direction.FROM_VM, Direction.TO_VM]),
    st.lists(frames(), min_size=1, max_size=8),
)
def test_the_first_rule_that_matches_decides_then_neighbour_discovery_then_the_default(
    rules: list[Written], default: bool, neighbours: bool, direction: Direction, packets: list[dict[str, int]]
) -> None:
    policy = {
        "version": 1,
        "vsi_type": {"type_id": 1, "version": 1, "name": "x"},
        "neighbour_discovery": neighbours,
        "from_vm" if direction is Direction.FROM_VM else "to_vm": {
            "default": "allow" if default else "deny",
            "rules": [rule.as_yaml() for rule in rules],
        },
    }
    for frame in packets:
        decided = next((rule.allow for rule in rules if rule.matches(frame)), None)
        if decided is None:
            decided = (default and is_plain(frame)) or (neighbours and is_neighbour_discovery(direction, frame))
        assert passes(policy, direction, frame) is decided


@given(st.data(), st.sampled_from([3, 6, 8, 12, 16]))
def test_a_range_becomes_blocks_that_match_it_exactly_and_as_few_as_can_be(data: st.DataObject, bits: int) -> None:
    low = data.draw(st.integers(0, (1 << bits) - 1))
    high = data.draw(st.integers(low, (1 << bits) - 1))
    blocks = list(range_blocks(low, high, bits))
    sizes = [(1 << bits) - block.mask for block in blocks]
    # Side by side, from low to high, each a whole aligned block: nothing missing, nothing twice.
    assert [block.value for block in blocks] == [low + sum(sizes[:index]) for index in range(len(blocks))]
    assert low + sum(sizes) == high + 1
    assert all(size.bit_count() == 1 and block.value % size == 0 for block, size in zip(blocks, sizes, strict=True))
    # No two neighbours would make one aligned block: fewer is impossible.
    pairs = zip(blocks, sizes, blocks[1:], sizes[1:], strict=False)
    assert not any(size == after and block.value % (2 * size) == 0 for block, size, _, after in pairs)


@given(st.sampled_from(sorted(KINDS)), st.integers(0))
def test_every_field_takes_its_own_numbers_and_no_larger_ones(name: str, seed: int) -> None:
    kind = KINDS[name]
    if kind.address is None:
        value = seed % (1 << kind.bits)
        full = (1 << kind.bits) - 1
        assert parse_field(name, value) == parse_field(name, hex(value)) == ((value, full),)
