"""The driver of a switch without extensions: stages, groups, read-back; the switch answers when the test says so."""

from __future__ import annotations

import struct
from dataclasses import replace

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import Mode, ReadRules
from ryu_apps.evb.events.switch import Confirmed, FragmentsHandled, Rejected, RulesRead, SwitchRead
from ryu_apps.evb.flow.actions import Output, OutputGroup, SetField
from ryu_apps.evb.flow.change import RuleBlock, RuleChange
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Bucket, Group, GroupType, Meter, Rule
from ryu_apps.evb.pipeline.tables import FLOOD_GROUP, OURS, CookieKind, Table, cookie
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.southbound.encode import FLOW_MOD_FIXED, flow_add, group_write
from ryu_apps.southbound.wall import check
from tests.unit.southbound.test_driver import Bench, multipart

OWNER = cookie(CookieKind.GATE, 1, 1)
FLOOD = FLOOD_GROUP | 2
#: A gate moves: group and rules come, rules and a group go.
OLD_INGRESS, NEW_INGRESS = (Rule(Table.INGRESS, 2, match(in_port=port), OWNER) for port in (1, 2))
OLD_FORWARD, NEW_FORWARD = (Rule(Table.FORWARD, 2, match(eth_dst=port), OWNER) for port in (1, 2))
OLD_PAGE = Rule(Table.FLOOD_PAGE, 2, match(metadata=(2, 2)), OWNER)
NEW_PAGE = Rule(Table.FLOOD_PAGE, 2, match(metadata=(1, 1)), OWNER, (OutputGroup(FLOOD),))
MOVE = RuleChange(
    meters=(Meter(3, 10, 10),),
    groups=(Group(FLOOD, GroupType.ALL, (Bucket((SetField("eth_dst", 1), Output(1))),)),),
    blocks=(RuleBlock((NEW_INGRESS,)),),
    add=(NEW_FORWARD, NEW_PAGE),
    remove=(OLD_PAGE, OLD_FORWARD, OLD_INGRESS),
    delete_groups=(7,),
)
FLOW, GROUP, METER = ofp.OFPT_FLOW_MOD, ofp.OFPT_GROUP_MOD, ofp.OFPT_METER_MOD
ADD, REMOVE = ofp.OFPFC_ADD, ofp.OFPFC_DELETE_STRICT
STAGES = [
    [(FLOW, Table.INGRESS, REMOVE)],
    [(METER, None, ofp.OFPMC_ADD)],
    [(GROUP, None, ofp.OFPGC_ADD)],
    [(FLOW, Table.FLOOD_PAGE, ADD)],
    [(FLOW, Table.FORWARD, ADD)],
    [(FLOW, Table.INGRESS, ADD)],
    [(FLOW, Table.FORWARD, REMOVE)],
    [(FLOW, Table.FLOOD_PAGE, REMOVE)],
    [(GROUP, None, ofp.OFPGC_DELETE)],
]


@pytest.fixture
def bench() -> Bench:
    return Bench(Profile.OPENFLOW13)


def stage(bench: Bench) -> list[tuple[int, int | None, int]]:
    """Kind, table and command of the messages that wait for a barrier; they end with exactly one."""
    *mods, barrier = bench.sent
    assert barrier.kind == ofp.OFPT_BARRIER_REQUEST
    return [
        (sent.kind, sent.octets[24], sent.octets[25])
        if sent.kind == FLOW
        else (sent.kind, None, int.from_bytes(sent.octets[8:10]))
        for sent in mods
    ]


def test_a_gate_moves_in_stages_and_each_waits_for_the_one_before(bench: Bench) -> None:
    bench.submit(7, MOVE, Mode.ATOMIC)
    for expected in STAGES:
        assert stage(bench) == expected
        assert bench.events == []
        bench.answer(bench.sent[-1])
    assert bench.sent == [] and bench.events == [Confirmed(1, 7)]


@pytest.mark.parametrize("refused", range(len(STAGES)))
def test_a_refused_stage_is_the_last_one(bench: Bench, refused: int) -> None:
    bench.submit(7, MOVE, Mode.ATOMIC)
    for _ in range(refused):
        bench.answer(bench.sent[-1])
    mod, barrier = bench.sent
    bench.refuse(mod, ofp.OFPET_FLOW_MOD_FAILED, ofp.OFPFMFC_TABLE_FULL)
    bench.answer(barrier)
    assert bench.sent == []
    (ended,) = bench.events
    assert isinstance(ended, Rejected) and ended.token == 7


def group(*ports: int) -> RuleChange:
    return RuleChange(groups=(Group(FLOOD, GroupType.ALL, tuple(Bucket((Output(port),)) for port in ports)),))


def commands(bench: Bench) -> list[int]:
    """Commands of the group-mods that have been sent since; the switch takes all of them."""
    found = [int.from_bytes(sent.octets[8:10]) for sent in bench.waiting(GROUP)]
    bench.answer_barriers()
    return found


def test_a_group_is_added_once_and_modified_until_it_is_deleted(bench: Bench) -> None:
    for mode in Mode:
        for change, expected in (
            (group(1), ofp.OFPGC_ADD),
            (group(1, 2), ofp.OFPGC_MODIFY),
            (RuleChange(delete_groups=(FLOOD,)), ofp.OFPGC_DELETE),
        ):
            bench.submit(7, change, mode)
            assert commands(bench) == [expected]


def test_only_the_groups_that_a_comparison_names_are_kept(bench: Bench) -> None:
    surveyed(bench, Group(FLOOD, GroupType.ALL, ()), Group(FLOOD + 2, GroupType.ALL, ()), Group(5, GroupType.ALL, ()))
    bench.submit(7, RuleChange(keep_groups=frozenset({FLOOD})))
    (sent,) = bench.waiting(GROUP)
    command, _kind, group_id = struct.unpack_from("!HBxI", sent.octets, 8)
    assert (command, group_id) == (ofp.OFPGC_DELETE, FLOOD + 2)


def test_what_a_switch_says_of_a_group_is_what_is_known_of_it(bench: Bench) -> None:
    for code, sent, then in (
        (ofp.OFPGMFC_GROUP_EXISTS, ofp.OFPGC_ADD, ofp.OFPGC_MODIFY),
        (ofp.OFPGMFC_UNKNOWN_GROUP, ofp.OFPGC_MODIFY, ofp.OFPGC_ADD),
    ):
        bench.submit(7, group(1))
        (mod,) = bench.waiting(GROUP)
        assert int.from_bytes(mod.octets[8:10]) == sent
        bench.refuse(mod, ofp.OFPET_GROUP_MOD_FAILED, code)
        bench.answer_barriers()
        bench.submit(8, group(1))
        assert commands(bench) == [then]


def surveyed(bench: Bench, *groups: Group) -> None:
    """Let the switch tell its features: these groups, and nothing else."""
    bench.driver.query_features()
    for asked in list(bench.sent):
        kind = int.from_bytes(asked.octets[8:10])
        if asked.kind == ofp.OFPT_GET_CONFIG_REQUEST:
            bench.answer(asked, ofp.OFPT_GET_CONFIG_REPLY, struct.pack("!HH", ofp.OFPC_FRAG_DROP, 0))
        elif asked.kind == ofp.OFPT_MULTIPART_REQUEST:
            listed = b"".join(map(described, groups)) if kind == ofp.OFPMP_GROUP_DESC else b""
            bench.answer(asked, ofp.OFPT_MULTIPART_REPLY, multipart(kind, listed))
    bench.events.clear()


def described(group: Group) -> bytes:
    body = group_write(group)[16:]
    return struct.pack("!HBxI", 8 + len(body), group.type.value, group.group_id) + body


def test_a_survey_has_no_extension_and_sets_the_fragment_mode(bench: Bench) -> None:
    bench.driver.query_features()
    for sent in bench.sent:
        check(sent.octets)
    assert bench.sent[0].kind == ofp.OFPT_SET_CONFIG and bench.sent[0].octets[9] == ofp.OFPC_FRAG_DROP


def test_a_comparison_restores_the_fragment_mode(bench: Bench) -> None:
    bench.driver.read(ReadRules(1, 5, OURS))
    for mode in (ofp.OFPC_FRAG_NORMAL, ofp.OFPC_FRAG_DROP):
        asked = next(sent for sent in bench.sent if sent.kind == ofp.OFPT_GET_CONFIG_REQUEST)
        bench.answer(asked, ofp.OFPT_GET_CONFIG_REPLY, struct.pack("!HH", mode, 0))
    assert bench.events[0] == FragmentsHandled(1, before=False, shown=True)


SHOWN = Rule(30, 100, match(in_port=1, eth_type=0x0800, metadata=(5, 7)), OWNER, goto=40)


#: Of a table: its number, and one rule.
_TABLE = struct.pack("!B3xIQQ", 30, 1, 0, 0)


def reversed_fields() -> bytes:
    """A part of a flow statistics reply: the rule above with its match fields in the opposite order."""
    tail = flow_add(replace(SHOWN, match=tuple(reversed(SHOWN.match))))[FLOW_MOD_FIXED:]
    head = (FLOW_MOD_FIXED + len(tail), SHOWN.table, 0, 0, SHOWN.priority, 0, 0, 0, SHOWN.cookie, 0, 0)
    return multipart(ofp.OFPMP_FLOW, struct.pack("!HBxIIHHHHxxxxQQQ", *head) + tail)


def test_rules_are_read_in_whatever_order_their_fields_are(bench: Bench) -> None:
    bench.driver.read(ReadRules(1, 5, OURS, Table.ACL_FROM))
    bench.answer(bench.sent[-1], ofp.OFPT_MULTIPART_REPLY, reversed_fields())
    assert bench.events[-1] == RulesRead(1, 5, (SHOWN,))


def test_a_switch_is_read_in_whatever_order_fields_are(bench: Bench) -> None:
    """In portions, since each rule is decoded."""
    bench.driver.read(ReadRules(1, 5, OURS))
    meters, statistics = bench.waiting(ofp.OFPT_MULTIPART_REQUEST)
    bench.answer(meters, ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_METER_CONFIG))
    bench.answer(statistics, ofp.OFPT_MULTIPART_REPLY, multipart(ofp.OFPMP_TABLE, _TABLE))
    bench.driver.read_on()
    bench.answer(bench.sent[-1], ofp.OFPT_MULTIPART_REPLY, reversed_fields())
    bench.driver.read_on()
    (read,) = [event for event in bench.events if isinstance(event, SwitchRead)]
    assert read.shown.take([SHOWN]) == [] and not read.shown


def test_a_body_is_confirmed_in_whatever_order_its_fields_are_shown(bench: Bench) -> None:
    bench.submit(7, RuleChange(blocks=(RuleBlock((SHOWN,)),)), Mode.STAGE)
    (asked,) = bench.waiting(ofp.OFPT_MULTIPART_REQUEST)
    barriers = bench.waiting()
    bench.answer(barriers[0])
    bench.answer(asked, ofp.OFPT_MULTIPART_REPLY, reversed_fields())
    assert bench.events == [Confirmed(1, 7)]
