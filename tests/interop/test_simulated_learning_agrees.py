"""The simulated switch learns what Open vSwitch learns, and when (``ofproto/trace -generate``)."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import pytest

from ryu_apps.evb.flow.actions import (
    Action,
    Bits,
    Learn,
    LearnSpec,
    Output,
    PushVlan,
    RegLoad,
    Resubmit,
    SetField,
    StackPop,
    StackPush,
    whole,
)
from ryu_apps.evb.flow.change import FlowTable
from ryu_apps.evb.flow.match import ANY_TAGGED, VLAN_PRESENT, match
from ryu_apps.evb.flow.rule import CookieMask, Rule
from ryu_apps.evb.simulation.switch import forward
from tests.interop.controller import Controller
from tests.interop.learning import COOKIE, KNOWN, LEARNT, NOTE, TCP, TEACHER, install, ports_of
from tests.interop.private_ovs import PrivateOvs
from tests.interop.segments import ACK, FIN, RST, SYN, Segment

ALL = CookieMask(0, 0)


def agree(
    controller: Controller, private_ovs: PrivateOvs, bridge: str, rules: tuple[Rule, ...], *segments: Segment
) -> list[list[int]]:
    """Send segments through both; returns the ports they leave by."""
    table = FlowTable({rule.key: rule for rule in rules})
    install(controller, *rules)
    left = []
    for segment in segments:
        simulated = [port for port, _ in forward(table, segment.fields)]
        assert simulated == ports_of(private_ovs.trace(bridge, segment.text), bridge), segment
        assert set(table.rules.values()) == controller.rules(ALL), segment
        left.append(simulated)
    return left


@pytest.mark.usefixtures("far_ends")
class TestAgreement:
    """The simulated switch learns what Open vSwitch learns, and when."""

    def test_on_connections(self, controller: Controller, private_ovs: PrivateOvs, bridge: str) -> None:
        segments = [Segment(number) for number in (1001, 1002, 1001, 1003, 1004, 1001, 1005)]
        left = agree(controller, private_ovs, bridge, TEACHER, *segments)
        assert left == [[2], [2], [2], [2], [3], [2], [3]]

    def test_that_a_frame_does_not_meet_the_rule_it_has_taught(
        self, controller: Controller, private_ovs: PrivateOvs, bridge: str
    ) -> None:
        note = Learn(5, 9, LEARNT, 0, 0, 0, None, (LearnSpec(whole("eth_src"), whole("eth_src")),), (MARK,))
        rules = (
            Rule(0, 10, (), COOKIE, (note, Resubmit(5)), goto=6),
            Rule(5, 1, (), COOKIE),
            Rule(6, 1, (), COOKIE, (Output(3),)),
            Rule(6, 2, match(reg0=(1, 1)), COOKIE, (Output(2),)),
        )
        assert agree(controller, private_ovs, bridge, rules, Segment(1), Segment(2)) == [[3], [2]]

    def test_on_the_timeout_of_a_rule_that_is_overwritten(
        self, controller: Controller, private_ovs: PrivateOvs, bridge: str
    ) -> None:
        note = replace(NOTE, match=(LearnSpec(whole("eth_src"), whole("eth_src")),), fin_idle_timeout=0, limit=1)
        old = Rule(KNOWN, 7, match(eth_src=0x5254_0000_0001), COOKIE, (Output(1),), goto=40, idle_timeout=30)
        rules = (Rule(0, 10, (), COOKIE, (note,), goto=40), old, *TEACHER[1:])
        assert agree(controller, private_ovs, bridge, rules, Segment(1), Segment(2)) == [[2], [3]]

    def test_on_tcp_flags(self, controller: Controller, private_ovs: PrivateOvs, bridge: str) -> None:
        note = replace(NOTE, match=(*NOTE.match[:2], LearnSpec(whole("tcp_flags"), whole("tcp_flags"))), limit=0)
        rules = (
            Rule(0, 10, match(**TCP, tcp_flags=(SYN, SYN | ACK)), COOKIE, (note,), goto=KNOWN),
            Rule(0, 9, match(**TCP, tcp_flags=ACK), COOKIE, (Output(2),), goto=KNOWN),
            Rule(0, 1, (), COOKIE, (Output(3),), goto=KNOWN),
        )
        flags = (SYN, SYN | ACK, ACK, ACK | FIN, SYN | FIN, RST, SYN)
        segments = [Segment(1, flags=flag) for flag in flags]
        assert agree(controller, private_ovs, bridge, rules, *segments) == [[], [3], [2], [3], [], [3], []]

    def test_on_both_directions_of_a_connection_that_is_one_rule(
        self, controller: Controller, private_ovs: PrivateOvs, bridge: str
    ) -> None:
        ends = whole("tcp_src"), whole("tcp_dst")
        note = replace(NOTE, match=(*NOTE.match[:2], *(LearnSpec(end, end) for end in ends)))
        swap = (StackPush(ends[0]), StackPush(ends[1]), StackPop(ends[0]), StackPop(ends[1]))
        rules = (
            Rule(0, 10, match(in_port=1, **TCP), COOKIE, (Resubmit(KNOWN), note), goto=40),
            Rule(0, 10, match(in_port=2, **TCP), COOKIE, (*swap, Resubmit(KNOWN), *swap), goto=40),
            Rule(40, 10, match(reg0=(1, 1)), COOKIE, (Output(3),), goto=41),
            Rule(41, 10, match(**TCP, tcp_src=80, tcp_dst=1001), COOKIE, (Output(1),)),
        )
        there, back = Segment(1001, 80), Segment(80, 1001, in_port=2)
        other = Segment(80, 1002, in_port=2)
        left = agree(controller, private_ovs, bridge, rules, back, there, back, other, there)
        assert left == [[], [], [3, 1], [], [3]]

    @pytest.mark.parametrize("seed", range(60))
    def test_on_any_rules(self, controller: Controller, private_ovs: PrivateOvs, bridge: str, seed: int) -> None:
        dice = Dice(seed)
        agree(controller, private_ovs, bridge, dice.rules(), *dice.segments())


MARK = LearnSpec(Bits("reg0", 0, 1), 1)
SOURCES = (
    *("tcp_src", "tcp_dst", "tcp_flags", "ipv4_src", "ipv4_dst", "eth_src", "vlan_vid"),
    *("metadata", "reg0", "in_port"),
)


class Dice:
    """Random rules that learn, and frames for them."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def rules(self) -> tuple[Rule, ...]:
        tag = self._one_of(0, ANY_TAGGED, VLAN_PRESENT | 5)
        tagging: list[Action] = (
            [PushVlan(), SetField("vlan_vid", VLAN_PRESENT | 6)] if tag == 0 and self._flip() else []
        )
        first = [*tagging, *self.steps(3), self.learn(), *self.steps(2), *self.swap(), Resubmit(5), *self.swap()]
        first += [self.learn(), *self.steps(2)]
        return (
            Rule(0, 10, match(**TCP, vlan_vid=tag), COOKIE, tuple(first), (self._random.randrange(256), 0xFF0), goto=5),
            Rule(0, 1, (), COOKIE, tuple(self.steps(3)), goto=6),
            Rule(5, 1, (), COOKIE, tuple(self.steps(2)), goto=6),
            *(
                Rule(6, 10 + number, match(**{name: self.masked(name)}), COOKIE, (Output(2),), goto=7)
                for number, name in enumerate(("reg0", "reg1", "metadata"))
            ),
            Rule(6, 1, (), COOKIE, (Output(1),), goto=7),
            Rule(7, 2, match(reg3=(0, 1)), COOKIE, (Output(3),)),
        )

    def steps(self, most: int) -> list[Action]:
        return [self.step() for _ in range(self._random.randint(0, most))]

    def step(self) -> Action:
        name = self._one_of("reg0", "reg1", "metadata")
        bits = self.bits(name)
        return self._one_of(
            SetField(name, self._random.getrandbits(8)), RegLoad(bits, self._random.getrandbits(min(bits.width, 8)))
        )

    def swap(self) -> tuple[Action, ...]:
        pairs = (("ipv4_src", "ipv4_dst"), ("tcp_src", "tcp_dst"), ("reg0", "reg1"), ("eth_src", "eth_dst"))
        one, other = map(whole, self._one_of(*pairs))
        return self._one_of((), (StackPush(one), StackPush(other), StackPop(one), StackPop(other)))

    def learn(self) -> Learn:
        limit = self._one_of(0, 1, 2, 3)
        kind = [LearnSpec(whole("eth_type"), 0x0800), LearnSpec(whole("ip_proto"), 6)]
        return Learn(
            *(5, self._random.randint(2, 9), LEARNT + self._random.randint(0, 1)),
            *(self._one_of(0, 60), self._one_of(0, 5), limit, self._one_of(None, Bits("reg3", 0, 1))),
            match=(*kind, *(self.learned(self.matched()) for _ in range(self._random.randint(1, 3)))),
            writes=tuple(self.learned(self.written()) for _ in range(self._random.randint(0, 3))),
        )

    def learned(self, target: Bits) -> LearnSpec:
        if target.name == "in_port":
            # Of any other number Open vSwitch makes no port at all.
            return LearnSpec(target, target)
        wide = [name for name in SOURCES if whole(name).width >= target.width]
        sources = [Bits(name, self._random.randint(0, whole(name).width - target.width), target.width) for name in wide]
        return LearnSpec(target, self._one_of(self._random.getrandbits(target.width), *sources, *sources))

    def matched(self) -> Bits:
        return self._one_of(
            *map(self.bits, ("reg0", "metadata", "ipv4_src", "eth_dst")),
            *map(whole, ("tcp_src", "tcp_dst", "tcp_flags", "vlan_vid", "in_port", "reg1")),
        )

    def written(self) -> Bits:
        return self._one_of(
            *map(self.bits, ("reg0", "reg1", "metadata", "reg3")), *map(whole, ("eth_dst", "reg2", "metadata"))
        )

    def bits(self, name: str) -> Bits:
        width = self._random.randint(1, 16)
        return Bits(name, self._random.randint(0, whole(name).width - width), width)

    def masked(self, name: str) -> tuple[int, int]:
        mask = self._random.getrandbits(6) or 1
        return self._random.getrandbits(6) & mask, mask

    def segments(self) -> list[Segment]:
        return [
            Segment(
                self._random.randint(1, 3), self._random.randint(1, 2), self._one_of(SYN, ACK), self._one_of(None, 5)
            )
            for _ in range(8)
        ]

    def _one_of(self, *choices: Any) -> Any:
        return self._random.choice(choices)

    def _flip(self) -> bool:
        return self._random.random() < 0.5
