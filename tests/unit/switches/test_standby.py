"""The engine of a standby, and an engine that takes its place: roles, and nothing else before the lead."""

from __future__ import annotations

from ryu_apps.evb.alarms import Alarms
from ryu_apps.evb.event_catalogue.switches import SwitchSuperseded
from ryu_apps.evb.events import ChannelUp, ControllerRole, Save
from ryu_apps.evb.generation import Life, newer
from ryu_apps.evb.switches.mastership import MastershipState
from tests.unit.switches.test_fencing import VM, associate, silent_still
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV3, S1, S2
from tests.worlds.fenced import FencedBridge, Site


def standby_of(leader: FencedBridge, generation: int) -> FencedBridge:
    """A bridge with the leader's store that does not lead."""
    bridge = leader.site.start(records=leader.store)
    bridge.store = leader.store
    bridge.life = Life(generation, False, {}, standby=True)
    bridge.engine = bridge._new_engine({})
    return bridge


def leading(site: Site) -> FencedBridge:
    bridge = site.start()
    bridge.connect()
    associate(bridge, HV1, VM)
    return bridge


def test_standby_is_a_slave_and_takes_no_switch_from_the_leader() -> None:
    site = Site()
    leader = leading(site)
    # It need not know yet under which generation the other one leads.
    for generation in (0, leader.life.generation):
        standby = standby_of(leader, generation)
        standby.connect()
        assert {standby.role(dpid) for dpid in (S1, S2)} == {ControllerRole.SLAVE}
        assert {leader.role(dpid) for dpid in (S1, S2)} == {ControllerRole.MASTER}
        assert {at.state for at in standby.engine.fencing.switches.values()} == {MastershipState.ASIDE}
        silent_still(standby)
    assert not leader.engine.fencing.superseded


def test_standby_writes_nothing_and_raises_no_alarm() -> None:
    site = Site()
    leader = leading(site)
    standby = standby_of(leader, 0)
    before = dict(leader.store)
    standby.connect()
    standby.advance(30.0)
    assert leader.store == before
    assert not any(isinstance(event, SwitchSuperseded) for event in standby.happened)
    alarms = Alarms()
    assert [alarm for event in standby.happened for alarm in alarms.observe(event, 0.0)] == []


def test_engine_of_the_next_leader_goes_on_where_the_last_one_stopped_and_sends_no_rule() -> None:
    site = Site()
    leader = leading(site)
    standby = standby_of(leader, leader.life.generation)
    standby.connect()
    heir = site.start(records=leader.store)
    assert newer(heir.life.generation, leader.life.generation)
    standby.engine, standby.life = heir.engine, heir.life
    before = {dpid: dict(table.rules) for dpid, table in standby.tables.items()}
    for dpid in (S1, S2):
        standby.feed(ChannelUp(dpid))
    assert {standby.role(dpid) for dpid in (S1, S2)} == {ControllerRole.MASTER}
    assert leader.engine.fencing.superseded
    changes = [apply.change for apply in standby.applied]
    assert changes and not any(change.add or change.blocks or change.remove for change in changes)
    assert {dpid: dict(table.rules) for dpid, table in standby.tables.items()} == before
    assert gate_ports(standby) == {HV1}
    associate(standby, HV3, VM)
    assert gate_ports(standby) == {HV3}


def test_types_that_are_compiled_are_not_compiled_again() -> None:
    site = Site()
    bridge = leading(site)
    before = bridge.engine.epochs.compiled
    assert before
    again = type(bridge.engine)(bridge.fabric, bridge.policies, ready=before)
    numbers = {again.epochs.number(vsi_type): vsi_type for vsi_type in bridge.policies.types.values()}
    assert all(again.epochs.block(numbers[epoch]) is block for (_, epoch), block in before.items())


def test_saves_of_a_standby_are_none() -> None:
    site = Site()
    standby = standby_of(leading(site), 0)
    assert [effect for effect in standby.engine.feed(ChannelUp(S1), 1.0) if isinstance(effect, Save)] == []
