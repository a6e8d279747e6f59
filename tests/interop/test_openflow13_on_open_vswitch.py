"""A switch of OpenFlow 1.3 alone, played by Open vSwitch: nothing else is sent to it, and it takes all of that."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.event_catalogue.switches import SwitchUnsuitable
from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.switch import Confirmed, FragmentsHandled, Rejected, SwitchUp
from ryu_apps.evb.flow.actions import Resubmit, SetField
from ryu_apps.evb.flow.change import FlowTable, RuleChange
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import GroupType, Rule
from ryu_apps.evb.pipeline.tables import OURS, CookieKind, Table, cookie
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.southbound.wall import check
from tests.interop.controller import Controller
from tests.interop.private_ovs import PrivateOvs
from tests.worlds.bridge import HV1, HV2, HV3, S1, S2, Vm, World, two_switches, without_extensions

_NEIGHBOUR = cookie(CookieKind.INFRASTRUCTURE)


@pytest.fixture
def plain(controller: Controller) -> Controller:
    """A controller whose switch has OpenFlow 1.3 alone."""
    controller.start_over(Profile.OPENFLOW13)
    controller.sent.clear()
    return controller


def world_of_vms() -> World:
    world = World(without_extensions(two_switches(), S1, S2), forward_in_flight=2)
    world.connect()
    for port, vm in ((HV1, Vm(1)), (HV2, Vm(2)), (HV3, Vm(3))):
        world.ask(port, vm, VdpMode.ASSOCIATE)
    return world


def whole(table: FlowTable) -> RuleChange:
    """All that a switch holds, as one change."""
    meters, groups, rules = (tuple(held.values()) for held in (table.meters, table.groups, table.rules))
    return RuleChange(meters=meters, groups=groups, add=rules)


def test_it_takes_all_that_switches_with_vsis_hold_and_shows_it_unchanged(plain: Controller) -> None:
    world, up = world_of_vms(), plain.up()
    assert not up.watched
    for dpid in (S1, S2):
        change = whole(world.tables[dpid])
        assert isinstance(plain.apply(change, Mode.STAGE), Confirmed)
        assert plain.rules(OURS) == set(world.tables[dpid].rules.values())
        assert isinstance(plain.apply(RuleChange(delete_by_cookie=(OURS,))), Confirmed)
    for octets in plain.sent:
        check(octets)


def test_its_features_are_enough_and_the_lack_of_any_of_them_is_a_reason(plain: Controller) -> None:
    world, told = World(without_extensions(two_switches(), S1)), plain.up().features
    wanted = world.engine.wanted
    assert told.tables and told.group_types and told.meters and told.drops_fragments
    assert wanted.unsuitable(S1, told) is None
    lame = told.tables[Table.ANTISPOOF]
    for of_table, reason in (
        (replace(lame, matched=lame.matched - {"arp_sha"}), "table 20 cannot match arp_sha"),
        (replace(lame, masked=lame.masked - {"metadata"}), "table 20 cannot mask metadata"),
        (replace(lame, next_tables=set()), "table 20 does not lead to table 30, 40"),
        (replace(lame, instructions=set()), "table 20 cannot carry out goto_table"),
        (None, "it has no table 20"),
    ):
        tables = {number: table for number, table in told.tables.items() if number != Table.ANTISPOOF}
        tables |= {} if of_table is None else {int(Table.ANTISPOOF): of_table}
        assert wanted.unsuitable(S1, replace(told, tables=tables)) == reason
    unmasked = {number: replace(table, masked=set()) for number, table in told.tables.items()}
    assert wanted.unsuitable(S1, replace(told, tables=unmasked)) is None
    indirect = frozenset({GroupType.INDIRECT, GroupType.FAST_FAILOVER})
    assert wanted.unsuitable(S1, replace(told, group_types=indirect)) == "it has no groups of type all"
    assert wanted.unsuitable(S1, replace(told, meters=0)) == "it has 0 meters, 9 are needed"
    assert wanted.unsuitable(S1, replace(told, drops_fragments=False)) == "it does not drop IP fragments"


def test_a_switch_that_lacks_something_is_sent_no_rule() -> None:
    world = World(without_extensions(two_switches(), S1))
    world.feed(SwitchUp(S1, {1: True}, features=replace(SwitchUp(S1, {}).features, drops_fragments=False)))
    assert not world.applied
    assert SwitchUnsuitable(S1, "it does not drop IP fragments") in world.happened


def test_it_drops_fragments_from_the_survey_on(plain: Controller, private_ovs: PrivateOvs, bridge: str) -> None:
    plain.up()
    assert "drop" in private_ovs.ofctl("get-frags", bridge)
    private_ovs.ofctl("set-frags", bridge, "normal")
    plain.rules(OURS)
    assert plain.until(FragmentsHandled) == FragmentsHandled(plain.dpid, before=False, shown=True)
    assert "drop" in private_ovs.ofctl("get-frags", bridge)


def test_the_wall_stops_an_extension_wherever_it_comes_from(plain: Controller) -> None:
    plain.up()
    good = Rule(Table.OUTPUT, 1, (), _NEIGHBOUR)
    for bad, reason in (
        (Rule(Table.FORWARD, 1, (), _NEIGHBOUR, (Resubmit(Table.OUTPUT),)), "an action of type 0xffff"),
        (Rule(Table.FORWARD, 1, match(reg0=1), _NEIGHBOUR), "field 0 of class 0x1"),
        (Rule(Table.FORWARD, 1, match(eth_type=0x0800, ip_frag=1), _NEIGHBOUR), "field 26 of class 0x1"),
        (Rule(Table.FORWARD, 1, (), _NEIGHBOUR, (SetField("metadata", 1),)), "an action that sets field 2"),
    ):
        for mode in Mode:
            sent = len(plain.sent)
            ended = plain.apply(RuleChange(add=(good, bad)), mode)
            assert isinstance(ended, Rejected) and ended.reason == f"not OpenFlow 1.3: {reason}"
            check(b"".join(plain.sent[sent:]))
            assert bad.key not in {rule.key for rule in plain.rules(OURS)}
    assert isinstance(plain.apply(RuleChange(add=(good,)), Mode.ATOMIC), Confirmed)


def flow_mods(sent: list[bytes]) -> list[tuple[int, int]]:
    """Table and command of each flow-mod in the order of sending; barriers are left out."""
    found = []
    for octets in sent:
        at = 0
        while at < len(octets):
            if octets[at + 1] == ofp.OFPT_FLOW_MOD:
                found.append((octets[at + 24], octets[at + 25]))
            at += int.from_bytes(octets[at + 2 : at + 4])
    return found


def test_a_gate_is_shut_first_and_opened_last(plain: Controller) -> None:
    world = world_of_vms()
    before = FlowTable(dict(world.tables[S1].rules), dict(world.tables[S1].groups), dict(world.tables[S1].meters))
    plain.up()
    sent = len(world.applied)
    world.ask(HV2, Vm(1), VdpMode.ASSOCIATE, migrating=True)
    (flip,) = [apply for apply in world.applied[sent:] if apply.dpid == S1 and apply.mode is Mode.ATOMIC]
    assert isinstance(plain.apply(whole(before)), Confirmed)
    plain.sent.clear()
    assert isinstance(plain.apply(flip.change, Mode.ATOMIC), Confirmed)
    mods = flow_mods(plain.sent)
    assert mods[0] == (Table.INGRESS, ofp.OFPFC_DELETE_STRICT)
    added = [table for table, command in mods if command == ofp.OFPFC_ADD]
    assert added == sorted(added, reverse=True) and added[-1] == Table.INGRESS
    before.apply(flip.change)
    assert plain.rules(OURS) == set(before.rules.values())


def test_a_flip_that_is_refused_before_the_gate_leaves_the_gate_shut(plain: Controller) -> None:
    plain.up()
    gate = Rule(Table.INGRESS, 200, match(in_port=1), cookie(CookieKind.GATE, 5, 2), goto=Table.GUARD)
    astray = Rule(Table.FORWARD, 200, match(in_port=1), cookie(CookieKind.GATE, 5, 2), meter=77)
    ended = plain.apply(RuleChange(add=(gate, astray)), Mode.ATOMIC)
    assert isinstance(ended, Rejected) and "FORWARD" in ended.reason
    assert plain.rules(OURS) == set()
