"""Open vSwitch learns rules from frames; what it learns can be read, carried elsewhere, and simulated."""

from __future__ import annotations

import random
import re
import socket
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from ryu_apps.evb.flow.learning import learnt
from ryu_apps.evb.flow.rule import (
    ANY_TAGGED,
    VLAN_PRESENT,
    Action,
    Bits,
    Change,
    CookieMask,
    Counted,
    FinTimeout,
    FlowTable,
    Learn,
    Learned,
    LoadBits,
    Output,
    Pop,
    Push,
    PushVlan,
    Resubmit,
    Rule,
    SetField,
    match,
    whole,
)
from ryu_apps.evb.flow.simulate import forward
from ryu_apps.evb.io import Confirmed, Mode
from ryu_apps.southbound.encode import ALL_ONES
from tests.interop.controller import Controller
from tests.interop.private_ovs import PrivateOvs, inside, wait_for
from tests.interop.segments import ACK, FIN, RST, SYN, Segment

COOKIE, LEARNT = 0xEB47_3000_0100_0001, 0xEB47_3000_0200_0002
ALL = CookieMask(0, 0)
OF_COOKIE, OF_LEARNT = CookieMask(COOKIE, ALL_ONES), CookieMask(LEARNT, ALL_ONES)
TCP = {"eth_type": 0x0800, "ip_proto": 6}
PORTS = (1, 2, 3)
KNOWN = 31
#: A connection is noted, and its answers get a mark.
NOTE = Learn(
    table=KNOWN,
    priority=7,
    cookie=LEARNT,
    idle_timeout=60,
    fin_idle_timeout=5,
    limit=3,
    verdict=Bits("reg1", 0, 1),
    match=(
        Learned(whole("eth_type"), 0x0800),
        Learned(whole("ip_proto"), 6),
        Learned(Bits("metadata", 16, 20), Bits("metadata", 16, 20)),
        Learned(whole("ipv4_src"), whole("ipv4_dst")),
        Learned(whole("tcp_dst"), whole("tcp_src")),
    ),
    writes=(Learned(Bits("reg0", 0, 1), 1), Learned(whole("reg2"), Bits("metadata", 4, 32))),
)
METADATA = 0x0000_0012_3456_7890
TEACHER = (
    Rule(0, 10, match(**TCP), COOKIE, (SetField("metadata", METADATA), NOTE), goto=40),
    Rule(40, 10, match(reg1=(1, 1)), COOKIE, (Output(2),)),
    Rule(40, 10, match(reg1=(0, 1)), COOKIE, (Output(3),)),
)


@pytest.fixture
def far_ends(private_ovs: PrivateOvs, bridge: str, controller: Controller) -> Iterator[dict[int, socket.socket]]:
    """Port number -> what is plugged in there."""
    sockets: dict[int, socket.socket] = {}
    for port in PORTS:
        private_ovs.add_veth(bridge, port, f"{bridge}-{port}", f"{bridge}-far{port}")
        with inside(private_ovs.namespace):
            sockets[port] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sockets[port].bind((f"{bridge}-far{port}", 0))
    wait_for(lambda: f"({bridge}-{PORTS[-1]})" in private_ovs.ofctl("show", bridge), "ports")
    yield sockets
    for one in sockets.values():
        one.close()


@pytest.fixture
def send(far_ends: dict[int, socket.socket]) -> Callable[[Segment], None]:
    return lambda segment: void(far_ends[segment.in_port].send(segment.octets))


def void(_result: object) -> None:
    """Nobody wants to know."""


def install(controller: Controller, *rules: Rule) -> None:
    assert isinstance(controller.apply(Change(add=rules), Mode.STAGE), Confirmed)


def taught(controller: Controller, send: Callable[[Segment], None], *segments: Segment) -> set[Rule]:
    """The learnt rules once each segment has been seen; said again, as the first may be lost in the cache."""
    known: set[Rule] = set()
    for segment in segments:
        before = known

        def learns(segment: Segment = segment, before: set[Rule] = before) -> bool:
            nonlocal known
            send(segment)
            known = controller.rules(OF_LEARNT)
            return known > before

        wait_for(learns, f"rule learnt from {segment}")
    return known


# --- real frames ----------------------------------------------------------------------------------
def test_a_rule_is_learnt_and_shown_as_it_is_simulated(controller: Controller, send: Callable[[Segment], None]) -> None:
    install(controller, *TEACHER)
    (rule,) = taught(controller, send, segment := Segment(1001))
    assert rule == learnt(NOTE, segment.fields | {"metadata": METADATA})
    assert rule == Rule(
        KNOWN,
        7,
        match(
            **TCP,
            metadata=(METADATA & 0x0000_000F_FFFF_0000, 0x0000_000F_FFFF_0000),
            ipv4_src=0x0A00_0002,
            tcp_dst=1001,
        ),
        LEARNT,
        (FinTimeout(5), LoadBits(Bits("reg0", 0, 1), 1), LoadBits(whole("reg2"), METADATA >> 4 & 0xFFFF_FFFF)),
        idle_timeout=60,
    )


@pytest.mark.parametrize("mode", [Mode.STAGE, Mode.ATOMIC])
def test_a_learnt_rule_can_be_installed_elsewhere_under_another_name(
    controller: Controller, send: Callable[[Segment], None], mode: Mode
) -> None:
    install(controller, *TEACHER)
    rules = taught(controller, send, Segment(1001), Segment(1002))
    masked = (0x0000_0001_0000_0000, 0x0000_000F_FFFF_0000)
    carried = {
        replace(rule, match=match(**fields_of(rule) | {"metadata": masked}), cookie=LEARNT + 1, table=60)
        for rule in rules
    }
    assert isinstance(controller.apply(Change(add=tuple(carried)), mode), Confirmed)
    assert controller.rules(CookieMask(LEARNT + 1, ALL_ONES)) == carried


def fields_of(rule: Rule) -> dict[str, int | tuple[int, int]]:
    return {one.name: one.value if one.mask is None else (one.value, one.mask) for one in rule.match}


def test_a_carried_rule_that_is_learnt_again_is_the_same_rule(
    controller: Controller, private_ovs: PrivateOvs, bridge: str, send: Callable[[Segment], None]
) -> None:
    install(controller, *TEACHER)
    rules = taught(controller, send, Segment(1001))
    assert isinstance(controller.apply(Change(sweep=(OF_LEARNT,))), Confirmed)
    install(controller, *rules)
    private_ovs.trace(bridge, Segment(1001).text)
    assert controller.rules(OF_LEARNT) == rules
    private_ovs.trace(bridge, Segment(1002).text)
    assert controller.rules(OF_LEARNT) > rules


def test_fin_shortens_the_timeout(controller: Controller, send: Callable[[Segment], None]) -> None:
    closing = Rule(0, 10, match(**TCP), COOKIE, (FinTimeout(5), Output(2)), idle_timeout=60)
    install(controller, closing)
    for flags in (SYN, ACK):
        send(Segment(1001, flags=flags))
    assert controller.rules(OF_COOKIE) == {closing}

    def shortened(flags: int) -> bool:
        send(Segment(1001, flags=flags))
        return controller.rules(OF_COOKIE) == {replace(closing, idle_timeout=5)}

    wait_for(lambda: shortened(FIN | ACK), "shorter timeout")
    install(controller, closing)
    wait_for(lambda: shortened(RST), "shorter timeout")


def test_a_rule_that_nobody_meets_goes(controller: Controller) -> None:
    install(controller, Rule(0, 10, match(**TCP), COOKIE, idle_timeout=1), other := Rule(0, 1, (), COOKIE))
    wait_for(lambda: controller.rules(OF_COOKIE) == {other}, "end of a rule")


def test_frames_and_octets_are_counted(controller: Controller, send: Callable[[Segment], None]) -> None:
    met, other = Rule(0, 10, match(**TCP), COOKIE, (Output(2),)), Rule(0, 1, (), COOKIE, idle_timeout=60)
    install(controller, met, other, elsewhere := Rule(1, 1, (), COOKIE + 1))
    wait_for(lambda: send(Segment(1001)) or packets(controller, met) > 0, "first frame")
    wait_for(lambda: packets(controller, met) == packets(controller, met), "quiet")
    before = packets(controller, met)
    for number in range(20):
        send(Segment(1001 + number % 3))
    wait_for(lambda: packets(controller, met) >= before + 20, "20 frames")
    counted = {one.rule: one for one in controller.counters(OF_COOKIE)}
    assert counted[met].octets == counted[met].packets * len(Segment(1001).octets)
    assert counted.keys() == {met, other}
    assert controller.counters(CookieMask(COOKIE + 1, ALL_ONES)) == {Counted(elsewhere, 0, 0)}


def packets(controller: Controller, rule: Rule) -> int:
    return next(one.packets for one in controller.counters(OF_COOKIE) if one.rule == rule)


def test_the_limit_holds(
    controller: Controller, private_ovs: PrivateOvs, bridge: str, send: Callable[[Segment], None]
) -> None:
    install(controller, *TEACHER)
    known = taught(controller, send, *(Segment(port) for port in range(1001, 1001 + NOTE.limit)))
    assert len(known) == NOTE.limit
    assert ports_of(private_ovs.trace(bridge, Segment(2000).text), bridge) == [3]
    assert ports_of(private_ovs.trace(bridge, Segment(1001).text), bridge) == [2], "is known already"
    assert controller.rules(OF_LEARNT) == known


# --- traced frames, and simulated ones ---------------------------------------------------------------
def ports_of(trace: str, bridge: str) -> list[int]:
    (actions,) = re.findall(r"^Datapath actions: (.*)$", trace, re.MULTILINE)
    return [int(port) for port in re.findall(rf"\b{bridge}-(\d)", actions)]


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
        note = Learn(5, 9, LEARNT, 0, 0, 0, None, (Learned(whole("eth_src"), whole("eth_src")),), (MARK,))
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
        note = replace(NOTE, match=(Learned(whole("eth_src"), whole("eth_src")),), fin_idle_timeout=0, limit=1)
        old = Rule(KNOWN, 7, match(eth_src=0x5254_0000_0001), COOKIE, (Output(1),), goto=40, idle_timeout=30)
        rules = (Rule(0, 10, (), COOKIE, (note,), goto=40), old, *TEACHER[1:])
        assert agree(controller, private_ovs, bridge, rules, Segment(1), Segment(2)) == [[2], [3]]

    def test_on_tcp_flags(self, controller: Controller, private_ovs: PrivateOvs, bridge: str) -> None:
        note = replace(NOTE, match=(*NOTE.match[:2], Learned(whole("tcp_flags"), whole("tcp_flags"))), limit=0)
        rules = (
            Rule(0, 10, match(**TCP, tcp_flags=(SYN, SYN | ACK)), COOKIE, (note,), goto=KNOWN),
            Rule(0, 9, match(**TCP, tcp_flags=ACK), COOKIE, (Output(2),), goto=KNOWN),
            Rule(0, 1, (), COOKIE, (Output(3),), goto=KNOWN),
        )
        flags = (SYN, SYN | ACK, ACK, ACK | FIN, SYN | FIN, RST, SYN)
        segments = [Segment(1, flags=one) for one in flags]
        assert agree(controller, private_ovs, bridge, rules, *segments) == [[], [3], [2], [3], [], [3], []]

    def test_on_both_directions_of_a_connection_that_is_one_rule(
        self, controller: Controller, private_ovs: PrivateOvs, bridge: str
    ) -> None:
        ends = whole("tcp_src"), whole("tcp_dst")
        note = replace(NOTE, match=(*NOTE.match[:2], *(Learned(one, one) for one in ends)))
        swap = (Push(ends[0]), Push(ends[1]), Pop(ends[0]), Pop(ends[1]))
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


MARK = Learned(Bits("reg0", 0, 1), 1)
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
            SetField(name, self._random.getrandbits(8)), LoadBits(bits, self._random.getrandbits(min(bits.width, 8)))
        )

    def swap(self) -> tuple[Action, ...]:
        pairs = (("ipv4_src", "ipv4_dst"), ("tcp_src", "tcp_dst"), ("reg0", "reg1"), ("eth_src", "eth_dst"))
        one, other = map(whole, self._one_of(*pairs))
        return self._one_of((), (Push(one), Push(other), Pop(one), Pop(other)))

    def learn(self) -> Learn:
        limit = self._one_of(0, 1, 2, 3)
        kind = [Learned(whole("eth_type"), 0x0800), Learned(whole("ip_proto"), 6)]
        return Learn(
            *(5, self._random.randint(2, 9), LEARNT + self._random.randint(0, 1)),
            *(self._one_of(0, 60), self._one_of(0, 5), limit, self._one_of(None, Bits("reg3", 0, 1))),
            match=(*kind, *(self.learned(self.matched()) for _ in range(self._random.randint(1, 3)))),
            writes=tuple(self.learned(self.written()) for _ in range(self._random.randint(0, 3))),
        )

    def learned(self, target: Bits) -> Learned:
        if target.name == "in_port":
            # Of any other number Open vSwitch makes no port at all.
            return Learned(target, target)
        wide = [name for name in SOURCES if whole(name).width >= target.width]
        sources = [Bits(name, self._random.randint(0, whole(name).width - target.width), target.width) for name in wide]
        return Learned(target, self._one_of(self._random.getrandbits(target.width), *sources, *sources))

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
