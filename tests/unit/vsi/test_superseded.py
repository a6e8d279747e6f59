"""Identities by which a station had a VSI before it requested the VSI in another way: their records end with it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ryu_apps.evb.record_kinds import DEPARTED
from ryu_apps.evb.topology.station_treatment import NEVER
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.vsi.test_treatment import with_stations
from tests.worlds.bridge import HV1, HV3, OPEN, OPEN_2, Vm, World

OLDER, NEWER = Vm(6, type=OPEN), Vm(6, type=OPEN_2)
ASSOCIATE, DEASSOCIATE = VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE


def superseding(world: World) -> World:
    """An Associate of one type, and of another for the same VSI."""
    world.connect()
    world.ask(HV1, OLDER, ASSOCIATE)
    world.ask(HV1, NEWER, ASSOCIATE)
    assert DEPARTED.key(OLDER.vsi_id) in world.store
    return world


def deassociates_of(world: World, vm: Vm) -> int:
    """Number of De-Associates that hv1 was sent for a VM of a type."""
    sent = world.sent.get(HV1, [])
    return sum(tlv.MODE is DEASSOCIATE and (tlv.type_id, tlv.version) == vm.type for tlv in sent)


RESTARTS = pytest.mark.parametrize("restarts", [False, True], ids=["no restart", "restart"])


@RESTARTS
def test_station_that_ends_the_newer_one_is_sent_the_end_of_the_older_one(restarts: bool) -> None:
    world = superseding(World())
    if restarts:
        world.restart_controller()
    world.ask(HV1, NEWER, DEASSOCIATE)
    world.advance(1.0)
    assert deassociates_of(world, OLDER) == 1
    assert world.store == {}


def test_older_one_is_not_ended_again_when_its_station_has_ended_it() -> None:
    world = superseding(World())
    world.ask(HV1, OLDER, DEASSOCIATE)
    world.ask(HV1, NEWER, DEASSOCIATE)
    world.advance(1.0)
    assert deassociates_of(world, OLDER) == 1
    assert world.store == {}


@RESTARTS
def test_station_that_does_not_acknowledge_is_sent_it_when_it_returns(restarts: bool) -> None:
    world = superseding(World())
    world.unacknowledging.add(HV1)
    world.ask(HV1, NEWER, DEASSOCIATE)
    world.advance(5.0)
    assert DEPARTED.key(OLDER.vsi_id) in world.store
    world.unacknowledging.clear()
    if restarts:
        world.restart_controller()
    world.ask(HV1, Vm(9), ASSOCIATE)
    world.advance(5.0)
    assert DEPARTED.key(OLDER.vsi_id) not in world.store


@pytest.mark.parametrize("notify", [0.0, 0.5, NEVER], ids=["now", "later", "never"])
@pytest.mark.parametrize("ended_by", [HV1, HV3], ids=str)
@RESTARTS
def test_vsi_that_has_moved_away_leaves_no_record(notify: float, ended_by: object, restarts: bool) -> None:
    world = superseding(World(with_stations(notify_displaced=notify)))
    world.ask(HV3, NEWER, ASSOCIATE, migrating=True)
    if restarts:
        world.restart_controller()
    ends: list[Callable[[], object]] = [
        lambda: world.ask(HV1, NEWER, DEASSOCIATE),
        lambda: world.ask(HV3, NEWER, DEASSOCIATE),
    ]
    for end in ends if ended_by == HV1 else reversed(ends):
        end()
        world.advance(1.0)
    world.advance(60.0)
    assert world.store == {}
