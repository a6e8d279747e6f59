"""Rate limits of Open vSwitch: what they drop, what a clone keeps from being dropped, and that meters are read back.

Bursts of frames against limits of a few frames, so that no verdict depends on the speed of the machine: a bucket that
fills at 1 kbit/s lets no frame more pass in a minute.
"""

from __future__ import annotations

import socket

import pytest

from ryu_apps.evb.events.effect import Mode, ReadRules
from ryu_apps.evb.events.switch import Confirmed, SwitchRead
from ryu_apps.evb.flow.actions import Action, Clone, Output, Resubmit, SetField
from ryu_apps.evb.flow.change import FlowTable, RuleChange
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import FIRST_OF_VSIS, Meter, MeterUnit, Rule
from ryu_apps.evb.pipeline.tables import OURS
from ryu_apps.evb.simulation.switch import passage
from tests.interop.controller import Controller
from tests.interop.private_ovs import PrivateOvs, wait_for
from tests.interop.segments import Segment

COOKIE = 0xEB47_3000_0100_0001
#: 60 octets are 480 bits: 25 frames and no more.
LIMIT = Meter(FIRST_OF_VSIS | 7, 1, 12, MeterUnit.KILOBITS)
PASSING, SENT = 25, 60

METERED, OTHER = SetField("reg0", 2), SetField("reg0", 3)
BEHIND = (
    Rule(89, 1, match(reg0=2), COOKIE, apply=(Output(2),), meter=LIMIT.meter_id),
    Rule(89, 1, match(reg0=3), COOKIE, apply=(Output(3),)),
)


def change(*actions: Action) -> RuleChange:
    return RuleChange(meters=(LIMIT,), add=(Rule(0, 1, (), COOKIE, apply=actions), *BEHIND))


def sent_out(private_ovs: PrivateOvs, bridge: str, port: int) -> int:
    """Frames that a bridge has sent by a port."""
    shown = private_ovs.ofctl("dump-ports", bridge, str(port))
    return int(shown.split("tx pkts=")[1].split(",")[0])


CLONED = (METERED, Clone(89), OTHER, Resubmit(89))
BARE = (METERED, Resubmit(89), OTHER, Resubmit(89))


@pytest.mark.parametrize(("actions", "others"), [(CLONED, SENT), (BARE, PASSING)], ids=["clone", "resubmit"])
def test_a_drop_behind_a_clone_costs_the_copies_behind_it_nothing(
    controller: Controller,
    private_ovs: PrivateOvs,
    bridge: str,
    far_ends: dict[int, socket.socket],
    actions: tuple[Action, ...],
    others: int,
) -> None:
    assert isinstance(controller.apply(change(*actions), Mode.STAGE), Confirmed)
    before = {port: sent_out(private_ovs, bridge, port) for port in (2, 3)}
    for _ in range(SENT):
        far_ends[1].send(Segment(1).octets)
    wait_for(lambda: controller.meters(LIMIT.meter_id)[LIMIT.meter_id].packets == SENT, "all frames to be metered")
    wait_for(lambda: sent_out(private_ovs, bridge, 3) - before[3] >= others, "the other copies")
    counted = controller.meters(LIMIT.meter_id)[LIMIT.meter_id]
    assert (counted.packets, counted.dropped) == (SENT, SENT - PASSING)
    assert sent_out(private_ovs, bridge, 2) - before[2] == PASSING
    assert sent_out(private_ovs, bridge, 3) - before[3] == others


@pytest.mark.parametrize(("actions", "left"), [(CLONED, [3]), (BARE, [])], ids=["clone", "resubmit"])
def test_the_simulator_agrees(actions: tuple[Action, ...], left: list[int]) -> None:
    table = FlowTable()
    table.apply(change(*actions))
    exceeded = passage(table, Segment(1).fields, exceeded={LIMIT.meter_id})
    assert [copy.port for copy in exceeded.emitted] == left
    within = passage(table, Segment(1).fields)
    assert [copy.port for copy in within.emitted] == [2, 3]


def test_meters_are_shown_with_the_rules_as_they_were_sent(controller: Controller) -> None:
    others = (Meter(5, 100, 10), Meter(FIRST_OF_VSIS | 8, 0xFFFFFFFF, 0xFFFFFFFF, MeterUnit.KILOBITS))
    assert isinstance(controller.apply(RuleChange(meters=(LIMIT, *others)), Mode.STAGE), Confirmed)
    controller.driver.read(ReadRules(controller.dpid, 1, OURS))
    meters = controller.until(SwitchRead).meters
    assert meters is not None and set(meters) == {LIMIT, *others}


def test_the_switch_says_how_many_meters_and_groups_it_has_and_how_fast_its_ports_are(
    controller: Controller, far_ends: dict[int, socket.socket]
) -> None:
    capacity = controller.up().capacity
    assert capacity.meters == 262_144 and capacity.groups is not None and capacity.groups > 1_000_000
    assert {port: capacity.speeds[port] for port in far_ends} == dict.fromkeys(far_ends, 10_000_000)


def test_idle_meters_of_vsis_go_and_those_of_ports_stay(controller: Controller) -> None:
    kept = Meter(FIRST_OF_VSIS | 9, 10, 100, MeterUnit.KILOBITS)
    controller.apply(RuleChange(meters=(LIMIT, kept, Meter(5, 100, 10))))
    controller.apply(RuleChange(keep_meters=frozenset({kept.meter_id})))
    assert controller.meters().keys() == {5, kept.meter_id}
