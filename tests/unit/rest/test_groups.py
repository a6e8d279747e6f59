"""``/evb/groups`` and ``/evb/vsis/{vsi}/foreseen``: what a simulation of the switches needs beside their rules."""

from __future__ import annotations

import re
from collections.abc import Iterable

import pytest

from ryu_apps.evb.flow.rule import FIRST_COUNTER, FIRST_GATE_METER, Rule, RuleKey
from ryu_apps.evb.pipeline.notation import group_text
from ryu_apps.evb.pipeline.notation_reader import read_rule
from ryu_apps.evb.pipeline.tables import CookieKind, parse_cookie
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.topologies import multi_switch
from tests.worlds.bridge import HV1, HV3, S1, S2, Vm, two_switches, without_extensions
from tests.worlds.explained import explained_world
from tests.worlds.rest import RestWorld, pages

VM, OTHER = Vm(7), Vm(8)


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld()
    world.connect()
    return world


@pytest.mark.parametrize("dpid", [S1, S2])
def test_groups_are_those_that_the_switch_has(world: RestWorld, dpid: int) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    shown = [group["text"] for group in world.get(f"/evb/groups/{dpid:016x}")]
    assert shown
    assert shown == [group_text(group) for _, group in sorted(world.tables[dpid].groups.items())]


@pytest.mark.parametrize("gate", GateMode)
@pytest.mark.parametrize("dpid", [S1, S2])
def test_meters_are_those_that_the_switch_has(gate: GateMode, dpid: int) -> None:
    world = explained_world(gate)
    shown = {meter["meter_id"]: (meter["rate"], meter["burst"]) for meter in world.get(f"/evb/meters/{dpid:016x}")}
    held = {number: (meter.rate, meter.burst) for number, meter in world.tables[dpid].meters.items()}
    assert shown == {number: held[number] for number in held if number < FIRST_COUNTER}
    assert any(number > FIRST_GATE_METER for number in shown) is (gate is not GateMode.RULES)


@pytest.mark.parametrize("what", ["groups", "meters"])
def test_an_unknown_switch_has_none(world: RestWorld, what: str) -> None:
    assert world.refusal(f"/evb/{what}/{9:016x}") == (404, "no switch 0000000000000009 in the fabric")


def keys(texts: Iterable[str]) -> set[RuleKey]:
    return {read_rule(text).key for text in texts}


def kind(rule: Rule) -> CookieKind | None:
    parsed = parse_cookie(rule.cookie)
    return parsed.kind if parsed else None


def foreseen(world: RestWorld, port: object) -> dict[str, dict]:
    (flip,) = (flip for flip in world.get(f"/evb/vsis/{VM.text}/foreseen") if flip["port"] == str(port))
    return {change["dpid"]: change for change in flip["switches"]}


@pytest.mark.parametrize("before", [None, HV3], ids=["arrives", "moves"])
def test_the_associate_changes_what_was_foreseen(world: RestWorld, before: object) -> None:
    if before is not None:
        world.ask(HV3, VM, VdpMode.ASSOCIATE)
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    held = world.snapshot()
    said = foreseen(world, HV1)
    assert world.snapshot() == held
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert said.keys() == {f"{dpid:016x}" for dpid in (S1, S2)}
    for dpid in (S1, S2):
        has, had, told = world.tables[dpid].rules, held[dpid], said[f"{dpid:016x}"]
        written = {read_rule(text).key: read_rule(text) for text in told["add"]}
        assert written.keys() == {key for key in has if had.get(key) != has[key]}
        assert all(has[key] == rule for key, rule in written.items())
        gone = {key for key in had.keys() - has.keys() if kind(had[key]) in (CookieKind.GATE, CookieKind.MEMBERSHIP)}
        assert gone == keys(told["remove"])


def test_an_open_gate_leaves_nothing_to_foresee(world: RestWorld) -> None:
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.get(f"/evb/vsis/{VM.text}/foreseen") == []


def test_a_switch_without_extensions_leaves_it_open() -> None:
    world = RestWorld(fabric=without_extensions(two_switches(), S1))
    world.connect()
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    assert world.get(f"/evb/vsis/{VM.text}/foreseen") == [{"port": str(HV1), "switches": None}]


def test_nothing_is_foreseen_for_an_unknown_vsi(world: RestWorld) -> None:
    assert world.refusal(f"/evb/vsis/{OTHER.text}/foreseen") == (404, f"no VSI {OTHER.text}")


def test_meters_are_selected_by_the_rules_of_a_vsi() -> None:
    world = explained_world(GateMode.METER)
    dpid = f"{S1:016x}"
    texts = [rule["text"] for rule in world.get(f"/evb/flows/{dpid}?vsi={VM.text}")]
    named = {int(found) for text in texts for found in re.findall(r"\bmeter:([0-9]+)", text)}
    every = world.get(f"/evb/meters/{dpid}")
    chosen = [meter for meter in every if meter["meter_id"] in named]
    assert 0 < len(chosen) < len(every)
    assert world.get(f"/evb/meters/{dpid}?vsi={VM.text}") == chosen
    assert world.get(f"/evb/meters/{dpid}?vsi={Vm(99).text}") == []


@pytest.mark.parametrize("mode", [VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE])
@pytest.mark.parametrize("fabric", [two_switches(), multi_switch.fabric(2, 2, 4)], ids=["two switches", "two ways"])
def test_groups_are_selected_by_the_rules_of_a_vsi(fabric: Fabric, mode: VdpMode) -> None:
    world = RestWorld(fabric=fabric)
    world.connect()
    world.ask(HV1, VM, mode)
    found = 0
    for dpid in fabric.switches:
        path = f"/evb/groups/{dpid:016x}"
        every, chosen = world.get(path), world.get(f"{path}?vsi={VM.text}")
        texts = {rule["text"] for rule in world.get(f"/evb/flows/{dpid:016x}?vsi={VM.text}")}
        # Of its rules, and of the groups that are chosen: no less and no more.
        for group in every:
            named = re.compile(rf"\b(group|watch_group):{group['group_id']:#x}\b")
            others = texts | {other["text"] for other in chosen if other != group}
            assert (group in chosen) is any(named.search(text) for text in others), group
        assert [part for page in pages(world, f"{path}?vsi={VM.text}", 1) for part in page] == chosen
        assert world.get(f"{path}?vsi={OTHER.text}") == []
        found += len(chosen)
    assert (found > 0) is (mode is VdpMode.ASSOCIATE)


def test_what_is_foreseen_is_selected_by_port_and_switch(world: RestWorld) -> None:
    for port in (HV1, HV3):
        world.ask(port, VM, VdpMode.PREASSOCIATE_RR)
    path = f"/evb/vsis/{VM.text}/foreseen"
    both = world.get(path)
    assert [flip["port"] for flip in both] == [str(HV1), str(HV3)]
    assert world.get(f"{path}?port={HV3}") == world.get(f"{path}?switch={S2}") == both[1:]
    assert world.get(f"{path}?port={HV3}&switch={S1}") == []
