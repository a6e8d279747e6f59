"""The section ``tcp_proxy`` of a policy file: what it comes to, and what contradicts it, at its place."""

from __future__ import annotations

import pytest

from ryu_apps.evb.policy.fields import Masked
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import Trigger, VsiType
from ryu_apps.evb.services.body import SECTIONS, extracted_early, state_capacity
from ryu_apps.evb.services.tcp_proxy.schema import Proxied

HEAD = "version: 1\nvsi_type: {type_id: 7, version: 2, name: web}\n"
OPEN = HEAD + "from_vm: {default: allow}\nto_vm: {default: allow}\n"


def load(text: str) -> VsiType:
    policies, diagnostics = load_policies([("p.yaml", text)], SECTIONS)
    assert policies is not None, diagnostics
    return next(iter(policies.types.values()))


def mistakes(text: str) -> list[str]:
    return [str(diagnostic) for diagnostic in load_policies([("p.yaml", text)], SECTIONS)[1]]


def test_what_is_left_out_has_its_defaults() -> None:
    vsi_type = load(OPEN + "tcp_proxy: {ports: [80, https, 80]}")
    assert vsi_type.service("tcp_proxy") == Proxied((Masked(80, 0xFFFF), Masked(443, 0xFFFF)), 512, 10, 3600, 120, None)
    assert state_capacity(vsi_type) == 6 * 512


def test_everything_can_be_said_and_is_part_of_the_meaning() -> None:
    text = (
        "tcp_proxy: {{ports: [{}], max_connections: {}, timeouts: {{opening: {}, idle: {}, closing: {}}}, trigger: {}}}"
    )
    values = ("8080-8081", 7, 3, 60, 5, "single"), ("80", 8, 4, 61, 6, "dual")
    one = load(OPEN + text.format(*values[0]))
    assert one.service("tcp_proxy") == Proxied((Masked(8080, 0xFFFE),), 7, 3, 60, 5, Trigger.SINGLE)
    others = [[*values[0][:i], values[1][i], *values[0][i + 1 :]] for i in range(6)]
    assert len({one.digest, *(load(OPEN + text.format(*other)).digest for other in others)}) == 7


@pytest.mark.parametrize("trigger", ["single", "dual"])
def test_the_last_context_is_read_at_associate_whatever_the_trigger(trigger: str) -> None:
    assert not extracted_early(load(OPEN + f"tcp_proxy: {{ports: [80], trigger: {trigger}}}"))


@pytest.mark.parametrize(
    ("section", "mistake"),
    [
        ("{}", "p.yaml:5:1: missing key 'ports'"),
        ("{ports: []}", "p.yaml:5:20: list should have at least 1 item after validation, not 0"),
        ("{ports: [htpp]}", "p.yaml:5:21: 'htpp' is not a value of this field; known names: "),
        ("{ports: [70000]}", "p.yaml:5:21: 70000 is out of range 0..65535"),
        ("{ports: [80], max_connections: 0}", "p.yaml:5:43: input should be greater than or equal to 1, not 0"),
        ("{ports: [80], timeouts: {idle: 70000}}", "p.yaml:5:43: input should be less than or equal to 65535"),
        ("{ports: [80], port: 81}", "p.yaml:5:26: key 'port' does not belong here"),
    ],
)
def test_mistakes_are_told_at_their_place(section: str, mistake: str) -> None:
    (found,) = mistakes(OPEN + f"tcp_proxy: {section}")
    assert found.startswith(mistake)


# --- contradictions -------------------------------------------------------------------------------
NOBODY = "is redirected to a proxy, but no client may reach it"
MUTE = "is redirected to a proxy, but the VM may not answer"


def test_a_port_that_the_acl_forbids_is_an_error_in_either_direction() -> None:
    text = HEAD + "to_vm: {rules: [rule: {tcp_dst: 443, actions: {allow: 1}}]}\ntcp_proxy:\n  ports: [443, http]\n"
    assert mistakes(text) == [
        f"p.yaml:5:11: port 443 {MUTE}: from_vm lets no such TCP pass",
        f"p.yaml:5:16: port http {NOBODY}: to_vm lets no such TCP pass",
        f"p.yaml:5:16: port http {MUTE}: from_vm lets no such TCP pass",
    ]


def test_a_port_that_the_firewall_forbids_is_an_error_and_answers_need_no_rule_of_it() -> None:
    rules = "  from_vm: {default: deny}\n  to_vm: {rules: [rule: {tcp_dst: 80, actions: {allow: 1}}]}\n"
    text = HEAD + "firewall:\n" + rules + "tcp_proxy: {ports: [80, 8080]}\n"
    assert mistakes(text) == [f"p.yaml:6:25: port 8080 {NOBODY}: firewall.to_vm lets no such TCP pass"]


@pytest.mark.parametrize(
    ("rules", "wrong"),
    [
        ("{ipv4_src: 10.0.0.0/8, tcp_dst: 80, actions: {allow: 1}}", False),
        ("{ipv6_src: 'fd00::/8', actions: {allow: 1}}", False),
        ("{tcp_dst: 1-1023, actions: {allow: 1}}", False),
        ("{tcp_src: 80, actions: {allow: 1}}", False),
        ("{udp_dst: 80, actions: {allow: 1}}", True),
        ("{eth_type: arp, actions: {allow: 1}}", True),
        ("{tcp_dst: 81-90, actions: {allow: 1}}", True),
        ("{tcp_dst: 1-100, actions: {allow: 0}}, rule: {tcp_dst: 80, actions: {allow: 1}}", True),
        ("{eth_type: ipv4, actions: {allow: 0}}, rule: {tcp_dst: 80, actions: {allow: 1}}", False),
        ("{ipv4_src: 10.0.0.7, tcp_dst: 80, actions: {allow: 0}}, rule: {tcp_dst: 80, actions: {allow: 1}}", False),
    ],
)
def test_only_what_nobody_may_reach_is_a_contradiction(rules: str, wrong: bool) -> None:
    each = "".join(f"  - rule: {rule}\n" for rule in rules.split(", rule: "))
    text = HEAD + f"from_vm: {{default: allow}}\nto_vm:\n  rules:\n{each}tcp_proxy: {{ports: [80]}}\n"
    assert [NOBODY in mistake for mistake in mistakes(text) if "warning" not in mistake] == [True] * wrong
