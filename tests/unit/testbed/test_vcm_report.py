"""Reports of goals: the verdict on attempts and VMs, and the text that names what is not as it has to be."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from ryu_apps.testbed.harness.probes import Flow, TcpNotes, UdpNotes
from ryu_apps.testbed.manager.report import AttemptReport, ClusterReport, VmReport, as_text, remarks
from ryu_apps.testbed.measurement.appliances import firewall_report
from ryu_apps.testbed.measurement.figures import Figures
from ryu_apps.testbed.measurement.measure import FlowEnds, Pause, Seen, figures, lost_at_rest
from ryu_apps.testbed.measurement.ties import Tie
from ryu_apps.testbed.moves.evidence import Evidence, Marks, MoveOutcome

MOVED = Figures(
    "vm1", "minimize-latency", "hv1", "hv5", MoveOutcome.COMPLETED, blackout_to_vm_ms=81.5, sent=900, lost_to_vm=3
)
REPORT = ClusterReport(
    "paper",
    "evacuate s1",
    "emulated",
    (VmReport("vm1", "hv1", "hv5", "hv5", "done"), VmReport("vm2", "hv6", None, "hv6", "stayed")),
    (AttemptReport("minimize-latency", False, MOVED, ()),),
)
firewall = partial(firewall_report, "fw", ways=("there", "back"))
FLOW = Flow("vm1-udp", "udp", "client", "vm1", 443, 0.01, True)


def test_a_report_without_failures_is_ok_and_shows_the_blackout() -> None:
    assert REPORT.ok and REPORT.failures == ()
    text = as_text(REPORT)
    assert "blackout ms" in text and "81.50" in text
    assert text.endswith("the goal is met; all must-be-zero counters are 0\n")
    assert REPORT.as_json()["attempts"][0]["figures"]["blackout_ms"] == 81.5


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (replace(REPORT, unmet=("vm1 is still at hv1: refused",)), "vm1 is still at hv1: refused"),
        (replace(REPORT, rules_left=2), "2 rules were left when all VMs were gone"),
        (replace(REPORT, vms=(replace(REPORT.vms[1], lost=4),)), "vm2 has lost 4 datagrams although it stayed"),
        (
            replace(REPORT, attempts=(AttemptReport("minimize-latency", False, MOVED, ("1 leaked",)),)),
            "vm1 to hv5: 1 leaked",
        ),
        (
            replace(REPORT, appliances=(firewall({"there": 9, "back": 9, "bypassed": 2}),)),
            "firewall fw: 9 there, 9 back, 2 bypassed: 2 packets have passed by fw",
        ),
        (
            replace(REPORT, appliances=(firewall({"there": 9, "back": 0, "bypassed": 0}),)),
            "fw has routed nothing back",
        ),
    ],
)
def test_whatever_is_not_as_it_has_to_be_is_a_failure(spoilt: ClusterReport, words: str) -> None:
    assert not spoilt.ok and not spoilt.as_json()["ok"]
    assert words in as_text(spoilt)


def test_a_refusal_and_another_place_than_planned_are_told() -> None:
    elsewhere = replace(REPORT.vms[0], node="hv6", tried={"hv5": "refused: error 2"})
    assert list(remarks(replace(REPORT, vms=(elsewhere,)))) == [
        "vm1: not at hv5: refused: error 2",
        "vm1: is at hv6 in place of hv5",
    ]


def test_networks_that_the_bridge_chose_and_ties_to_proxies_are_told() -> None:
    networks, ties = {"hv1": "VLAN 100", "hv5": "VLAN 200, PCP 3"}, (Tie("proxy1", "s1", 2, 0.5),)
    report = replace(REPORT, vms=(replace(REPORT.vms[0], networks=networks, ties=ties),))
    told = [
        "vm1: VLAN 100 at hv1; VLAN 200, PCP 3 at hv5",
        "vm1: 2 connections tied to proxy1 at s1, ended after 0.5 s",
    ]
    assert list(remarks(report)) == told
    assert all(line in as_text(report).splitlines() for line in told)
    (vm,) = report.as_json()["vms"]
    tie = {"proxy": "proxy1", "switch": "s1", "connections": 2, "ended": 0.5}
    assert (vm["networks"], list(vm["ties"])) == (networks, [tie])


def heard(*times: float) -> UdpNotes:
    return UdpNotes(sent=times, heard=tuple((number, t, t) for number, t in enumerate(times)))


def test_a_vm_that_stayed_has_lost_what_the_other_end_never_heard() -> None:
    deaf = replace(heard(1.0, 1.1, 1.2), heard=((0, 1.0, 1.0),))
    assert lost_at_rest([FlowEnds(FLOW, heard(1.0, 1.1, 1.2), deaf)], 0.0, 2.0) == 2
    assert lost_at_rest([FlowEnds(FLOW, heard(1.0, 1.1, 1.2), heard(1.0, 1.1, 1.2))], 0.0, 2.0) == 0
    blocked = replace(FLOW, passes=False)
    assert lost_at_rest([FlowEnds(blocked, heard(1.0, 1.1, 1.2), deaf)], 0.0, 2.0) == 0


def test_what_is_lost_while_its_firewall_moves_is_no_loss_of_a_vm_that_stayed() -> None:
    sender = heard(1.0, 1.1, 1.2, 1.3, 1.4, 1.5, 1.6)
    # The fourth is under way when the firewall runs again, and the bridge leads to it from the fifth on.
    deaf = replace(sender, heard=((0, 1.0, 1.0), (4, 1.4, 1.41), (6, 1.6, 1.6)))
    ends, pause = [FlowEnds(FLOW, sender, deaf)], Pause(1.1, 1.3)
    assert lost_at_rest(ends, 0.0, 2.0) == 4
    assert lost_at_rest(ends, 0.0, 2.0, [pause]) == 1, "the sixth"
    never = [FlowEnds(FLOW, sender, replace(sender, heard=((0, 1.0, 1.0),)))]
    assert lost_at_rest(never, 0.0, 2.0, [pause]) == 3, "those behind the pause"


def seen(marks: Marks, ends: list[FlowEnds], settled: float = 9.0) -> Seen:
    evidence = Evidence(marks=marks, dumps={"before": []})
    return Seen("vm1", "restart", "hv1", "hv5", "vsi", evidence, (), ends, (), 0, settled)


def test_the_blackout_of_a_dead_vm_begins_with_its_death() -> None:
    client = UdpNotes(
        sent=(1.0, 2.5, 3.5),
        # Two of its first life, one of its second, which begins to count anew.
        heard=((7, 1.0, 1.0), (8, 1.9, 1.9), (0, 3.25, 3.25), (1, 3.3, 3.3)),
    )
    vm = UdpNotes(sent=(3.25, 3.3), heard=((2, 3.5, 3.5),))
    found = figures(seen(Marks(begun=0.5, suspended=2.0, associating=3.0, resumed=3.1), [FlowEnds(FLOW, client, vm)]))
    assert found.blackout_from_vm_ms == pytest.approx(1250.0)
    assert found.blackout_to_vm_ms == pytest.approx(1500.0)
    assert (found.sent, found.lost_to_vm, found.lost_from_vm, found.wrongly_blocked) == (4, 1, 0, 0)


def test_the_silence_of_a_stream_stands_for_a_blackout() -> None:
    def beats(*times: float) -> TcpNotes:
        return TcpNotes(tuple(enumerate(times)))

    ends = [FlowEnds(replace(FLOW, proto="tcp"), beats(1.0, 1.1, 1.7), beats(1.0, 1.4, 1.5))]
    found = figures(replace(seen(Marks(begun=0.5), ends), ladder="minimize-latency"))
    assert (found.blackout_to_vm_ms, found.blackout_from_vm_ms) == (pytest.approx(400.0), pytest.approx(600.0))
