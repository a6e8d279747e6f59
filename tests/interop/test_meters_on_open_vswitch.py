"""Meters count frames when they go by, a rule's own counters later; and the simulator knows what they see."""

from __future__ import annotations

import socket
import time
from dataclasses import replace

import pytest

from ryu_apps.evb.events.effect import Mode
from ryu_apps.evb.events.switch import Confirmed
from ryu_apps.evb.flow.actions import CONTROLLER, Output, OutputGroup, PopVlan, PushVlan, Resubmit, SetField
from ryu_apps.evb.flow.change import FlowTable, RuleChange
from ryu_apps.evb.flow.match import VLAN_PRESENT, match
from ryu_apps.evb.flow.rule import FIRST_COUNTER, Bucket, CookieMask, Group, GroupType, Meter, Rule
from ryu_apps.evb.simulation.switch import passage
from ryu_apps.southbound.encode import ALL_ONES
from tests.interop.controller import Controller
from tests.interop.private_ovs import PrivateOvs, wait_for
from tests.interop.segments import Segment

COOKIE = 0xEB47_3000_0100_0001
MINE = CookieMask(COOKIE, ALL_ONES)
FIRST, SECOND, THIRD = (FIRST_COUNTER | slot << 20 | 7 for slot in range(3))
#: As the statistics of a VSI have them.
COUNTERS = tuple(Meter(number, 0xFFFFFFFF, 0xFFFFFFFF) for number in (FIRST, SECOND, THIRD))
TAG = (PushVlan(), SetField("vlan_vid", VLAN_PRESENT | 100))
STRIPPED = Group(7, GroupType.INDIRECT, (Bucket((PopVlan(), Output(2))),))
MEMBERS = match(vlan_vid=VLAN_PRESENT | 100)

pytestmark = pytest.mark.usefixtures("far_ends")


def rule(table: int, wanted: tuple = (), **instructions: object) -> Rule:
    return Rule(table, 10, wanted, COOKIE, **instructions)  # type: ignore[arg-type]


def send(far_ends: dict[int, socket.socket], frame: bytes, times: int = 20) -> None:
    for _ in range(times):
        far_ends[1].send(frame)
        time.sleep(0.001)  # one by one, as a VM does


def counted(controller: Controller, meter: int, packets: int) -> int:
    """The octets of a meter as soon as it has so many packets."""
    wait_for(lambda: controller.meters(meter)[meter].packets >= packets, f"{packets} packets")
    (found,) = controller.meters(meter).values()
    assert found.packets == packets
    return found.octets


def test_what_is_dropped_is_counted_too(controller: Controller, far_ends: dict[int, socket.socket]) -> None:
    added = (rule(0, goto=39), rule(39, meter=FIRST))
    assert isinstance(controller.apply(RuleChange(meters=COUNTERS, add=added), Mode.STAGE), Confirmed)
    send(far_ends, Segment(1).octets)
    assert counted(controller, FIRST, 20) == 20 * 60
    assert controller.meters(FIRST)[FIRST].rules == 1


#: Delivered and then counted; before that another copy with its tag, and one that nobody gets.
FLOODED = (
    rule(0, match(vlan_vid=0), apply=TAG, goto=45),
    rule(0, MEMBERS, goto=45),
    rule(45, apply=(Output(3), Resubmit(58), Resubmit(57))),
    rule(57, meter=THIRD),
    rule(58, meter=FIRST, apply=(Resubmit(60),), goto=59),
    rule(59, meter=SECOND),
    rule(60, MEMBERS, apply=(OutputGroup(7),)),
)


@pytest.mark.parametrize("vid", [None, 100])
def test_a_frame_is_counted_as_it_was_last_sent_and_the_simulator_knows(
    controller: Controller, far_ends: dict[int, socket.socket], vid: int | None
) -> None:
    change = RuleChange(meters=COUNTERS, groups=(STRIPPED,), add=FLOODED)
    assert isinstance(controller.apply(change, Mode.STAGE), Confirmed)
    segment = Segment(1, vid=vid)
    send(far_ends, segment.octets)
    table = FlowTable()
    table.apply(change)
    untagged = len(segment.octets) - 4 * (vid is not None)
    metered = passage(table, segment.fields).metered
    assert [count.meter_id for count in metered] == [FIRST, SECOND, THIRD]
    for meter_id, tagged in metered:
        assert counted(controller, meter_id, 20) == 20 * (untagged + 4 * tagged), hex(meter_id)
    assert [count.tagged for count in metered] == [True, False, False]


def test_a_copy_for_the_controller_has_its_tag_counted_from_then_on_and_the_simulator_knows(
    controller: Controller, far_ends: dict[int, socket.socket]
) -> None:
    """Reason for counting a report before it is sent to the controller."""
    change = RuleChange(
        meters=COUNTERS,
        add=(
            rule(0, apply=TAG, goto=35),
            rule(35, meter=THIRD, apply=(Resubmit(62), Output(CONTROLLER)), goto=38),
            rule(62, meter=FIRST),
            rule(38, meter=SECOND),
        ),
    )
    assert isinstance(controller.apply(change, Mode.STAGE), Confirmed)
    segment = Segment(1)
    send(far_ends, segment.octets)
    table = FlowTable()
    table.apply(change)
    metered = passage(table, segment.fields).metered
    assert metered == [(THIRD, False), (FIRST, False), (SECOND, True)]
    for meter_id, tagged in metered:
        assert counted(controller, meter_id, 20) == 20 * (len(segment.octets) + 4 * tagged), hex(meter_id)


def test_meters_count_what_the_counters_of_rules_lose_when_the_way_changes(
    controller: Controller, far_ends: dict[int, socket.socket]
) -> None:
    """Reason for meters as counters of VSIs: docs/decisions/0015."""
    before = (rule(0, goto=1), rule(1, goto=58), rule(58, meter=FIRST, apply=(Output(2),)))
    controller.apply(RuleChange(meters=COUNTERS, add=before))
    packets = 0
    for _ in range(5):
        controller.apply(RuleChange(add=before))
        # A cached drop may outlive the confirmation.
        wait_for(lambda: sent_one(controller, far_ends) > packets, "the way to be open")  # noqa: B023
        packets = controller.meters(FIRST)[FIRST].packets + 50
        send(far_ends, Segment(1).octets, 50)
        counted(controller, FIRST, packets)
        controller.apply(RuleChange(add=(replace(before[1], goto=None),)), Mode.ATOMIC)
    time.sleep(1.5)  # three times what Open vSwitch takes to bring counters of rules up to date
    (shown,) = (counter.packets for counter in controller.counters(MINE) if counter.rule.table == 58)
    assert shown < packets
    assert controller.meters(FIRST)[FIRST].packets == packets


def sent_one(controller: Controller, far_ends: dict[int, socket.socket]) -> int:
    send(far_ends, Segment(1).octets, 1)
    return controller.meters(FIRST)[FIRST].packets


def test_counters_go_on_after_a_restart_of_the_controller(
    controller: Controller, far_ends: dict[int, socket.socket]
) -> None:
    controller.apply(RuleChange(meters=COUNTERS, add=(rule(0, meter=FIRST),)))
    send(far_ends, Segment(1).octets)
    counted(controller, FIRST, 20)
    controller.start_over()
    controller.up()
    controller.apply(RuleChange(counters=COUNTERS, keep_meters=frozenset({FIRST})))
    assert controller.meters().keys() == {FIRST}
    send(far_ends, Segment(1).octets)
    counted(controller, FIRST, 40)
    age = controller.meters(FIRST)[FIRST].age
    controller.apply(RuleChange(meters=COUNTERS))
    assert controller.meters(FIRST)[FIRST].packets == 0
    controller.apply(RuleChange(delete_meters=(FIRST,)))
    controller.apply(RuleChange(counters=COUNTERS))
    assert controller.meters(FIRST)[FIRST].age < age


def test_a_meter_takes_its_rules_with_it(controller: Controller, private_ovs: PrivateOvs, bridge: str) -> None:
    controller.apply(RuleChange(meters=COUNTERS, add=(rule(0, meter=FIRST), rule(1))))
    controller.apply(RuleChange(delete_meters=(FIRST,)))
    assert controller.rules(MINE) == {rule(1)}
    assert private_ovs.ofctl("dump-meters", bridge).count("meter=") == 2
