"""A frame, a step and a reason in words."""

from __future__ import annotations

import pytest

from ryu_apps.evb.explanation.cluster import Owners, Port, PortView, SwitchView
from ryu_apps.evb.explanation.journey import travel
from ryu_apps.evb.explanation.report import Explanation
from ryu_apps.evb.explanation.words import frame_words, miss_words, reason_words, step_words
from ryu_apps.evb.explanation.written_frame import read_fields
from ryu_apps.evb.flow.actions import CONTROLLER, Output
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import CookieKind, Table, cookie
from ryu_apps.evb.simulation.steps import LookedUp, MeterPassed

ENDS = ("eth_src=02:00:00:00:00:01", "eth_dst=02:00:00:00:00:02")
FOUR, SIX = ("ipv4_src=10.0.0.1", "ipv4_dst=10.0.0.2"), ("ipv6_src=fe80::1", "ipv6_dst=fe80::2")
OWNERS = Owners({(CookieKind.VSI_BODY, 6): ("vm-6",)})


@pytest.mark.parametrize(
    ("written", "words"),
    [
        (("eth_type=arp", "arp_spa=10.0.0.1", "arp_tpa=10.0.0.2"), "untagged, ARP request, 10.0.0.1 > 10.0.0.2"),
        (("arp_op=2",), "untagged, ARP reply, 0.0.0.0 > 0.0.0.0"),
        (("arp_op=7",), "untagged, ARP operation 7, 0.0.0.0 > 0.0.0.0"),
        (("eth_type=0x88b5",), "untagged, type 0x88b5"),
        ((*FOUR, "tcp_src=1", "tcp_dst=http"), "untagged, IPv4 10.0.0.1 > 10.0.0.2, TCP 1 > 80"),
        ((*FOUR, "udp_dst=53", "vlan_vid=100"), "VID 100, IPv4 10.0.0.1 > 10.0.0.2, UDP 0 > 53"),
        ((*FOUR, "icmpv4_type=8", "vlan_vid=7", "vlan_pcp=5"), "VID 7 PCP 5, IPv4 10.0.0.1 > 10.0.0.2, ICMP type 8"),
        ((*FOUR, "ip_proto=132"), "untagged, IPv4 10.0.0.1 > 10.0.0.2, SCTP"),
        ((*FOUR, "ip_proto=99"), "untagged, IPv4 10.0.0.1 > 10.0.0.2, protocol 99"),
        ((*FOUR, "udp_dst=53", "ip_frag=first"), "untagged, IPv4 10.0.0.1 > 10.0.0.2, UDP 0 > 53, first fragment"),
        ((*FOUR, "ip_proto=udp", "ip_frag=later"), "untagged, IPv4 10.0.0.1 > 10.0.0.2, UDP, later fragment"),
        ((*SIX, "tcp_dst=80"), "untagged, IPv6 fe80::1 > fe80::2, TCP 0 > 80"),
        ((*SIX, "icmpv6_type=135"), "untagged, IPv6 fe80::1 > fe80::2, ICMPv6 type 135"),
    ],
)
def test_a_frame_is_one_line(written: tuple[str, ...], words: str) -> None:
    assert frame_words(read_fields((*ENDS, *written))) == f"02:00:00:00:00:01 > 02:00:00:00:00:02, {words}"


def looked(table: int, rule: Rule | None = None, level: int = 0) -> LookedUp:
    return LookedUp(level, table, rule, {"metadata": 0})


def dropping(table: int, written: int) -> Rule:
    return Rule(table, 100, match(in_port=1), written)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (Table.ADMIT, "the port is not configured, or frames may not come in there like this"),
        (Table.INGRESS, "no associated VSI, end system or trunk has this port, VID and source address"),
        (Table.FORWARD, "no known system has this VID and destination address"),
        (Table.FLOOD, "the frame came in by a link outside the broadcast tree"),
        (Table.ACL_TO, "nothing here applies to the frame"),
        (250, "nothing here applies to the frame"),
    ],
)
def test_a_table_without_a_rule_for_the_frame_says_why(table: int, words: str) -> None:
    step = looked(table)
    assert miss_words(step) == words
    assert step_words(step, OWNERS) == f"no rule matches: {words}; the frame ends here"
    name = Table(table).name if table != 250 else "250"
    assert reason_words(step, OWNERS, shut=False) == f"no rule of {name} matches: {words}"
    # A lookup inside another one does not end the frame.
    assert step_words(looked(table, level=1), OWNERS) == "no rule matches"


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (Table.GUARD, ": VMs may not send such frames"),
        (Table.CLAIM, ": the address belongs to another end system"),
        (Table.ANTISPOOF, ": the frame has an address that is not the VM's own"),
        (Table.LIMIT_FROM, ": the limit of connections is reached"),
        (Table.LIMIT_TO, ": the limit of connections is reached"),
        (Table.FRAGMENT_TO, ": the first fragment has not passed"),
        (Table.ACL_TO, ": the VM has sent it itself"),
        (Table.ACL_FROM, ""),
    ],
)
def test_a_rule_that_drops_says_why(table: Table, words: str) -> None:
    step = looked(table, dropping(table, cookie(CookieKind.VSI_BODY, 6)))
    assert step_words(step, OWNERS) == f"body of VSI vm-6{words}; the frame ends here"
    assert reason_words(step, OWNERS, shut=False) == f"{table.name}, body of VSI vm-6{words}"
    assert reason_words(step, OWNERS, shut=True) == f"{table.name}, body of VSI vm-6: the gate is shut"


def test_a_meter_is_a_gate_that_is_shut_or_a_limit() -> None:
    assert step_words(MeterPassed(0, 0x10, exceeded=True), OWNERS) == (
        "meter 0x10: the gate is shut; the frame ends here"
    )
    assert step_words(MeterPassed(0, 0x10, exceeded=False), OWNERS) == "meter 0x10 limits or counts"


@pytest.mark.parametrize(("read", "held"), [(True, "read from the switch"), (False, "wanted by the bridge")])
def test_rules_that_were_read_are_told_from_those_that_are_wanted(read: bool, held: str) -> None:
    frame = {"eth_src": 1, "eth_dst": 2, "eth_type": 0x88B5}
    rule = Rule(0, 1, match(in_port=3), 0, (Output(CONTROLLER),))
    switch = SwitchView(1, "s1", {3: PortView("hv1", "station")}, FlowTable({rule.key: rule}), read)
    found = Explanation(frame, tuple(travel(Port(1, 3), frame, lambda _: switch)), Owners(), "VSI vm-6 at s1:3")
    lines = list(found.text())
    assert f"s1, in by port 3 (hv1, station); rules {held}" in lines
    assert lines[1] == "as if    VSI vm-6 at s1:3 were associated"
    shown = found.as_json()
    assert (shown["as_if_associated"], shown["switches"][0]["rules"]) == ("VSI vm-6 at s1:3", held.split()[0])
