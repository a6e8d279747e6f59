"""The engine of a standby, and an engine that takes its place: roles, and nothing else before the lead."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ryu_apps.evb.alarms import Alarms
from ryu_apps.evb.event_catalogue.switches import SwitchSuperseded
from ryu_apps.evb.events.effect import Hasten, Save
from ryu_apps.evb.events.switch import ChannelUp, ControllerRole, FrameReceived
from ryu_apps.evb.generation import Life, newer
from ryu_apps.evb.switches.mastership import MastershipState
from ryu_apps.evb.switches.recovery import UNKNOWN
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.records.attachment import AttachmentRecord
from ryu_apps.evb.wire.ethernet import ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.switches.test_fencing import VM, associate, silent_still
from tests.unit.vcm.test_move import gate_ports
from tests.worlds.bridge import HV1, HV3, OPEN_2, S1, S2, Vm
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
    bridge.advance(0.5)
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


def taken_over(site: Site, kept: bool = True, leader: FencedBridge | None = None) -> FencedBridge:
    """A standby that has just become the leader: its switches have begun to be read, and have shown nothing yet."""
    leader = leader or leading(site)
    standby = standby_of(leader, leader.life.generation)
    standby.connect()
    leader.die()
    standby.engine = site.start(records=leader.store).engine
    standby.store = dict(leader.store)
    standby.slow_reads |= {S1, S2}
    for dpid in (S1, S2):
        standby.feed(ChannelUp(dpid, kept))
    assert not any(map(standby.engine.bringup.ready, (S1, S2)))
    return standby


def read(bridge: FencedBridge, dpid: int) -> None:
    """One switch has shown all, and is compared before the other one."""
    token = next(token for token, answer in bridge.reads.items() if answer.dpid == dpid)
    bridge.feed(bridge.reads.pop(token))
    assert [other for other in (S1, S2) if bridge.engine.bringup.ready(other)] == [dpid]


def read_all(bridge: FencedBridge) -> None:
    bridge.slow_reads.clear()
    while bridge.reads:
        bridge.read_on(1000)


def test_repeated_request_is_answered_before_the_switch_is_compared_and_sends_no_rule() -> None:
    standby = taken_over(Site())
    before = standby.snapshot()
    standby.send(HV1, VM.tlv(VdpMode.ASSOCIATE), VM.address)
    assert standby.answer(HV1).success
    assert standby.snapshot() == before and not standby.applied
    read_all(standby)
    assert all(map(standby.engine.bringup.ready, (S1, S2)))
    assert standby.snapshot() == before


def test_request_whose_gate_was_being_opened_is_answered_when_both_switches_have_been_compared() -> None:
    """The leader may have died before or after its answer: the record has a mark."""
    site = Site()
    leader = leading(site)
    associate(leader, HV3, VM)
    assert any(key.startswith("opening/") for key in leader.store)
    standby = taken_over(site, leader=leader)
    standby.send(HV3, VM.tlv(VdpMode.ASSOCIATE), VM.address)
    read(standby, S2)
    standby.send(HV3, VM.tlv(VdpMode.ASSOCIATE), VM.address)
    assert not standby.sent.get(HV3)
    read_all(standby)
    assert standby.answer(HV3).success and len(standby.sent[HV3]) == 1
    assert gate_ports(standby) == {HV3}
    standby.advance(0.5)
    assert not any(key.startswith("opening/") for key in standby.store)


@pytest.mark.parametrize(
    ("port", "vm", "mode"),
    [
        (HV1, VM, VdpMode.PREASSOCIATE_RR),
        (HV3, VM, VdpMode.ASSOCIATE),
        (HV3, VM, VdpMode.PREASSOCIATE_RR),
        (HV1, Vm(9), VdpMode.ASSOCIATE),
        (HV1, replace(VM, type=OPEN_2), VdpMode.ASSOCIATE),
    ],
)
def test_any_other_request_waits_for_the_comparison_and_hastens_it(port: PortId, vm: Vm, mode: VdpMode) -> None:
    standby, hastened = taken_over(Site()), []
    standby.observers.append(
        lambda _, effects: hastened.extend(effect.dpid for effect in effects if isinstance(effect, Hasten))
    )
    before = standby.snapshot()
    for _ in range(2):
        standby.send(port, vm.tlv(mode), vm.address)
    assert standby.snapshot() == before and not standby.applied
    assert not any(association.MODE is mode for association in standby.sent.get(port, []))
    assert hastened == [port.dpid]
    read_all(standby)
    # Whatever the answer is: an Associate elsewhere without an announcement is refused.
    assert standby.answer(port) is not None


def test_switch_is_not_hastened_for_what_every_station_sends() -> None:
    """Each answers LLDP at once, so all switches would be first; the one for which a request waits is."""
    standby, hastened = taken_over(Site()), []
    standby.observers.append(
        lambda _, effects: hastened.extend(effect.dpid for effect in effects if isinstance(effect, Hasten))
    )
    lldp = Frame(NEAREST_CUSTOMER_BRIDGE, 0x0200_0000_0E01, ETHERTYPE_LLDP, bytes(46)).encode()
    for port in (HV1, HV3):
        standby.feed(FrameReceived(port, lldp))
    assert hastened == []
    standby.send(HV3, VM.tlv(VdpMode.PREASSOCIATE_RR), VM.address)
    assert hastened == [S2]


@pytest.mark.parametrize("noted", [True, False], ids=["the move is noted", "its deletion has failed"])
def test_record_of_a_port_that_the_vsi_has_left_is_no_grant(noted: bool) -> None:
    """The leader died before the station had been told, or the store had failed to delete the record."""
    site = Site()
    leader = leading(site)
    key, record = next((key, value) for key, value in leader.store.items() if key.endswith(f"@{HV1}"))
    associate(leader, HV3, VM)
    leader.advance(0.5)
    assert key not in leader.store
    leader.store[key] = replace(AttachmentRecord.decode(record), owner=not noted, left=noted).encode()
    standby = taken_over(site, leader=leader)
    vsi = standby.engine.registry.vsi(VM.vsi_id)
    assert vsi is not None and vsi.owner is vsi.attachments[HV3]
    read(standby, S2)
    before = standby.snapshot()
    standby.send(HV1, VM.tlv(VdpMode.ASSOCIATE), VM.address)
    assert not standby.sent.get(HV1) and standby.snapshot() == before
    read_all(standby)
    standby.send(HV3, VM.tlv(VdpMode.ASSOCIATE), VM.address)
    assert standby.answer(HV3).success
    assert gate_ports(standby) == {HV3}


def test_switch_that_has_connected_anew_is_compared_before_anything_is_answered() -> None:
    standby = taken_over(Site(), kept=False)
    standby.send(HV1, VM.tlv(VdpMode.ASSOCIATE), VM.address)
    assert not standby.sent.get(HV1)
    read_all(standby)
    assert standby.answer(HV1).success


def test_bridge_without_all_records_compares_first() -> None:
    site = Site()
    leader = leading(site)
    standby = standby_of(leader, leader.life.generation)
    standby.connect()
    records = {**leader.store, **{key: value for key, value in UNKNOWN.items() if value is not None}}
    standby.engine = site.start(records=records).engine
    standby.slow_reads |= {S1, S2}
    for dpid in (S1, S2):
        standby.feed(ChannelUp(dpid, kept=True))
    standby.send(HV1, VM.tlv(VdpMode.ASSOCIATE), VM.address)
    assert not standby.sent.get(HV1)


def test_gate_is_opened_nowhere_before_the_switch_that_has_it_is_compared() -> None:
    standby = taken_over(Site())
    read(standby, S2)
    for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE):
        standby.send(HV3, VM.tlv(mode), VM.address)
    assert not standby.sent.get(HV3) and gate_ports(standby) == {HV1}
    read_all(standby)
    for mode in (VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE):
        standby.ask(HV3, VM, mode)
    assert standby.answer(HV3).success and gate_ports(standby) == {HV3}
