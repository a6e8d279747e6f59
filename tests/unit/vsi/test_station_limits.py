"""Requests that the configuration of a port does not permit are refused and told of, and change nothing."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.station_limits import StationLimits, limit_pattern
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.evb.wire.vdp import VdpError, VdpMode
from tests.worlds.bridge import HV1, HV3, Vm, World, two_switches

VM = Vm(7)
MAC = mac_to_text(VM.mac)
MODES = [VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE]


def limited(limits: StationLimits, port: PortId = HV3) -> World:
    fabric = two_switches()
    interfaces = fabric.switches[port.dpid].interfaces
    interfaces[port.port_no] = replace(interfaces[port.port_no], limits=limits)
    world = World(fabric)
    world.connect()
    return world


PERMITTED = [
    StationLimits(vsis=(VM.text,)),
    StationLimits(vsis=("0*", VM.text[:6] + "*")),
    StationLimits(types=("*/1",), macs=(MAC[:9] + "*",), vsis=("*",)),
]
REFUSED = [
    (StationLimits(vsis=("0000*",)), "vsis", VM.text),
    (StationLimits(types=("9/*", "*/200")), "types", "1/1"),
    (StationLimits(macs=("00:*",)), "macs", MAC),
]


@pytest.mark.parametrize("limits", PERMITTED)
@pytest.mark.parametrize("mode", MODES)
def test_what_is_listed_is_granted(limits: StationLimits, mode: VdpMode) -> None:
    world = limited(limits)
    world.ask(HV3, VM, mode)
    assert world.answer(HV3).success


@pytest.mark.parametrize(("limits", "name", "value"), REFUSED)
@pytest.mark.parametrize("mode", MODES)
def test_what_is_not_listed_is_refused_and_told_of(limits: StationLimits, name: str, value: str, mode: VdpMode) -> None:
    world = limited(limits)
    before = world.snapshot()
    world.ask(HV3, VM, mode)
    answer = world.answer(HV3)
    assert answer.error is (VdpError.INVALID_VID_GROUP_MAC if name == "macs" else VdpError.OTHER_FAILURE)
    assert answer.hard and world.snapshot() == before
    (told,) = [event for event in world.happened if event.kind == "vsi.not_permitted"]
    assert (told.port, told.vsi, told.detail) == (HV3, VM.text, {"limit": name, "value": value})


def test_a_vsi_that_lives_elsewhere_is_not_contested_by_it() -> None:
    world = limited(StationLimits(vsis=("0000*",)))
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    for mode in MODES:
        world.ask(HV3, VM, mode)
        assert world.answer(HV3).error is VdpError.OTHER_FAILURE
    assert "vsi.contested" not in [event.kind for event in world.happened]
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    assert world.answer(HV1).success


@pytest.mark.parametrize("written", ["", "[a]*", "a b", "x" * 65, "a\n"])
def test_other_texts_are_no_patterns(written: str) -> None:
    with pytest.raises(ValueError, match="a value, or its beginning"):
        limit_pattern(written)


def test_a_vid_without_a_mac_address_stands_for_all_addresses() -> None:
    assert StationLimits(macs=("52:*",)).beyond("v", "1/1", [None]) == ("macs", "any")
    assert StationLimits(vsis=("v",)).beyond("v", "1/1", [None]) is None
