"""Rules that somebody deletes or alters behind our back come back; foreign rules are nobody's business."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import pytest

from ryu_apps.evb.events.other import TimerExpired
from ryu_apps.evb.events.switch import SwitchRead
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.portions import PORTION
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.flow.shown import DecodedRules
from ryu_apps.evb.model import VsiBinding
from ryu_apps.evb.pipeline.tables import CookieKind, cookie, of_kind
from ryu_apps.evb.policy.model import Acl, PolicySet, VsiType
from ryu_apps.evb.services.body import body_of_vsi
from ryu_apps.evb.services.firewall.schema import FirewallPolicy, Lifetimes
from ryu_apps.evb.switches import audit as audit_of_switches
from ryu_apps.evb.switches.audit import INTERVAL, SHARE
from ryu_apps.evb.switches.shown_gates import owners
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.switch import GateMode, Profile
from ryu_apps.evb.vsi import installer
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds import learnt
from tests.worlds.bridge import HV1, HV2, OPEN, S1, Vm, World, open_type, two_switches, with_gates

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


def test_audits_are_as_much_rarer_as_they_take_longer(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """250,000 rules, of 8,192 VSIs, every 30 s would be a tenth of a core."""
    audit = world.engine.comparisons.audit
    assert audit.interval == INTERVAL
    rules = sum(len(table.rules) for table in world.tables.values())
    monkeypatch.setattr(audit_of_switches, "COST", 100 * SHARE * INTERVAL / rules)
    # The second audit knows of how many rules the first one was.
    keep_alive_through(world, 2 * INTERVAL + 1)
    assert audit.interval == pytest.approx(100 * INTERVAL)
    key = next(iter(world.rules(S1, CookieKind.GATE)))
    before = world.snapshot()
    del world.tables[S1].rules[key]
    keep_alive_through(world, 2 * INTERVAL)
    assert world.snapshot() != before


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


@pytest.mark.parametrize("crowded", [True, False])
def test_what_was_learnt_for_programs_that_are_gone_is_removed(crowded: bool) -> None:
    """And what was learnt for others stays, also where tables have so many rules that it is not shown."""
    firewall = FirewallPolicy(Acl(default=True), Acl(), 10, Lifetimes(60, 20, 60, 60))
    world = World(policies=PolicySet({OPEN: replace(open_type(OPEN), services=(("firewall", firewall),))}))
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.crowded.update({S1} if crowded else ())
    learnt.learn(world, VM, 1000, idle=0)
    before = world.snapshot()
    (living,) = world.rules(S1, CookieKind.STATE).values()
    rules = world.tables[S1].rules
    stray = replace(living, cookie=cookie(CookieKind.STATE, 77, 1), match=match(in_port=5))
    rules[stray.key] = stray
    keep_alive_through(world, INTERVAL + 1)
    assert world.snapshot() == before
    asked = world.engine.comparisons.audit.ask(S1)
    assert asked is not None
    assert (asked.left_out, asked.expected) == (of_kind(CookieKind.STATE), (living.cookie,))


def test_audit_of_a_switch_in_order_sends_nothing(world: World) -> None:
    world.applied.clear()
    keep_alive_through(world, 3 * INTERVAL)
    assert world.applied == []


def test_restart_with_nothing_changed_sends_no_rule(world: World) -> None:
    world.applied.clear()
    world.restart_controller()
    assert [apply.change.add + apply.change.remove for apply in world.applied] == [(), ()]


# --- in portions ---
AUDITED = [Vm(number) for number in range(100, 200)]
DECODED = 24


@pytest.fixture
def large() -> World:
    """A switch with many rules, which an audit has just asked for."""
    world = World(two_switches(Timers(rwd=22, rka=27)))
    world.connect()
    for vm in AUDITED:
        world.ask(HV1, vm, VdpMode.ASSOCIATE)
    world.slow_reads.add(S1)
    world.advance(INTERVAL)
    assert len(world.reads) == 1
    return world


def turns(world: World) -> Iterator[None]:
    """Show the rules in portions, and then serve deadlines that are over; yields after each event."""
    while world.reads:
        world.read_on(DECODED)
        yield
    while (deadline := world.engine.deadline) is not None and deadline <= world.now:
        world.feed(TimerExpired())
        yield


def test_audit_handles_few_rules_a_turn(large: World, monkeypatch: pytest.MonkeyPatch) -> None:
    composed = [0]

    def counted(vsi_type: VsiType, binding: VsiBinding, profile: Profile) -> tuple[Rule, ...]:
        rules = body_of_vsi(vsi_type, binding, profile)
        composed[-1] += len(rules)
        return rules

    monkeypatch.setattr(installer, "body_of_vsi", counted)
    composed.extend(0 for _ in turns(large))
    assert sum(composed) >= len(AUDITED)
    assert max(composed) <= 2 * PORTION
    # All rules are composed and compared; of the latter some portions are a turn.
    rules = len(large.tables[S1].rules)
    assert len(composed) >= sum(composed) / PORTION + rules / (6 * PORTION)
    assert large.engine.comparisons.drifted == 0


@pytest.mark.parametrize("after", [0, 1, 3, 8, 15, 18, 20])
def test_associate_and_deassociate_go_between_two_turns_of_an_audit(large: World, after: int) -> None:
    """Neither waits, and what they change is not taken for a difference; what somebody has deleted comes back."""
    del large.tables[S1].rules[next(iter(large.rules(S1, CookieKind.TYPE_BODY)))]
    del large.tables[S1].rules[next(iter(large.rules(S1, CookieKind.INFRASTRUCTURE)))]
    ((token, audit),) = large.reads.items()
    left = tuple(large.tables[S1].rules.values())
    assert isinstance(audit, SwitchRead)
    large.reads[token] = replace(audit, shown=DecodedRules(left))
    audited = turns(large)
    for _ in range(after):
        next(audited)
    large.send(HV2, VM.tlv(VdpMode.ASSOCIATE), VM.address)
    assert large.answer(HV2).success
    large.send(HV1, AUDITED[0].tlv(VdpMode.DEASSOCIATE))
    large.send(HV1, AUDITED[50].tlv(VdpMode.DEASSOCIATE))
    for _ in audited:
        pass
    assert large.engine.comparisons.drifted == 2
    assert large.rules(S1) == large.engine.wanted(S1).rules


def test_audit_that_a_lost_switch_ends_is_not_gone_on_with(large: World) -> None:
    audited = turns(large)
    for _ in range(15):
        next(audited)
    large.disconnect(S1)
    large.slow_reads.clear()
    large.connect(S1)
    for _ in audited:
        pass
    large.advance(INTERVAL)
    assert large.engine.comparisons.drifted == 0
    assert large.rules(S1) == large.engine.wanted(S1).rules


def test_switch_that_is_brought_up_in_portions_gets_what_it_lacks(large: World) -> None:
    large.disconnect(S1)
    before = large.snapshot()
    del large.tables[S1].rules[next(iter(large.rules(S1, CookieKind.TYPE_BODY)))]
    large.connect(S1)
    assert large.snapshot() != before
    for _ in turns(large):
        pass
    assert large.snapshot() == before
    assert large.engine.bringup.ready(S1)


def test_owners_are_those_of_rules_of_one_kind() -> None:
    cookies = [cookie(CookieKind.GATE, 3, 1), cookie(CookieKind.GATE, 3, 2), cookie(CookieKind.VSI_BODY, 4), 7]
    assert owners(cookies, (CookieKind.GATE,)) == {3}


def test_own_rules_of_an_earlier_composition_are_taken_over_only_while_they_are_right() -> None:
    """A switch whose gates are found not to work as meters has other rules of the same programs."""
    world = World(with_gates(two_switches(), GateMode.AUTO))
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    wanted, before = world.engine.wanted, world.engine.wanted(S1)
    assert wanted(S1, before).rules == before.rules
    world.engine.lifecycle.installer.gate_meters.prove(S1, proven=False)
    assert wanted(S1, before).rules == wanted(S1).rules != before.rules
