"""Lines of the lab: what is read, and what is said about a mistake."""

from __future__ import annotations

import pytest

from ryu_apps.testbed.lab.verbs import COMMANDS, VERBS, Argument, LineError, Request, completions, read_line, usage

KNOWN = {
    Argument.VM: ("vm1", "vm2"),
    Argument.HYPERVISOR: ("hv1", "hv2"),
    Argument.SWITCH: ("s1", "s2"),
    Argument.END: ("vm1", "vm2", "nms", "client"),
    Argument.WORKSHEET: ("1", "2"),
    Argument.QUESTION: ("1.1", "1.2"),
}


@pytest.mark.parametrize(
    ("line", "request_"),
    [
        ("assoc vm1 hv2", Request("assoc", ("vm1", "hv2"))),
        ("  preassoc vm1 hv2 plain  # a comment", Request("preassoc", ("vm1", "hv2", "plain"))),
        ("preassoc vm1 hv2", Request("preassoc", ("vm1", "hv2", ""))),
        ("migrate vm1 hv2 safest-exchange", Request("migrate", ("vm1", "hv2", "safest-exchange"))),
        ("step", Request("step", ("",))),
        ("dump", Request("dump", ("", ""))),
        ("dump s1", Request("dump", ("s1", ""))),
        ("dump staged", Request("dump", ("", "staged"))),
        ("dump s2 all", Request("dump", ("s2", "all"))),
        ("connect client vm1 80", Request("connect", ("client", "vm1", "80"))),
        ("answer 1.1 'let go' now", Request("answer", ("1.1", "let go", "now"))),
        ("explain s1:1 eth_src=vm1", Request("explain", ("s1:1", "eth_src=vm1"))),
        ("vsis --json", Request("vsis", ("--json",))),
    ],
)
def test_a_line_is_read(line: str, request_: Request) -> None:
    assert read_line(line, KNOWN) == request_


@pytest.mark.parametrize("line", ["", "   ", "\n", "# only a comment"])
def test_an_empty_line_is_nothing(line: str) -> None:
    assert read_line(line, KNOWN) is None


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("preasoc vm1 hv1", "no verb 'preasoc', perhaps 'preassoc'; 'help' lists them"),
        ("fly", "no verb 'fly'; 'help' lists them"),
        ("assoc vm1", "usage: assoc VM HYPERVISOR"),
        ("assoc vm1 hv1 hv2", "usage: assoc VM HYPERVISOR"),
        ("assoc vm3 hv1", "no VM 'vm3', perhaps 'vm2'; there is vm1, vm2"),
        ("assoc hv1 vm1", "no VM 'hv1', perhaps 'vm1'; there is vm1, vm2"),
        ("assoc vm1 hv9", "no hypervisor 'hv9', perhaps 'hv2'; there is hv1, hv2"),
        ("migrate vm1 hv2 fastest", "no ladder 'fastest'; there is minimize-latency, safest-exchange"),
        ("ping vm1 clinet", "no VM or host 'clinet', perhaps 'client'; there is vm1, vm2, nms, client"),
        ("connect client vm1 0", "'0' is no port: 1 to 65535"),
        ("connect client vm1 http", "'http' is no port: 1 to 65535"),
        ("dump s3", "no switch 's3'; there is s1, s2"),
        ("step perhaps", "no such word 'perhaps'; there is on, off"),
        ("check 3", "no worksheet '3'; there is 1, 2"),
        ("answer 7.1 x", "no question '7.1', perhaps '1.1'; there is 1.1, 1.2"),
        ("explain", "usage: explain SWITCH:PORT|NAME ..."),
        ("assoc 'vm1 hv1", "No closing quotation: assoc 'vm1 hv1"),
    ],
)
def test_a_mistake_is_named_with_what_would_do(line: str, words: str) -> None:
    with pytest.raises(LineError) as raised:
        read_line(line, KNOWN)
    assert str(raised.value) == words


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("migrat", ["migrate", "migrations"]),
        ("migrate ", ["vm1", "vm2"]),
        ("migrate vm1 hv", ["hv1", "hv2"]),
        ("migrate vm1 hv2 s", ["safest-exchange"]),
        ("migrate vm1 hv2 safest-exchange ", []),
        ("ping vm1 c", ["client"]),
        ("fly ", []),
        ("answer 1.", ["1.1", "1.2"]),
    ],
)
def test_words_are_completed(line: str, words: list[str]) -> None:
    assert completions(line, KNOWN) == words


def test_every_verb_is_completed_and_has_a_line_of_help() -> None:
    assert completions("", KNOWN) == list(VERBS)
    assert all(verb.help and usage(name).startswith(name) for name, verb in VERBS.items())
    assert set(COMMANDS) <= set(VERBS)


def test_what_changes_rules_is_not_offered_while_a_move_waits() -> None:
    changing = {name for name, verb in VERBS.items() if not verb.looks}
    assert changing == {"preassoc", "assoc", "deassoc", "plug", "migrate", "step", "exit", "quit"}
