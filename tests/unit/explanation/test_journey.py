"""Frames from switch to switch: links, loops, ports that are down, errors of a switch."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ryu_apps.evb.explanation.cluster import Owners, Port, PortView, SwitchView
from ryu_apps.evb.explanation.journey import MOST_VISITS, End, travel
from ryu_apps.evb.explanation.report import Explanation
from ryu_apps.evb.flow.actions import CONTROLLER, Output, OutputGroup
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule

FRAME = {"eth_src": 1, "eth_dst": 2, "eth_type": 0x88B5}


def ring(*rules: Rule, up: bool = True) -> Callable[[int], SwitchView]:
    """Two switches that are joined by ports 1 and 2 to each other; port 3 is a station's."""

    def switch(dpid: int) -> SwitchView:
        other = 3 - dpid
        ports = {number: PortView(f"s{other}", "trunk", True, Port(other, 3 - number)) for number in (1, 2)}
        ports[3] = PortView(f"hv{dpid}", "station", up)
        return SwitchView(dpid, f"s{dpid}", ports, FlowTable({rule.key: rule for rule in rules}))

    return switch


def rule(port: int, *actions: Output | OutputGroup) -> Rule:
    return Rule(0, 1, match(in_port=port), 0, actions)


def explained(switch: Callable[[int], SwitchView]) -> Explanation:
    return Explanation(FRAME, tuple(travel(Port(1, 3), FRAME, switch)), Owners())


def test_a_loop_is_cut() -> None:
    found = explained(ring(rule(3, Output(1)), rule(2, Output(1))))
    assert len(found.visits) == MOST_VISITS
    assert [visit.switch.dpid for visit in found.visits[:4]] == [1, 2, 1, 2]
    assert found.visits[-1].cut
    assert not found.visits[-2].cut
    assert f"more than {MOST_VISITS} switches" in "\n".join(found.text())


def test_a_loop_that_doubles_is_cut() -> None:
    both = Output(1), Output(2)
    found = explained(ring(rule(3, *both), rule(1, *both), rule(2, *both)))
    assert len(found.visits) <= MOST_VISITS
    assert any(visit.cut for visit in found.visits)


@pytest.mark.parametrize(
    ("actions", "up", "end", "words"),
    [
        ([Output(3)], True, End.WAY_BACK, "not sent to port 3 of s1 (hv1, station): it came in there"),
        ([Output(CONTROLLER)], True, End.CONTROLLER, "to the controller"),
        ([Output(9)], True, End.PORT, "out of port 9 of s1 (not configured), untagged"),
    ],
)
def test_ends(actions: list[Output], up: bool, end: End, words: str) -> None:
    found = explained(ring(rule(3, *actions), up=up))
    assert [departure.end for departure in found.visits[0].departures] == [end]
    assert found.result() == [words]
    assert found.delivered is (end in (End.CONTROLLER, End.PORT))


def test_a_port_that_is_down_loses_the_frame() -> None:
    found = tuple(travel(Port(1, 1), FRAME, ring(rule(1, Output(3)), up=False)))
    assert Explanation(FRAME, found, Owners()).result() == [
        "lost at port 3 of s1 (hv1, station): the port is down",
    ]


def test_a_switch_that_gives_up_sends_nothing() -> None:
    found = explained(ring(rule(3, Output(1), OutputGroup(9))))
    assert len(found.visits) == 1
    assert found.visits[0].departures == ()
    assert found.result() == ["dropped at s1: the switch gives up: no group 0x9"]
