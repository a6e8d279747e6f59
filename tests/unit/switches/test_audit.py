"""Rules that somebody deletes or alters behind our back come back; foreign rules are nobody's business."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.flow.rule import Rule, match
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.switches.audit import INTERVAL
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, S1, Vm, World

VM = Vm(7)


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    return world


def keep_alive_through(world: World, seconds: float) -> None:
    """Let time pass without losing the VSI."""
    for _ in range(int(seconds)):
        world.advance(1.0)
        world.ask(HV1, VM, VdpMode.ASSOCIATE)


#: Kinds of rules that a switch adds and removes by itself.
OF_SWITCHES = (CookieKind.STATE, CookieKind.DETOUR, CookieKind.BOND_LINK)


@pytest.mark.parametrize("kind", [kind for kind in CookieKind if kind not in OF_SWITCHES])
def test_deleted_rule_comes_back(world: World, kind: CookieKind) -> None:
    before = world.snapshot()
    key = next(iter(world.rules(S1, kind)))
    del world.tables[S1].rules[key]
    keep_alive_through(world, INTERVAL + 1)
    assert world.snapshot() == before
    assert world.engine.comparisons.drifted == 1


def test_altered_and_added_rules_of_ours_are_put_right(world: World) -> None:
    before = world.snapshot()
    rules = world.tables[S1].rules
    key, gate = next(iter(world.rules(S1, CookieKind.GATE).items()))
    rules[key] = replace(gate, goto=None)
    stray = Rule(99, 1, match(in_port=5), gate.cookie)
    rules[stray.key] = stray
    keep_alive_through(world, INTERVAL + 1)
    assert world.snapshot() == before


def test_foreign_rules_stay(world: World) -> None:
    foreign = Rule(0, 7, match(in_port=5), cookie=0x1234)
    world.tables[S1].rules[foreign.key] = foreign
    keep_alive_through(world, INTERVAL + 1)
    assert foreign.key in world.tables[S1].rules and world.engine.comparisons.drifted == 0


def test_audit_of_a_switch_in_order_sends_nothing(world: World) -> None:
    world.applied.clear()
    keep_alive_through(world, 3 * INTERVAL)
    assert world.applied == []


def test_restart_with_nothing_changed_sends_no_rule(world: World) -> None:
    world.applied.clear()
    world.restart_controller()
    assert [apply.change.add + apply.change.remove for apply in world.applied] == [(), ()]
