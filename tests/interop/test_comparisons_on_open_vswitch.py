"""Open vSwitch shows each rule of each kind of VSI with the octets by which it is recognized."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from ryu_apps.evb.events.effect import ReadRules
from ryu_apps.evb.events.switch import SwitchRead
from ryu_apps.evb.pipeline.tables import OURS
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.services.body import SECTIONS
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.sources import read_sources
from tests.interop.controller import Controller
from tests.worlds.bridge import Vm
from tests.worlds.real import OpenVswitchWorld, one_switch


@pytest.mark.parametrize("gate", [GateMode.METER, GateMode.RULES], ids=["meters", "rules"])
def test_what_a_switch_should_hold_is_recognized_without_being_decoded(
    controller: Controller, far_ends: dict[int, socket.socket], gate: GateMode
) -> None:
    sources, _ = read_sources([Path(__file__).parents[2] / "policies"])
    policies, found = load_policies(sources, SECTIONS)
    assert policies is not None, found
    world = OpenVswitchWorld(one_switch(controller.dpid, gate), policies, controller=controller)
    world.connect()
    (station, *_) = world.engine.stations
    granted = 0
    for number, key in enumerate(sorted(policies.types), start=1):
        world.ask(station, Vm(number, key), VdpMode.ASSOCIATE)
        answer = world.answer(station)
        granted += answer is not None and answer.success
    # The others are for what this switch does not have: appliances, load balancers, proxies.
    assert granted >= len(policies.types) / 2
    wanted = world.engine.wanted(controller.dpid)
    controller.driver.read(ReadRules(controller.dpid, 7, OURS))
    shown = controller.until(SwitchRead).shown
    assert len(shown) >= len(wanted.rules)
    assert shown.take(wanted.rules.values()) == []
    assert {rule.cookie for rule in shown.left()} <= wanted.learns
