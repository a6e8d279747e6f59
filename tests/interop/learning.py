"""Rules that note TCP connections, for the tests of learning."""

from __future__ import annotations

import re

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.switch import Confirmed
from ryu_apps.evb.flow.actions import Bits, Learn, LearnSpec, Output, SetField, whole
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import CookieMask, Rule
from ryu_apps.southbound.encode import ALL_ONES
from tests.interop.controller import Controller

COOKIE, LEARNT = 0xEB47_3000_0100_0001, 0xEB47_3000_0200_0002
OF_COOKIE, OF_LEARNT = CookieMask(COOKIE, ALL_ONES), CookieMask(LEARNT, ALL_ONES)
TCP = {"eth_type": 0x0800, "ip_proto": 6}
KNOWN = 31
#: A connection is noted, and its answers get a mark.
NOTE = Learn(
    table=KNOWN,
    priority=7,
    cookie=LEARNT,
    idle_timeout=60,
    fin_idle_timeout=5,
    limit=3,
    result_dst=Bits("reg1", 0, 1),
    match=(
        LearnSpec(whole("eth_type"), 0x0800),
        LearnSpec(whole("ip_proto"), 6),
        LearnSpec(Bits("metadata", 16, 20), Bits("metadata", 16, 20)),
        LearnSpec(whole("ipv4_src"), whole("ipv4_dst")),
        LearnSpec(whole("tcp_dst"), whole("tcp_src")),
    ),
    writes=(LearnSpec(Bits("reg0", 0, 1), 1), LearnSpec(whole("reg2"), Bits("metadata", 4, 32))),
)
METADATA = 0x0000_0012_3456_7890
TEACHER = (
    Rule(0, 10, match(**TCP), COOKIE, (SetField("metadata", METADATA), NOTE), goto=40),
    Rule(40, 10, match(reg1=(1, 1)), COOKIE, (Output(2),)),
    Rule(40, 10, match(reg1=(0, 1)), COOKIE, (Output(3),)),
)


def install(controller: Controller, *rules: Rule) -> None:
    """Stage rules, which is to be confirmed."""
    assert isinstance(controller.apply(RuleChange(add=rules), Mode.STAGE), Confirmed)


def ports_of(trace: str, bridge: str) -> list[int]:
    """By which ports of the fixture ``far_ends`` a traced frame leaves."""
    (actions,) = re.findall(r"^Datapath actions: (.*)$", trace, re.MULTILINE)
    return [int(port) for port in re.findall(rf"\b{bridge}-(\d)", actions)]
