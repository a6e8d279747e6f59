"""Rules and groups in one line are read back as they were."""

from __future__ import annotations

from pathlib import Path

import pytest

from ryu_apps.evb.flow.actions import (
    Bits,
    ClearInPort,
    Clone,
    FinTimeout,
    Learn,
    LearnSpec,
    Output,
    OutputGroup,
    PopVlan,
    PushVlan,
    RegLoad,
    Resubmit,
    SetField,
    StackPop,
    StackPush,
    whole,
)
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import (
    Bucket,
    Group,
    GroupType,
    Rule,
)
from ryu_apps.evb.pipeline.notation import group_text, rule_text
from ryu_apps.evb.pipeline.notation_reader import read_group, read_rule
from ryu_apps.evb.pipeline.tables import Table

PROGRAMS = sorted((Path(__file__).parents[2] / "golden/policies").rglob("*.flows"))

LEARN = Learn(
    Table.CONNECTIONS,
    200,
    0xEB47,
    30,
    5,
    100,
    Bits("reg0", 3, 1),
    (
        LearnSpec(whole("eth_type"), 0x0800),
        LearnSpec(whole("ipv4_src"), whole("ipv4_dst")),
        LearnSpec(whole("vlan_vid"), whole("vlan_vid")),
        LearnSpec(Bits("metadata", 16, 20), 7),
    ),
    (LearnSpec(Bits("reg0", 0, 1), 1), LearnSpec(whole("ipv4_dst"), whole("ipv4_src"))),
    hard_timeout=9,
)
ACTIONS = (
    *(PopVlan(), PushVlan(), SetField("vlan_vid", 0x1064), SetField("eth_dst", 0xFFFFFFFFFFFF)),
    *(SetField("ipv6_dst", 0xFE80 << 112 | 1), Resubmit(Table.FLOOD_PAGE), Clone(Table.METERED_TO), ClearInPort()),
    *(RegLoad(Bits("reg0", 0, 4), 5), StackPush(whole("eth_src")), StackPop(Bits("reg3", 2, 8))),
    *(FinTimeout(10), LEARN, OutputGroup(0x100001), Output(4)),
)
MATCH = match(
    in_port=3,
    eth_src=0x525400000001,
    vlan_vid=(0x1000, 0x1000),
    ipv4_src=(0x0A000000, 0xFF000000),
    ipv4_dst=(0x0A000001, 0xFF0000FF),
    ipv6_src=(0xFE80 << 112, 0x3FF << 118),
    ip_frag=1,
    tcp_dst=(0x1F40, 0xFFF8),
    metadata=(0x10000, 0xFFFFF0000),
)


def test_every_action_and_every_kind_of_field() -> None:
    rule = Rule(Table.ACL_TO, 7, MATCH, 0xEB47000000000001, ACTIONS, (0x1, 0xFF), Table.OUTPUT, 9, 10, 20)
    assert read_rule(rule_text(rule)) == rule


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_programs_of_all_policies(program: Path) -> None:
    lines = [line for line in program.read_text().splitlines() if line.startswith("table=")]
    assert len(lines) > 10
    assert [rule_text(read_rule(line)) for line in lines] == lines


def test_groups() -> None:
    groups = (
        Group(0x100001, GroupType.INDIRECT, (Bucket((ClearInPort(), PopVlan(), Output(1))),)),
        Group(0x300001, GroupType.FAST_FAILOVER, (Bucket((Output(11),), watch_port=11), Bucket((Output(12),), 12))),
        Group(0x600001, GroupType.SELECT, (Bucket((OutputGroup(0x300001),), weight=2, watch_group=0x300001),)),
        Group(0x800000, GroupType.ALL, ()),
        Group(0x500001, GroupType.SELECT, (Bucket((SetField("eth_dst", 5), Resubmit(Table.FORWARD)), weight=1),)),
        Group(0x500002, GroupType.ALL, (Bucket(()),)),
    )
    assert [read_group(group_text(group)) for group in groups] == list(groups)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "table=ACL_TO priority=x cookie=0x1 any actions=drop",
        "table=NOWHERE priority=1 cookie=0x1 any actions=drop",
        "table=ACL_TO priority=1 any actions=drop",
        "table=ACL_TO priority=1 cookie=0x1 colour=3 actions=drop",
        "table=ACL_TO priority=1 cookie=0x1 any actions=explode:1",
        "table=ACL_TO priority=1 cookie=0x1 any actions=load:0x1->colour[]",
    ],
)
def test_other_texts_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is not a rule"):
        read_rule(text)


@pytest.mark.parametrize("text", ["", "group_id=0x1", "group_id=0x1 type=odd", "group_id=z type=all"])
def test_other_texts_are_no_groups(text: str) -> None:
    with pytest.raises(ValueError, match="is not a group"):
        read_group(text)
