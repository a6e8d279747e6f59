"""The firewall's part of a policy file: what is understood, every mistake with its place, and what it means."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from ryu_apps.cli.check import check
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.policy.model import Trigger, VsiType
from ryu_apps.evb.services.body import FIREWALL, SECTIONS, state_capacity
from ryu_apps.evb.services.firewall.schema import FirewallPolicy, Lifetimes

HEAD = "version: 1\nvsi_type: {type_id: 7, version: 2, name: web}\n"


def load(text: str) -> VsiType:
    found, diagnostics = load_policies([("p.yaml", HEAD + text)], SECTIONS)
    assert found is not None, diagnostics
    return next(iter(found.types.values()))


def firewall_of(text: str) -> FirewallPolicy:
    found = load(text).service("firewall")
    assert isinstance(found, FirewallPolicy)
    return found


def told(text: str) -> list[str]:
    return [str(diagnostic) for diagnostic in load_policies([("p.yaml", HEAD + text)], SECTIONS)[1]]


def test_a_type_has_none_unless_it_says_so() -> None:
    assert load("").service("firewall") is None and state_capacity(load("")) == 0
    assert not FIREWALL.serves(load("")) and FIREWALL.serves(load("firewall: {}\n"))


def test_an_empty_one_lets_the_vm_begin_what_it_likes_and_nobody_else() -> None:
    found = firewall_of("firewall: {}\n")
    assert (found.from_vm.default, found.to_vm.default) == (True, False)
    assert (found.from_vm.rules, found.to_vm.rules) == ((), ())
    assert found.lifetimes == Lifetimes(tcp=3600, tcp_opening=10, tcp_closing=120, udp=60, icmp=30)
    assert found.max_connections == 512 and found.trigger is None


def test_every_setting_arrives() -> None:
    found = firewall_of(
        """\
firewall:
  max_connections: 7
  timeouts: {tcp: 10, tcp_opening: 11, tcp_closing: 12, udp: 13, icmp: 14}
  trigger: single
  from_vm: {default: deny}
  to_vm: {default: allow, rules: [{rule: {tcp_dst: 80, actions: {allow: 0}}}]}
"""
    )
    assert found.lifetimes == Lifetimes(tcp=10, tcp_opening=11, tcp_closing=12, udp=13, icmp=14)
    assert (found.max_connections, found.trigger) == (7, Trigger.SINGLE)
    assert (found.from_vm.default, found.to_vm.default) == (False, True)
    (rule,) = found.to_vm.rules
    assert not rule.allow and rule.place.line == 8
    assert state_capacity(load("firewall: {max_connections: 7}\n")) == 14


@pytest.mark.parametrize(
    ("own", "type_s", "expected"),
    [("", "", "dual"), ("", "single", "single"), ("dual", "single", "dual"), ("single", "", "single")],
)
def test_the_trigger_is_its_own_or_that_of_the_type(own: str, type_s: str, expected: str) -> None:
    text = f"trigger: {type_s}\n" if type_s else ""
    text += f"firewall: {{trigger: {own}}}\n" if own else "firewall: {}\n"
    assert FIREWALL.trigger(load(text)).value == expected


@pytest.mark.parametrize("section", ["", "from_vm: {}\n", "to_vm: {default: deny}\n"])
def test_a_direction_without_acl_passes_all_to_the_firewall(section: str) -> None:
    found = load(f"firewall: {{}}\n{section}")
    for name, acl in (("from_vm", found.from_vm), ("to_vm", found.to_vm)):
        assert acl.default is (name not in section)
    assert load(section).from_vm.default is load(section).to_vm.default is False


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("firewall: {colour: red}\n", ["3:12: unknown key 'colour'"]),
        ("firewall: {max_conections: 1}\n", ["3:12: unknown key 'max_conections' (did you mean 'max_connections'?)"]),
        ("firewall: {max_connections: 0}\n", ["3:29: input should be greater than or equal to 1, not 0"]),
        ("firewall: {max_connections: 100001}\n", ["3:29: input should be less than or equal to 100000, not 100001"]),
        ('firewall: {max_connections: "5"}\n', ["3:29: input should be a valid integer, not '5'"]),
        ("firewall: {timeouts: {tcp: 0}}\n", ["3:28: input should be greater than or equal to 1, not 0"]),
        ("firewall: {timeouts: {udp: 65536}}\n", ["3:28: input should be less than or equal to 65535, not 65536"]),
        (
            "firewall: {timeouts: {sctp: 5}}\n",
            ["3:23: unknown key 'sctp'"],
        ),
        ("firewall: {trigger: both}\n", ["3:21: input should be 'single' or 'dual', not 'both'"]),
        ("firewall: [a]\n", ["3:11: a mapping was expected"]),
        ("firewall: {to_vm: {default: maybe}}\n", ["3:29: input should be 'allow' or 'deny', not 'maybe'"]),
        (
            "firewall:\n  to_vm:\n    rules:\n      - rule: {tcp_dst: htpp, actions: {allow: 1}}\n",
            ["6:25: 'htpp' is not a value of this field; known names: "],
        ),
        (
            "firewall:\n  from_vm:\n    rules:\n      - rule: {tp_dst: 80, actions: {allow: 1}}\n",
            ["6:16: tp_dst is the OpenFlow 1.0 name of tcp_dst or udp_dst"],
        ),
        (
            "firewall: {trigger: x, timeouts: {icmp: -1}}\n",
            ["3:21: input should be 'single' or 'dual', not 'x'", "3:41: input should be greater than"],
        ),
    ],
)
def test_every_mistake_has_its_place(text: str, expected: list[str]) -> None:
    found = told(text)
    assert len(found) == len(expected), found
    for reason, wanted in zip(found, expected, strict=True):
        assert reason.startswith(f"p.yaml:{wanted}")


def test_more_than_fits_is_a_mistake() -> None:
    entry = "      - rule: {tcp_src: 1024-65535, tcp_dst: 1024-65535, actions: {allow: 1}}\n"
    found = told("firewall:\n  to_vm:\n    rules:\n" + entry * 1000)
    assert [diagnostic for diagnostic in found if "warning" not in diagnostic] == [
        "p.yaml:5:5: firewall.to_vm comes to more than 65536 flow rules"
    ]


def test_rules_that_never_decide_are_warned_of_here_too() -> None:
    entry = "      - rule: {{tcp_dst: 80, actions: {{allow: {}}}}}\n"
    found = told("firewall:\n  to_vm:\n    rules:\n" + entry.format(1) + entry.format(0))
    assert found == [
        "p.yaml:7:9: warning: contradicts the rule on line 6: same match, opposite action; the earlier rule applies"
    ]


@pytest.mark.parametrize(
    "changed",
    [
        "max_connections: 513",
        "timeouts: {tcp: 3601}",
        "timeouts: {tcp_opening: 31}",
        "timeouts: {tcp_closing: 121}",
        "timeouts: {udp: 61}",
        "timeouts: {icmp: 31}",
        "trigger: single",
        "from_vm: {default: deny}",
        "to_vm: {default: allow}",
        "to_vm: {rules: [{rule: {tcp_dst: 80, actions: {allow: 1}}}]}",
    ],
)
def test_a_change_of_meaning_changes_the_digest(changed: str) -> None:
    plain = load("firewall: {}\n").digest
    assert plain not in {load("").digest, load(f"firewall: {{{changed}}}\n").digest}


def test_a_change_of_words_does_not() -> None:
    plain = load("firewall: {}\n")
    for same in (
        "firewall: {max_connections: 512, timeouts: {udp: 60}, to_vm: {default: deny}} # the defaults\n",
        "# a comment\n\nfirewall:\n  from_vm: {default: allow}\n",
    ):
        assert load(same).digest == plain.digest


def test_check_prints_them_like_any_other(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(HEAD + "firewall: {max_connections: none}\n")
    result = CliRunner().invoke(check, [str(tmp_path)])
    assert result.exit_code == 1
    assert result.output == f"{tmp_path}/a.yaml:3:29: input should be a valid integer, not 'none'\n"
