"""Rules by state, and the difference between two dumps of a switch."""

from __future__ import annotations

import pytest

from ryu_apps.testbed.lab.rules import RuleState, change, change_lines, dump_lines, stated
from ryu_apps.testbed.lab.sightings import is_open, is_staged, mentions, number_changed, open_at

MAC = "52:54:00:aa:00:01"
INFRASTRUCTURE = " cookie=0xeb47100000000000, table=0, priority=1 actions=goto_table:10"
OF_TYPE = " cookie=0xeb4721e2ea000000, table=30, priority=1,metadata=0x1e2ea000000000/0x3fffff000000000 actions=drop"
OF_VSI = f" cookie=0xeb47300001000001, table=50, priority=65000,metadata=0x1,dl_src={MAC} actions=drop"
GATE = (
    f" cookie=0xeb47400001000001, table=10, priority=200,in_port=1,dl_vlan=100,dl_src={MAC}"
    " actions=write_metadata:0x11e2ea000010000,goto_table:15"
)
WAY = f" cookie=0xeb47400001000001, table=40, priority=200,dl_vlan=100,dl_dst={MAC} actions=group:3145729"
LEARNT = " cookie=0xeb47600001000001, table=70, priority=1,tcp actions=drop"
EMPTY, STAGED, ACTIVE = (INFRASTRUCTURE,), (INFRASTRUCTURE, OF_TYPE, OF_VSI), (INFRASTRUCTURE, OF_TYPE, OF_VSI, GATE)


def states(*lines: str) -> list[str]:
    return [rule.state.value for rule in stated(lines)]


def test_a_body_is_staged_until_there_is_a_gate() -> None:
    assert states(*STAGED) == ["infrastructure", "staged", "staged"]
    assert states(*ACTIVE) == ["infrastructure", "active", "active", "active"]


def test_the_way_to_a_vm_elsewhere_activates_no_body() -> None:
    assert states(OF_TYPE, OF_VSI, WAY) == ["staged", "active", "staged"]


def test_the_gate_of_another_generation_activates_no_body() -> None:
    later = OF_VSI.replace("0xeb47300001000001", "0xeb47300001000002")
    assert states(GATE, later) == ["active", "staged"]


def test_rules_that_a_switch_has_learnt_are_no_change() -> None:
    assert states(LEARNT) == ["learnt"]
    assert not change(STAGED, (*STAGED, LEARNT)) and not change((*STAGED, LEARNT), STAGED)


def test_a_change_has_what_was_added_and_what_became_active() -> None:
    found = change(STAGED, ACTIVE)
    assert [rule.rule.line for rule in found.added] == [GATE.strip()]
    assert (found.removed, found.activated, found.deactivated) == ((), 2, 0)
    back = change(ACTIVE, STAGED)
    assert (len(back.removed), back.added, back.activated, back.deactivated) == (1, (), 0, 2)
    assert not change(ACTIVE, ACTIVE)


def test_only_what_has_changed_is_shown() -> None:
    lines = list(change_lines({"s1": STAGED, "s2": EMPTY}, {"s1": ACTIVE, "s2": EMPTY}, 9))
    assert lines[0] == "s1: staged 2 -> 0, active 0 -> 3"
    assert lines[1].startswith("  + active: INGRESS") and lines[2] == "  = 2 rules, staged before, are active now"
    assert len(lines) == 3
    assert list(change_lines({"s1": ACTIVE}, {"s1": ACTIVE}, 9)) == ["no rule has changed"]


def test_of_many_rules_some_are_shown_and_the_others_counted() -> None:
    many = tuple(OF_TYPE.replace("priority=1", f"priority={number}") for number in range(1, 11))
    shown = list(change_lines({"s1": ()}, {"s1": many}, 3))
    assert len(shown) == 5 and shown[-1] == "  + staged: and 7 more"


@pytest.mark.parametrize(
    ("state", "number"), [("", 3), ("all", 4), ("active", 3), ("staged", 0), ("infrastructure", 1)]
)
def test_a_dump_is_of_a_state(state: str, number: int) -> None:
    head, *rules = dump_lines({"s1": ACTIVE}, state)
    assert head == "s1: 0 staged, 3 active, 0 learnt, 1 infrastructure"
    assert len(rules) == number


def test_sightings_of_a_vm() -> None:
    assert is_staged(STAGED, "vm1") and not is_staged(ACTIVE, "vm1") and not is_staged(EMPTY, "vm1")
    assert is_open(ACTIVE, "vm1") and not is_open(ACTIVE, "vm2") and not is_open((WAY,), "vm1")
    assert open_at({"s1": ACTIVE, "s2": (WAY,)}, "vm1") == ["s1"]
    assert (mentions(ACTIVE, "vm1"), mentions(ACTIVE, "vm2")) == (2, 0)
    assert number_changed({"s1": EMPTY, "s2": EMPTY}, {"s1": STAGED, "s2": EMPTY}) == 2


def test_states_are_those_of_the_lines_of_a_dump() -> None:
    assert {state.value for state in RuleState} == {"staged", "active", "learnt", "infrastructure"}
