"""Policy files: what is understood, and every mistake at its line and column."""

from __future__ import annotations

import textwrap
from ipaddress import ip_network
from math import inf

import pytest

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy import document
from ryu_apps.evb.policy.diagnostic import Severity
from ryu_apps.evb.policy.loader import MAX_ACL_RULES, load_policies
from ryu_apps.evb.policy.model import AntiSpoofing, StageOn, VsiType

HEAD = "version: 1\nvsi_type: {type_id: 7, version: 2, name: web}\n"


def load(text: str) -> VsiType:
    policies, diagnostics = load_policies([("p.yaml", text)])
    assert policies is not None, diagnostics
    return next(iter(policies.types.values()))


def mistakes(*texts: str) -> list[str]:
    files = [(f"p{number}.yaml" if number else "p.yaml", text) for number, text in enumerate(texts)]
    return [str(diagnostic) for diagnostic in load_policies(files)[1]]


def rule(text: str) -> str:
    """A file whose sixth line is one rule of the VM's own traffic; the rule starts in column 14."""
    return HEAD + "from_vm:\n  default: deny\n  rules:\n    - rule: {" + text + "}\n"


def fields_of(text: str) -> dict[str, list[tuple[int, int]]]:
    return {name: [tuple(masked) for masked in found] for name, found in load(rule(text)).from_vm.rules[0].tests}


def test_a_minimal_type_denies_everything_but_neighbour_discovery() -> None:
    found = load(HEAD)
    assert found.key == VsiTypeKey(7, 2)
    assert (found.from_vm.default, found.to_vm.default) == (False, False)
    assert (found.from_vm.rules, found.to_vm.rules) == ((), ())
    assert found.from_vm.implied
    assert found.to_vm.implied
    assert found.anti_spoofing == AntiSpoofing(mac=True, ip=True, arp=True)
    assert found.stage_on is None


def test_every_setting_arrives() -> None:
    found = load(
        HEAD
        + """\
stage_on: preassociate
anti_spoofing: {mac: false, arp: false}
neighbour_discovery: false
addresses: [10.0.0.0/8, 'fd00::/64', 192.0.2.1]
from_vm: {default: allow}
"""
    )
    assert found.stage_on is StageOn.PREASSOCIATE
    assert found.anti_spoofing == AntiSpoofing(mac=False, ip=True, arp=False)
    assert found.from_vm.implied == ()
    assert found.addresses == (ip_network("10.0.0.0/8"), ip_network("fd00::/64"), ip_network("192.0.2.1/32"))
    assert found.from_vm.default
    assert found.file == "p.yaml"


def test_the_treatment_of_stations_arrives_and_distinguishes_types() -> None:
    plain, kept = load(HEAD), load(HEAD + "null_vid: keep\nnotify_displaced: never\n")
    assert (plain.keep_null_vids, plain.notify_displaced) == (None, None)
    assert (kept.keep_null_vids, kept.notify_displaced) == (True, inf)
    filled = load(HEAD + "null_vid: fill\nnotify_displaced: 20\n")
    assert (filled.keep_null_vids, filled.notify_displaced) == (False, 20.0)
    assert len({plain.digest, kept.digest, filled.digest, load(HEAD + "null_vid: fill\n").digest}) == 4


def test_rules_keep_their_order_and_their_place() -> None:
    found = load(
        HEAD + "to_vm:\n  rules:\n  - rule: {tcp_dst: 1, actions: {allow: 0}}\n  - rule: {actions: {allow: 1}}\n"
    )
    assert [(rule.allow, rule.place.line, rule.place.column) for rule in found.to_vm.rules] == [
        (False, 5, 5),
        (True, 6, 5),
    ]


def test_a_port_alone_means_its_protocol_over_both_versions_of_ip() -> None:
    assert fields_of("tcp_dst: 80, actions: {allow: 1}") == {
        "eth_type": [(0x0800, 0xFFFF), (0x86DD, 0xFFFF)],
        "ip_proto": [(6, 0xFF)],
        "tcp_dst": [(80, 0xFFFF)],
    }


@pytest.mark.parametrize(
    ("written", "prerequisites"),
    [
        ("ipv4_src: 10.0.0.1", {"eth_type": [0x0800]}),
        ("ipv6_src: '::1'", {"eth_type": [0x86DD]}),
        ("arp_op: request", {"eth_type": [0x0806]}),
        ("icmpv4_type: 8", {"eth_type": [0x0800], "ip_proto": [1]}),
        ("icmpv6_type: 128", {"eth_type": [0x86DD], "ip_proto": [58]}),
        ("ip_proto: icmpv6", {"eth_type": [0x86DD], "ip_proto": [58]}),
        ("ip_proto: 89", {"eth_type": [0x0800, 0x86DD], "ip_proto": [89]}),
        ("ipv4_dst: 10.0.0.1, udp_dst: 53", {"eth_type": [0x0800], "ip_proto": [17]}),
        ("ip_dscp: 46, eth_type: ipv6", {"eth_type": [0x86DD]}),
        ("eth_type: [ipv6, ipv4], tcp_dst: 1", {"eth_type": [0x86DD, 0x0800], "ip_proto": [6]}),
        ("eth_src: 02:00:00:00:00:01", {"eth_type": [0x0806, 0x0800, 0x86DD]}),
        ("eth_src: 02:00:00:00:00:01, eth_type: 0x88b5", {"eth_type": [0x88B5]}),
    ],
)
def test_prerequisites_are_filled_in(written: str, prerequisites: dict[str, list[int]]) -> None:
    found = fields_of(f"{written}, actions: {{allow: 1}}")
    inferred = {name: [value for value, _ in found[name]] for name in ("eth_type", "ip_proto") if name in found}
    assert inferred == prerequisites


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("tcp_dst: 70000, actions: {allow: 1}", "6:23: 70000 is out of range 0..65535"),
        ("tcp_dst: [80, htpt], actions: {allow: 1}", "6:23: 'htpt' is not a value of this field; known names: ftp, "),
        ("tcp_dst: 9-8, actions: {allow: 1}", "6:23: range 9-8 runs backwards"),
        ("tcp_dst: [], actions: {allow: 1}", "6:23: an empty list matches nothing"),
        ("tcp_dst: 1.5, actions: {allow: 1}", "6:23: 1.5 is not a value of this field"),
        ("tcp_dst: true, actions: {allow: 1}", "6:23: True is not a value of this field"),
        ("tcp_dst: ~, actions: {allow: 1}", "6:23: nothing is not a value of this field"),
        ("tcp_dst: {a: 1}, actions: {allow: 1}", "6:23: a dict is not a value of this field"),
        ("ipv4_src: 10.0.0.1/8, actions: {allow: 1}", "6:24: '10.0.0.1/8' has bits set outside its mask"),
        ("ipv4_src: 10.0.0.0/33, actions: {allow: 1}", "6:24: prefix length 33 is out of range 0..32"),
        ("ipv4_src: 0.0.0.0/0, actions: {allow: 1}", "6:24: '0.0.0.0/0' matches everything: leave the field out"),
        ("ipv4_src: 10.0.0.300, actions: {allow: 1}", "6:24: '10.0.0.300' is not an IPv4 address"),
        ("ipv6_src: fe80::1%eth0, actions: {allow: 1}", "6:24: 'fe80::1%eth0' is not an IPv6 address"),
        ("ipv4_src: 167772161, actions: {allow: 1}", "6:24: 167772161 is a number, an address was expected"),
        ("eth_src: 02:00:00:00:01, actions: {allow: 1}", "6:23: '02:00:00:00:01' is not a MAC address"),
        ("ip_proto: 6/7, actions: {allow: 1}", "6:24: '6/7': this field takes no mask"),
        ("arp_op: 0-1000, actions: {allow: 1}", "6:22: range 0-1000 has more than 256 values"),
        ("eth_type: ipv6, ipv4_src: 1.1.1.1, actions: {allow: 1}", "6:30: ipv4_src needs eth_type: ipv4 (this is: "),
        ("udp_src: 1, tcp_dst: 1, actions: {allow: 1}", "6:14: udp_src needs eth_type: ipv4 or ipv6, ip_proto: udp"),
        ("ip_proto: [tcp, udp], tcp_dst: 1, actions: {allow: 1}", "6:36: tcp_dst needs eth_type: ipv4 or ipv6, ip_pro"),
        ("nw_src: 10.0.0.1, actions: {allow: 1}", "6:14: nw_src is the OpenFlow 1.0 name of ipv4_src"),
        ("in_port: 1, actions: {allow: 1}", "6:14: in_port is set by the bridge, a policy cannot match on it"),
        ("ipv4_sorc: 1.1.1.1, actions: {allow: 1}", "6:14: unknown key 'ipv4_sorc' (did you mean 'ipv4_src'?)"),
        ("ipv6_nd_target: '::1', actions: {allow: 1}", "6:13: ipv6_nd_target needs icmpv6_type: 135 or 136"),
        ("tcp_dst: 1", "6:7: missing key 'actions'"),
        ("actions: {}", "6:14: missing key 'allow'"),
        ("actions: {allow: 2}", "6:31: input should be a valid boolean, not 2"),
        ("actions: {allow: 1, output: 3}", "6:34: unknown key 'output'"),
        ("tcp_dst: 1, tcp_dst: 2, actions: {allow: 1}", "6:26: duplicate key 'tcp_dst', first given on line 6"),
    ],
)
def test_a_bad_rule_is_told_where_it_is_bad(written: str, complaint: str) -> None:
    found = mistakes(rule(written))
    assert len(found) == 1, found
    assert found[0].startswith(f"p.yaml:{complaint}")


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "1:1: file is empty"),
        ("# only a comment\n", "1:1: file is empty"),
        ("a: [b\nc: d", "2:2: not YAML: "),
        ("- 1\n", "1:1: a mapping was expected"),
        ("\tversion: 1", "1:1: not YAML: "),
        ("a: 1\n--- \nb: 2\n", "2:1: not YAML: "),
        ("version: !!python/object:os.system 1", "1:10: tag !!python/object:os.system is not supported"),
        ("? [a, b]\n: 1\n", "1:3: a key must be a plain word or number"),
        ("a: &x [*x]", "1:4: an alias must not contain itself"),
        ("a: *nowhere", "1:4: not YAML: "),
        ("[" * 5000, "1:33: not YAML: nested deeper than 32 levels"),
        ("{a: " * 5000, "1:129: not YAML: nested deeper than 32 levels"),
        (f"a: {'9' * 5000}", "1:4: text longer than 1000 characters"),
    ],
)
def test_text_that_is_no_policy_is_one_diagnostic_at_its_place(text: str, complaint: str) -> None:
    assert any(mistake.startswith(f"p.yaml:{complaint}") for mistake in mistakes(text)), mistakes(text)


def test_aliases_that_expand_to_millions_stop_early(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(document, "MAX_VALUES", 50_000)
    pairs = zip("abcdefgh", "bcdefghi", strict=True)
    levels = "".join(f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n" for before, name in pairs)
    found = mistakes("a: &a [x, x, x, x, x, x, x, x, x]\n" + levels)
    assert any("more than 50000 values, aliases included" in diagnostic for diagnostic in found)


def test_all_mistakes_of_all_files_come_at_once_in_reading_order() -> None:
    first = textwrap.dedent(
        """\
        version: 3
        vsi_type: {type_id: 16777216, version: 256, name: ""}
        colour: red
        addresses: [10.0.0.1/8, 5]
        from_vm:
          default: maybe
          rules:
          - role: {}
          - 7
        """
    )
    assert mistakes(first, "vsi_type: 4\n") == [
        "p.yaml:1:10: input should be 1, not 3",
        "p.yaml:2:21: input should be less than or equal to 16777215, not 16777216",
        "p.yaml:2:40: input should be less than or equal to 255, not 256",
        "p.yaml:2:51: string should have at least 1 character, not ''",
        "p.yaml:3:1: unknown key 'colour'",
        "p.yaml:4:13: 10.0.0.1/8 has host bits set",
        "p.yaml:4:25: a network was expected, such as 10.0.0.0/8",
        "p.yaml:6:12: input should be 'allow' or 'deny', not 'maybe'",
        "p.yaml:8:5: missing key 'rule'",
        "p.yaml:8:5: unknown key 'role' (did you mean 'roles'?)",
        "p.yaml:9:5: a mapping was expected, not 7",
        "p1.yaml:1:1: missing key 'version'",
        "p1.yaml:1:11: a mapping was expected, not 4",
    ]


def test_two_files_with_the_same_type_and_version_are_a_mistake() -> None:
    assert mistakes(HEAD, HEAD) == ["p1.yaml:2:21: VSI type 7/2 is already defined in p.yaml"]


def test_two_versions_of_one_type_live_side_by_side() -> None:
    policies, _ = load_policies([("a", HEAD), ("b", HEAD.replace("version: 2", "version: 3"))])
    assert policies is not None
    assert set(policies.types) == {VsiTypeKey(7, 2), VsiTypeKey(7, 3)}


def test_one_bad_file_keeps_all_from_being_used() -> None:
    policies, diagnostics = load_policies([("a", HEAD), ("b", "")])
    assert policies is None
    assert [diagnostic.severity for diagnostic in diagnostics] == [Severity.ERROR]


def test_a_rule_that_expands_too_far_is_a_mistake_where_it_stands() -> None:
    wide = "tcp_src: 1-65534, tcp_dst: 1-65534, ip_dscp: 0-63, actions: {allow: 1}"
    assert mistakes(rule(wide)) == [
        "p.yaml:6:7: from_vm comes to more than 65536 flow rules here: fewer ranges and lists in one rule"
    ]


def test_more_rules_than_priorities_are_a_mistake() -> None:
    # An alias makes the long list cheap to read.
    rules = "    - &a {rule: {actions: {allow: 1}}}\n" + "    - *a\n" * MAX_ACL_RULES
    found = mistakes(HEAD + "from_vm:\n  rules:\n" + rules)
    assert found == [f"p.yaml:4:3: {MAX_ACL_RULES + 1} rules, at most {MAX_ACL_RULES} fit into a table"]


@pytest.mark.parametrize(
    ("change", "same"),
    [
        (("actions: {allow: 1}", "actions: {allow: 0}"), False),
        (("80", "81"), False),
        (("deny", "allow"), False),
        (("version: 2", "version: 3"), False),
        (("80", "http"), True),
        (("80", "80-80"), True),
        (("version: 1\n", "# why\nversion: 1\n\n"), True),
        (("tcp_dst", "description: visitors, tcp_dst"), True),
        (("name: web", "name: www"), True),
    ],
)
def test_the_digest_follows_the_meaning_not_the_layout(change: tuple[str, str], same: bool) -> None:
    before = rule("tcp_dst: 80, actions: {allow: 1}")
    assert (load(before).digest == load(before.replace(*change)).digest) is same
