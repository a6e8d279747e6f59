"""IP fragments on a simulated switch: judged by the ports of the first, dropped where there are none to judge by."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from ryu_apps.evb.events.switch import FragmentsHandled
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SECTIONS, learnt_capacity
from ryu_apps.evb.services.fragments import MAX_NOTED, PATIENCE
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, HV2, NMS, NMS_MAC, S1, VLAN, Vm, World

TCP, UDP, ICMP, ICMPV6 = 6, 17, 1, 58
SYN = 0x02
FIRST, LATER = 1, 3
NUMBERS = {"tcp": TCP, "udp": UDP}

#: Denies one port and allows the rest; allows one port and denies the rest; begins and answers connections; judges by
#: addresses alone.
DENIES, ALLOWS, STATEFUL, PLAIN = (VsiTypeKey(number, 1) for number in (10, 11, 12, 13))
COUNTED = VsiTypeKey(14, 1)
TEXTS = {
    DENIES: """
from_vm: {default: allow, rules: [{rule: {udp_dst: 161, actions: {allow: 0}}}]}
to_vm:
  default: allow
  rules: [{rule: {tcp_dst: 22, actions: {allow: 0}}}, {rule: {udp_dst: 161, actions: {allow: 0}}}]
""",
    ALLOWS: """
from_vm: {rules: [{rule: {udp_src: 53, actions: {allow: 1}}}]}
to_vm:
  rules:
    - rule: {udp_dst: 53, actions: {allow: 1}}
    - rule: {icmpv4_type: echo_request, actions: {allow: 1}}
    - rule: {icmpv6_type: echo_request, actions: {allow: 1}}
""",
    STATEFUL: """
firewall:
  to_vm: {default: deny, rules: [{rule: {udp_dst: 53, actions: {allow: 1}}}]}
  from_vm: {default: deny, rules: [{rule: {udp_dst: 53, actions: {allow: 1}}}]}
""",
    PLAIN: "to_vm: {default: allow}\nfrom_vm: {default: allow}\n",
    COUNTED: """
statistics: {per_rule: true}
to_vm: {rules: [{rule: {udp_dst: 53, actions: {allow: 1}}}, {rule: {udp_dst: 54, actions: {allow: 1}}}]}
""",
}


def policies() -> PolicySet:
    head = "version: 1\nvsi_type: {{type_id: {}, version: {}, name: fragments}}\nanti_spoofing: {{ip: false}}\n"
    files = [(str(key), head.format(*key) + text) for key, text in TEXTS.items()]
    found, mistakes = load_policies(files, SECTIONS)
    assert found is not None, mistakes
    return found


POLICIES = policies()
BOTH_VERSIONS = pytest.mark.parametrize("version", [4, 6])


class Rig:
    """One VM at HV1 and its peer at NMS, on one switch."""

    def __init__(self, key: VsiTypeKey, version: int = 4) -> None:
        self.world = World(policies=POLICIES)
        self.world.connect()
        self.vm, self.version = Vm(1, type=key), version
        self.world.ask(HV1, self.vm, VdpMode.ASSOCIATE)

    def to_vm(self, part: int, name: str = "udp", port: int = 53, source: int = 240, **fields: int) -> bool:
        """Does a fragment, or with ``part`` 0 a whole packet, reach the VM?"""
        behind = {f"{name}_src": 999, f"{name}_dst": port} if part != LATER else {}
        frame = self._frame(NMS_MAC, self.vm.mac, source, self.vm.number, part, NUMBERS[name], behind | fields)
        return bool(self.world.carry(NMS, frame))

    def from_vm(self, part: int, name: str = "udp", port: int = 53, target: int = 240, **fields: int) -> bool:
        """Does one reach the peer?"""
        behind = {f"{name}_src": 53, f"{name}_dst": port} if part != LATER else {}
        frame = self._frame(self.vm.mac, NMS_MAC, self.vm.number, target, part, NUMBERS[name], behind | fields)
        return bool(self.world.carry(HV1, frame))

    def _frame(
        self, source: int, target: int, one: int, other: int, part: int, ip_proto: int, behind: dict[str, int]
    ) -> dict[str, int]:
        net, ip = ("10.0.100.", "ipv4") if self.version == 4 else ("2001:db8::", "ipv6")
        ends = {f"{ip}_src": int(ip_address(f"{net}{one}")), f"{ip}_dst": int(ip_address(f"{net}{other}"))}
        kind = {"eth_type": 0x0800 if self.version == 4 else 0x86DD, "ip_proto": ip_proto, "ip_frag": part}
        flags = {"tcp_flags": SYN} if ip_proto == TCP else {}
        return {"eth_src": source, "eth_dst": target, **kind, **ends, **flags, **behind}

    @property
    def noted(self) -> list[Rule]:
        return [rule for rule in self.world.rules(S1).values() if rule.table == Table.FRAGMENTS]


# --- judged by the first one -------------------------------------------------------------------------
@BOTH_VERSIONS
def test_a_denied_port_is_denied_in_fragments(version: int) -> None:
    rig = Rig(DENIES, version)
    for part in (FIRST, LATER):
        assert not rig.to_vm(part, "tcp", 22)
        assert not rig.to_vm(part, "udp", 161)
        assert not rig.from_vm(part, "udp", 161)


@BOTH_VERSIONS
@pytest.mark.parametrize("name", ["tcp", "udp"])
def test_a_first_fragment_without_ports_is_dropped(version: int, name: str) -> None:
    """Of 24 octets of a SYN with options Open vSwitch reads ports 0, and so it does of less than a TCP header."""
    rig = Rig(DENIES, version)
    without = {f"{name}_src": 0, f"{name}_dst": 0, "tcp_flags": 0}
    assert not rig.to_vm(FIRST, name, **without)
    assert not rig.from_vm(FIRST, name, **without)
    assert not rig.to_vm(LATER, name)


def test_a_chain_of_headers_that_does_not_end_is_dropped() -> None:
    """RFC 7112: Open vSwitch reads neither a protocol nor a fragment."""
    rig = Rig(DENIES, 6)
    unread = {"eth_type": 0x86DD, "ip_proto": 0, "ipv6_src": 1 << 125, "ipv6_dst": 2 << 125}
    assert not rig.world.carry(NMS, {"eth_src": NMS_MAC, "eth_dst": rig.vm.mac, **unread})
    assert not rig.world.carry(HV1, {"eth_src": rig.vm.mac, "eth_dst": NMS_MAC, **unread})


@BOTH_VERSIONS
@pytest.mark.parametrize("key", [DENIES, ALLOWS, STATEFUL], ids=["denies", "allows", "stateful"])
def test_what_may_pass_passes_in_fragments(version: int, key: VsiTypeKey) -> None:
    rig = Rig(key, version)
    assert rig.to_vm(FIRST) and rig.to_vm(LATER)
    assert rig.from_vm(FIRST, udp_dst=999) and rig.from_vm(LATER)


@pytest.mark.parametrize("key", [ALLOWS, STATEFUL, DENIES], ids=["allows", "stateful", "denies"])
def test_a_later_one_passes_only_behind_its_first(key: VsiTypeKey) -> None:
    rig = Rig(key)
    assert not rig.to_vm(LATER) and not rig.from_vm(LATER)
    assert rig.to_vm(FIRST)
    assert rig.to_vm(LATER)
    assert not rig.to_vm(LATER, source=241)
    assert not rig.to_vm(LATER, "tcp")
    assert not rig.from_vm(LATER)


def test_a_later_one_passes_only_in_the_vlan_of_its_first() -> None:
    rig = Rig(ALLOWS)
    assert rig.to_vm(FIRST)
    (noted,) = rig.noted
    assert ("vlan_vid", VLAN) in [(field.name, field.value) for field in noted.match]


def test_a_vm_s_own_fragments_are_no_connection_that_lets_others_in() -> None:
    rig = Rig(STATEFUL)
    assert rig.from_vm(FIRST) and rig.from_vm(LATER)
    assert not rig.to_vm(LATER)
    connections = [rule for rule in rig.world.rules(S1).values() if rule.table == Table.CONNECTIONS]
    assert all(field.value for rule in connections for field in rule.match if field.name in ("udp_src", "udp_dst"))
    assert rig.to_vm(FIRST, udp_src=53, udp_dst=53)


@BOTH_VERSIONS
def test_a_large_ping_passes(version: int) -> None:
    rig = Rig(ALLOWS, version)
    proto, name, kind = (ICMP, "icmpv4", 8) if version == 4 else (ICMPV6, "icmpv6", 128)
    request = rig._frame(NMS_MAC, rig.vm.mac, 240, 1, FIRST, proto, {f"{name}_type": kind, f"{name}_code": 0})
    assert rig.world.carry(NMS, request)
    assert rig.world.carry(NMS, rig._frame(NMS_MAC, rig.vm.mac, 240, 1, LATER, proto, {}))


def test_an_icmpv6_type_that_is_cut_off_is_dropped() -> None:
    rig = Rig(DENIES, 6)
    behind = {"icmpv6_type": 0, "icmpv6_code": 0}
    assert not rig.world.carry(NMS, rig._frame(NMS_MAC, rig.vm.mac, 240, 1, FIRST, ICMPV6, behind))


# --- what is remembered ------------------------------------------------------------------------------
def test_it_is_remembered_for_as_long_as_a_receiver_waits() -> None:
    rig = Rig(ALLOWS)
    assert rig.to_vm(FIRST)
    assert [(rule.hard_timeout, rule.idle_timeout) for rule in rig.noted] == [(PATIENCE, 0)]


def test_it_has_a_bound_that_no_other_vm_feels() -> None:
    rig = Rig(ALLOWS)
    other = Vm(2, type=ALLOWS)
    rig.world.ask(HV2, other, VdpMode.ASSOCIATE)
    passed = [rig.to_vm(FIRST, source=number) and rig.to_vm(LATER, source=number) for number in range(MAX_NOTED + 9)]
    assert passed == [number < MAX_NOTED for number in range(MAX_NOTED + 9)]
    rig.vm = other
    assert rig.to_vm(FIRST) and rig.to_vm(LATER)


def test_room_for_it_is_set_aside() -> None:
    assert [learnt_capacity(POLICIES.types[key]).total() for key in (ALLOWS, PLAIN)] == [MAX_NOTED, 0]


def test_it_goes_with_the_vsi() -> None:
    rig = Rig(ALLOWS)
    assert rig.to_vm(FIRST) and rig.noted
    rig.world.ask(HV1, rig.vm, VdpMode.DEASSOCIATE)
    assert not rig.world.rules(S1, CookieKind.STATE)


def test_a_type_that_judges_by_addresses_alone_keeps_none() -> None:
    rig = Rig(PLAIN)
    assert rig.to_vm(LATER) and rig.from_vm(LATER)
    assert not rig.noted


def test_a_later_one_counts_for_the_rule_that_judged_the_first() -> None:
    rig = Rig(COUNTED)
    assert rig.to_vm(FIRST, port=54) and rig.to_vm(LATER)
    counted = {meter: gauge.packets for meter, gauge in rig.world.gauges[S1].items() if gauge.packets}
    assert sorted(counted.values()) == [2]


# --- a switch that does otherwise ----------------------------------------------------------------------
def kinds(world: World) -> list[str]:
    return [event.kind for event in world.happened if event.kind.startswith("fragments.")]


def test_a_switch_that_hides_ports_is_told_of_once_and_when_it_is_over() -> None:
    world = World(policies=POLICIES)
    world.connect()
    for shown in (False, False, True, True):
        world.feed(FragmentsHandled(S1, before=shown, shown=shown))
    assert kinds(world) == ["fragments.hidden", "fragments.shown"]


def test_a_mode_that_was_changed_behind_our_back_is_told_of() -> None:
    world = World(policies=POLICIES)
    world.connect()
    world.feed(FragmentsHandled(S1, before=False, shown=True))
    assert kinds(world) == ["fragments.reset"]
