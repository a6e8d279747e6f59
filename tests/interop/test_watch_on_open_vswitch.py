"""A real Open vSwitch tells what others do to it, and knows what its own controller does."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.switch import Confirmed, SwitchAltered
from ryu_apps.evb.flow.actions import ClearInPort, Learn, LearnSpec, Output, OutputGroup, whole
from ryu_apps.evb.flow.change import RuleBlock, RuleChange
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Bucket, CookieMask, Group, GroupType, Meter, Rule
from ryu_apps.evb.pipeline.tables import CookieKind, Table, cookie, owned_by
from tests.interop.controller import Controller
from tests.interop.private_ovs import PrivateOvs

BODY, GATE = cookie(CookieKind.TYPE_BODY, 3), cookie(CookieKind.GATE, 5, 2)
USED, UNUSED, METER = 0x100001, 0x100002, 9
GROUPS = tuple(Group(number, GroupType.INDIRECT, (Bucket((ClearInPort(), Output(1))),)) for number in (USED, UNUSED))
GATES = (
    Rule(Table.INGRESS, 200, match(in_port=1, eth_src=0x525400000001), GATE, goto=Table.ANTISPOOF),
    Rule(Table.FORWARD, 200, match(eth_dst=0x525400000001), GATE, apply=(OutputGroup(USED),)),
    Rule(Table.FORWARD, 200, match(eth_dst=0x525400000002), GATE, goto=Table.OUTPUT, meter=METER),
)
BLOCK = RuleBlock(tuple(Rule(Table.ACL_TO, 100, match(metadata=number), BODY) for number in range(5_000)))
HELD = RuleChange(meters=(Meter(METER, 100, 100),), groups=GROUPS, blocks=(BLOCK,), add=GATES)


@pytest.fixture
def held(controller: Controller) -> Controller:
    """A switch that holds some of everything, and has said nothing."""
    assert isinstance(controller.apply(HELD, Mode.STAGE), Confirmed)
    assert told(controller) == []
    return controller


def told(controller: Controller) -> list[SwitchAltered]:
    """Reports up to now: a barrier reply comes behind them, and the query that they cause behind the next one."""
    for _ in range(2):
        assert isinstance(controller.apply(RuleChange()), Confirmed)
    found = [event for event in controller.events if isinstance(event, SwitchAltered)]
    controller.events[:] = [event for event in controller.events if not isinstance(event, SwitchAltered)]
    return found


INGRESS_KEY = "table=10,priority=200,in_port=1,dl_src=52:54:00:00:00:01"
MEDDLING: dict[str, tuple[str, ...]] = {
    "all rules": ("del-flows",),
    "one gate": ("del-flows", "table=10,in_port=1,dl_src=52:54:00:00:00:01"),
    "one rule of a body": ("del-flows", "table=50,metadata=7"),
    "a gate altered": ("mod-flows", "table=10,actions=drop"),
    "a gate written anew": ("add-flow", f"cookie={GATE:#x},{INGRESS_KEY},actions=drop"),
    "all groups": ("del-groups",),
    "a group that is not used": ("del-groups", f"group_id={UNUSED}"),
    "a group altered": ("mod-group", f"group_id={USED},type=indirect,bucket=output:2"),
    "a meter altered": ("mod-meter", f"meter={METER},pktps,band=type=drop,rate=1"),
}


@pytest.mark.parametrize("command", MEDDLING.values(), ids=MEDDLING)
def test_what_others_do_is_told(
    held: Controller, private_ovs: PrivateOvs, bridge: str, command: tuple[str, ...]
) -> None:
    verb, *arguments = command
    private_ovs.ofctl(verb, bridge, *arguments)
    assert told(held) == [SwitchAltered(held.dpid, frozenset({METER}), certain=True)]


@pytest.mark.parametrize("rule", [INGRESS_KEY, "table=10,priority=7,in_port=44"], ids=["ours overwritten", "of theirs"])
def test_a_rule_that_others_add_may_have_been_ours(
    held: Controller, private_ovs: PrivateOvs, bridge: str, rule: str
) -> None:
    private_ovs.ofctl("add-flow", bridge, f"{rule},actions=drop")
    assert told(held) == [SwitchAltered(held.dpid, frozenset({METER}), certain=False)]


def test_a_meter_that_others_delete_is_told_and_written_anew(
    held: Controller, private_ovs: PrivateOvs, bridge: str
) -> None:
    private_ovs.ofctl("del-meters", bridge)
    assert told(held) == [SwitchAltered(held.dpid, frozenset(), certain=True)]
    assert isinstance(held.apply(HELD), Confirmed)
    assert held.rules(CookieMask(GATE, (1 << 64) - 1)) == set(GATES)


@pytest.mark.parametrize("mode", list(Mode))
def test_what_we_do_ourselves_is_not_told(held: Controller, mode: Mode) -> None:
    remove = RuleChange(
        remove=GATES[:1], delete_by_cookie=(owned_by(CookieKind.GATE, 5, 2), owned_by(CookieKind.TYPE_BODY, 3))
    )
    for change in (remove, RuleChange(groups=GROUPS, blocks=(BLOCK,), add=GATES), RuleChange(add=GATES)):
        assert isinstance(held.apply(change, mode), Confirmed)
    assert told(held) == []


def test_a_rule_that_ends_by_itself_is_not_told(held: Controller) -> None:
    detour = Rule(
        Table.FORWARD,
        300,
        match(eth_dst=5),
        cookie(CookieKind.DETOUR, 5, 2),
        apply=(OutputGroup(USED),),
        hard_timeout=1,
    )
    held.apply(RuleChange(add=(detour,)))
    while held.rules(owned_by(CookieKind.DETOUR, 5, 2)):
        pass
    assert told(held) == []


def test_what_a_switch_learns_is_not_told(held: Controller, private_ovs: PrivateOvs, bridge: str) -> None:
    state = cookie(CookieKind.STATE, 5, 2)
    learn = Learn(Table.CONNECTIONS, 7, state, 60, 5, 0, None, (LearnSpec(whole("eth_dst"), whole("eth_src")),), ())
    held.apply(RuleChange(add=(Rule(Table.ADMIT, 9, match(in_port=4), BODY, apply=(learn,)),)))
    private_ovs.trace(bridge, "in_port=4,dl_src=52:54:00:00:00:09,dl_dst=52:54:00:00:00:08")
    private_ovs.ofctl("del-flows", bridge, f"table={Table.CONNECTIONS.value}")
    assert told(held) == []


def test_a_switch_that_has_been_asked_twice_answers_the_survey_all_the_same(held: Controller) -> None:
    held.start_over()
    assert not held.up().watched, "the monitors are there, and are refused"


def test_reflective_relay_is_told_by_the_survey(held: Controller) -> None:
    held.start_over()
    assert held.up().relaying == {1, 2}
