"""Open vSwitch learns rules from frames; what it learns can be read, carried elsewhere, and counted."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.switch import Confirmed
from ryu_apps.evb.flow.actions import Bits, FinTimeout, Output, RegLoad, whole
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import CookieMask, Rule
from ryu_apps.evb.simulation.learning import learnt
from ryu_apps.southbound.encode import ALL_ONES
from tests.interop.controller import Controller, Counted
from tests.interop.learning import (
    COOKIE,
    KNOWN,
    LEARNT,
    METADATA,
    NOTE,
    OF_COOKIE,
    OF_LEARNT,
    TCP,
    TEACHER,
    install,
    ports_of,
)
from tests.interop.private_ovs import PrivateOvs, wait_for
from tests.interop.segments import ACK, FIN, RST, SYN, Segment

#: Seconds within which Open vSwitch has dealt with all that its cached flows have counted.
REVALIDATED = 1.5


@pytest.fixture
def send(far_ends: dict[int, socket.socket]) -> Callable[[Segment], None]:
    def send(segment: Segment) -> None:
        far_ends[segment.in_port].send(segment.octets)

    return send


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
        (FinTimeout(5), RegLoad(Bits("reg0", 0, 1), 1), RegLoad(whole("reg2"), METADATA >> 4 & 0xFFFF_FFFF)),
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
    assert isinstance(controller.apply(RuleChange(add=tuple(carried)), mode), Confirmed)
    assert controller.rules(CookieMask(LEARNT + 1, ALL_ONES)) == carried


def fields_of(rule: Rule) -> dict[str, int | tuple[int, int]]:
    return {field.name: field.value if field.mask is None else (field.value, field.mask) for field in rule.match}


def test_a_carried_rule_that_is_learnt_again_is_the_same_rule(
    controller: Controller, private_ovs: PrivateOvs, bridge: str, send: Callable[[Segment], None]
) -> None:
    install(controller, *TEACHER)
    rules = taught(controller, send, Segment(1001))
    assert isinstance(controller.apply(RuleChange(delete_by_cookie=(OF_LEARNT,))), Confirmed)
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
    wait_for(lambda: seen(controller, send, met), "first frame")
    wait_for(lambda: packets(controller, met) == packets(controller, met), "quiet")
    before = packets(controller, met)
    for number in range(20):
        send(Segment(1001 + number % 3))
    wait_for(lambda: packets(controller, met) >= before + 20, "20 frames")
    counted = {counter.rule: counter for counter in controller.counters(OF_COOKIE)}
    assert counted[met].octets == counted[met].packets * len(Segment(1001).octets)
    assert counted.keys() == {met, other}
    assert controller.counters(CookieMask(COOKIE + 1, ALL_ONES)) == {Counted(elsewhere, 0, 0)}


def seen(controller: Controller, send: Callable[[Segment], None], rule: Rule) -> bool:
    send(Segment(1001))
    return packets(controller, rule) > 0


def packets(controller: Controller, rule: Rule) -> int:
    return next(counter.packets for counter in controller.counters(OF_COOKIE) if counter.rule == rule)


def test_the_limit_holds(
    controller: Controller, private_ovs: PrivateOvs, bridge: str, send: Callable[[Segment], None]
) -> None:
    install(controller, *TEACHER)
    known = taught(controller, send, *(Segment(port) for port in range(1001, 1001 + NOTE.limit)))
    assert len(known) == NOTE.limit
    assert ports_of(private_ovs.trace(bridge, Segment(2000).text), bridge) == [3]
    assert ports_of(private_ovs.trace(bridge, Segment(1001).text), bridge) == [2], "is known already"
    assert controller.rules(OF_LEARNT) == known


def test_what_is_swept_with_its_teacher_is_not_learnt_from_the_cache(
    controller: Controller, send: Callable[[Segment], None]
) -> None:
    install(controller, *TEACHER)
    taught(controller, send, Segment(1001))
    for _ in range(100):
        send(Segment(1001))
    assert isinstance(controller.apply(RuleChange(delete_by_cookie=(OF_COOKIE, OF_LEARNT)), Mode.ATOMIC), Confirmed)
    until = time.monotonic() + REVALIDATED
    while time.monotonic() < until:
        send(Segment(1001))
        assert controller.rules(OF_LEARNT) == set()
