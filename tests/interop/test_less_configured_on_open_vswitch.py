"""Open vSwitch after a restart of the bridge with less in its evbridge.yaml."""

from __future__ import annotations

import re
import socket

from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.switches.audit import INTERVAL
from ryu_apps.evb.topology.switch import GateMode
from tests.interop.controller import Controller
from tests.interop.private_ovs import PrivateOvs
from tests.worlds.bridge import POLICIES
from tests.worlds.less_configured import FOREIGN_GROUPS, FOREIGN_METERS, with_services, without_port
from tests.worlds.real import OpenVswitchWorld, one_switch


def objects(private_ovs: PrivateOvs, bridge: str) -> tuple[set[int], set[int]]:
    """Ids of groups and of meters."""
    groups, meters = private_ovs.ofctl("dump-groups", bridge), private_ovs.ofctl("dump-meters", bridge)
    return {int(found) for found in re.findall(r"group_id=(\d+)", groups)}, {
        int(found) for found in re.findall(r"meter=(\d+)", meters)
    }


def test_groups_and_meters_of_what_was_removed_are_gone_and_those_of_others_are_not(
    controller: Controller, private_ovs: PrivateOvs, bridge: str, far_ends: dict[int, socket.socket]
) -> None:
    whole = one_switch(controller.dpid, GateMode.RULES)
    less, foreign = without_port(whole, 2), RuleChange(groups=FOREIGN_GROUPS, meters=FOREIGN_METERS)
    world = OpenVswitchWorld(less, POLICIES, controller=controller)
    world.connect()
    controller.apply(foreign)
    found = [objects(private_ovs, bridge)]
    for world.fabric in (with_services(whole), less):
        controller.start_over()
        controller.up()
        world.restart_controller()
        # Meters go when no cached flow uses them any more.
        world.advance(INTERVAL + 1)
        found.append(objects(private_ovs, bridge))
    without, more, again = found
    assert more[0] > without[0] and more[1] > without[1]
    assert again == without
    assert {group.group_id for group in FOREIGN_GROUPS} < again[0] and {
        meter.meter_id for meter in FOREIGN_METERS
    } < again[1]
