"""A rule in one line."""

from __future__ import annotations

from ryu_apps.evb.flow.actions import (
    Bits,
    ClearInPort,
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
    whole,
)
from ryu_apps.evb.flow.match import ANY_TAGGED, match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.notation import rule_text
from ryu_apps.evb.pipeline.tables import Table


def test_a_rule_without_match_or_instruction_matches_any_frame_and_drops_it() -> None:
    assert rule_text(Rule(Table.ACL_TO, 1, (), 0xEB47)) == "table=ACL_TO priority=1 cookie=0xeb47 any actions=drop"


def test_addresses_prefixes_and_masks_are_readable() -> None:
    matched = match(
        in_port=3,
        eth_src=0x525400000001,
        vlan_vid=ANY_TAGGED,
        ipv4_src=(0x0A000000, 0xFF000000),
        ipv4_dst=(0x0A000001, 0xFF0000FF),
        tcp_dst=(0x1F40, 0xFFF8),
    )
    assert rule_text(Rule(199, 7, matched, 0)) == (
        "table=199 priority=7 cookie=0x0 in_port=3,eth_src=52:54:00:00:00:01,vlan_vid=0x1000/0x1000,"
        "ipv4_src=10.0.0.0/8,ipv4_dst=10.0.0.1/255.0.0.255,tcp_dst=0x1f40/0xfff8 actions=drop"
    )


def test_ipv6_prefixes_are_readable() -> None:
    matched = match(eth_type=0x86DD, ipv6_src=(0xFE80 << 112, 0x3FF << 118), ipv6_dst=1)
    assert " eth_type=0x86dd,ipv6_src=fe80::/10,ipv6_dst=::1 " in rule_text(Rule(199, 7, matched, 0))


def test_every_instruction_has_its_words() -> None:
    actions = (
        PopVlan(),
        PushVlan(),
        SetField("vlan_vid", 0x1064),
        SetField("eth_dst", 0xFFFFFFFFFFFF),
        Resubmit(Table.FLOOD_PAGE),
        ClearInPort(),
        OutputGroup(0x100001),
        Output(4),
    )
    rule = Rule(Table.FORWARD, 200, (), 1, actions, (0x10, 0xFF), Table.ACL_TO, meter=5)
    assert rule_text(rule).partition("actions=")[2] == (
        "meter:5,pop_vlan,push_vlan:0x8100,set_field:0x1064->vlan_vid,set_field:ff:ff:ff:ff:ff:ff->eth_dst,"
        "resubmit(,FLOOD_PAGE),load:0->in_port,group:0x100001,output:4,write_metadata:0x10/0xff,goto:ACL_TO"
    )


def test_what_is_learnt_reads_as_ovs_ofctl_has_it() -> None:
    learn = Learn(
        *(Table.FORWARD, 7, 0xEB47, 60, 5, 100, Bits("reg0", 1, 1)),
        match=(
            LearnSpec(whole("eth_type"), 0x0800),
            LearnSpec(whole("tcp_src"), whole("tcp_src")),
            LearnSpec(Bits("metadata", 16, 20), Bits("reg1", 0, 20)),
            LearnSpec(whole("ipv4_src"), 0x0A000001),
            LearnSpec(Bits("reg3", 0, 4), 9),
        ),
        writes=(LearnSpec(Bits("reg0", 0, 1), 1), LearnSpec(whole("ipv4_dst"), whole("ipv4_src"))),
    )
    timed = Rule(199, 1, match(tcp_flags=(0x2, 0x12), reg0=16), 0, (FinTimeout(5), learn), idle_timeout=60)
    assert rule_text(timed) == (
        "table=199 priority=1 cookie=0x0 idle_timeout=60 tcp_flags=0x2/0x12,reg0=0x10 "
        "actions=fin_timeout(idle_timeout=5),learn(table=FORWARD,idle_timeout=60,fin_idle_timeout=5,priority=7,"
        "cookie=0xeb47,limit=100,result_dst=reg0[1],eth_type=0x800,tcp_src[],metadata[16..35]=reg1[0..19],"
        "ipv4_src=10.0.0.1,reg3[0..3]=0x9,load:0x1->reg0[0],load:ipv4_src[]->ipv4_dst[])"
    )
    plain = Learn(9, 1, 0, 0, 0, 0, None, (), ())
    loads = (plain, RegLoad(whole("reg2"), 255), RegLoad(Bits("vlan_vid", 0, 4), 3))
    assert rule_text(Rule(199, 1, (), 0, loads)).partition("actions=")[2] == (
        "learn(table=9,priority=1,cookie=0x0),load:0xff->reg2[],load:0x3->vlan_vid[0..3]"
    )
