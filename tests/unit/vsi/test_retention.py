"""Retention of the counts of released VSIs: by time and by number, in memory and in the store."""

from __future__ import annotations

import pytest

from ryu_apps.evb.bridge.migrations import HISTORY, Migrations
from ryu_apps.evb.model import Retention
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, HV3, S1, S2, Vm, two_switches
from tests.worlds.counting import BY_NMS, FROM, PLAIN, POLICIES, CountingWorld

VM = Vm(7, type=PLAIN)


def make(secs: int = 3600, vsis: int = 100) -> CountingWorld:
    world = CountingWorld(policies=POLICIES, statistics_retention=Retention(secs, vsis))
    world.connect()
    return world


def come_and_go(world: CountingWorld, *vms: Vm) -> None:
    for vm in vms:
        world.move(vm, HV1)
        world.exchange_traffic(vm, HV1)
    for vm in vms:
        world.ask(HV1, vm, VdpMode.DEASSOCIATE)
    world.advance(12.0)


def remembered(world: CountingWorld) -> list[str]:
    return [account.vsi for account in world.engine.counters.accounts]


def written(world: CountingWorld) -> list[str]:
    return sorted(key for key in world.store if key.startswith("statistics/"))


def test_of_many_vsis_that_came_and_went_the_newest_are_remembered() -> None:
    world = make(vsis=8)
    vms = [Vm(number, type=PLAIN) for number in range(1, 41)]
    for group in range(0, 40, 10):
        come_and_go(world, *vms[group : group + 10])
    assert remembered(world) == [vm.text for vm in vms[32:]]
    assert written(world) == sorted(f"statistics/{vm.text}" for vm in vms[32:])


def test_a_vsi_that_is_gone_is_forgotten_after_its_time_in_the_store_too() -> None:
    world = make(secs=600)
    come_and_go(world, VM)
    assert remembered(world) == [VM.text] and written(world) == [f"statistics/{VM.text}"]
    world.advance(600.0)
    assert remembered(world) == [] and written(world) == []
    assert world.engine.deadline is None or world.engine.deadline > world.now


def test_a_vsi_that_comes_back_in_time_goes_on_and_one_that_comes_too_late_begins_anew() -> None:
    world = make(secs=600)
    come_and_go(world, VM)
    before = world.account(VM).total(FROM).packets
    world.advance(500.0)
    come_and_go(world, VM)
    assert world.account(VM).total(FROM).packets == 2 * before > 0
    world.advance(500.0)
    assert remembered(world) == [VM.text], "its time begins when it leaves last"
    world.advance(200.0)
    come_and_go(world, VM)
    assert world.account(VM).total(FROM).packets == before


def test_a_vsi_that_is_somewhere_is_never_forgotten() -> None:
    world = make(secs=0, vsis=0)
    world.move(VM, HV1)
    world.exchange_traffic(VM, HV1)
    world.keep_alive(30.0)
    world.move(VM, HV3)
    world.exchange_traffic(VM, HV3)
    world.keep_alive(30.0)
    assert remembered(world) == [VM.text] and world.account(VM).total(FROM).packets > 0


def test_the_time_goes_on_over_a_restart() -> None:
    world = make(secs=600)
    come_and_go(world, VM)
    world.restart_controller()
    world.advance(500.0)
    assert remembered(world) == [VM.text]
    world.advance(200.0)
    assert remembered(world) == [] and written(world) == []


def test_what_a_switch_counted_that_is_not_configured_any_more_is_not_waited_for() -> None:
    world = make(secs=60)
    world.move(VM, HV3)
    world.exchange_traffic(VM, HV3)
    world.keep_alive(12.0)
    whole = world.fabric
    world.fabric = Fabric({S1: two_switches().switches[S1]})
    world.engine = world._new_engine(dict(world.store))
    world.connect(S1)
    world.advance(90.0)
    assert S2 in whole.switches and remembered(world) == [] and written(world) == []


def test_ports_whose_totals_the_nms_carries_are_forgotten_when_they_are_left() -> None:
    """Later counts there would be added to the NMS's total twice."""
    world = make()
    vm = Vm(9, type=BY_NMS)
    world.move(vm, HV1)
    world.exchange_traffic(vm, HV1)
    world.move(vm, HV3)
    world.keep_alive(15.0)
    assert [str(account.port) for account in world.engine.counters.accounts] == [str(HV3)]


@pytest.mark.parametrize("moves", [HISTORY * 3])
def test_the_history_of_migrations_is_bounded_whatever_does_not_end(moves: int) -> None:
    history = Migrations()
    for number in range(moves):
        history.begin(Vm(number).text, HV1, HV3)
    assert len(list(history)) == HISTORY
    assert len(history._open) == len(history._newest) == HISTORY
