"""An engine that follows the records of another bridge: what it has at each moment, and what it sends and writes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address

from ryu_apps.evb.event_catalogue.bridge import VsiNotRestored
from ryu_apps.evb.event_catalogue.vsis import VsiRestored
from ryu_apps.evb.events.other import TimerExpired
from ryu_apps.evb.model import Binding, SourceFilter
from ryu_apps.evb.snooping.listener import Generation, Membership, MembershipTable
from ryu_apps.evb.snooping.memory import pack
from ryu_apps.evb.vsi.records.attachment import AttachmentRecord
from ryu_apps.evb.vsi.records.keeper import MULTICAST
from ryu_apps.evb.wire.vdp import VdpMode
from tests.property.test_followed_engine import LIFE, attachments, engine
from tests.worlds.bridge import HV1, HV2, HV3, S1, S2, Vm, World

VM, OTHER = Vm(1), Vm(2)


def granted() -> World:
    world = World()
    world.connect()
    for port, vm in ((HV1, VM), (HV2, OTHER)):
        world.ask(port, vm, VdpMode.ASSOCIATE)
    world.advance(0.5)
    return world


def test_following_has_no_effect() -> None:
    world = granted()
    warm = engine(world, {}, follows=True)
    warm.follow(attachments(world.store))
    assert len(warm.registry) == 2
    # Nothing is due either: times begin with the lead.
    assert warm.feed(TimerExpired(), world.now + 3600) == []
    assert len(warm.registry) == 2


def test_vsi_whose_record_has_gone_is_gone_with_its_rules_and_reservations() -> None:
    world = granted()
    warm, nothing = engine(world, {}, follows=True), engine(world, {}, follows=True)
    known = attachments(world.store)
    warm.follow(known)
    warm.follow(dict.fromkeys(known))
    assert len(warm.registry) == 0
    for dpid in (S1, S2):
        assert warm.wanted(dpid) == nothing.wanted(dpid)
        assert dict(warm.ledger.reservations(dpid)) == {}
    assert not warm.lifecycle.installer.bodies


def test_times_begin_with_the_lead() -> None:
    world = granted()
    warm = engine(world, {}, follows=True)
    warm.follow(attachments(world.store))
    warm.lead(dict(world.store), LIFE, 5000.0)
    assert {attachment.since for attachment in warm.registry.attachments()} == {5000.0}
    assert min(attachment.machine.deadline or 0.0 for attachment in warm.registry.attachments()) > 5000.0
    restored = [event for event in warm.feed(TimerExpired(), 5000.0) if isinstance(event, VsiRestored)]
    assert len(restored) == 2


def test_two_vsis_that_exchange_their_indices_are_restored() -> None:
    world = granted()
    warm, known = engine(world, {}, follows=True), attachments(world.store)
    warm.follow(known)
    records = {key: AttachmentRecord.decode(data) for key, data in known.items()}
    one, another = records
    programs = {one: records[another].program, another: records[one].program}
    changed = {}
    for key, record in records.items():
        own, other = record.program, programs[key]
        assert own is not None and other is not None
        binding = replace(own.binding, vsi_index=other.binding.vsi_index)
        changed[key] = replace(record, program=replace(own, binding=binding)).encode()
    warm.follow(changed)
    assert not warm.not_restored
    assert len(warm.registry) == 2


def test_record_that_cannot_be_used_is_told_at_the_lead_and_tried_again() -> None:
    world = granted()
    known = attachments(world.store)
    damaged = next(iter(known))
    warm = engine(world, {}, follows=True)
    warm.follow({**known, damaged: b"no record"})
    warm.lead({**world.store, damaged: b"no record"}, LIFE, world.now)
    told = [event.record for event in warm.feed(TimerExpired(), world.now) if isinstance(event, VsiNotRestored)]
    assert told == [damaged] == list(warm.not_restored)
    assert len(warm.registry) == 1


def test_moved_vsi_is_at_its_new_port_only() -> None:
    world = granted()
    warm = engine(world, {}, follows=True)
    before = attachments(world.store)
    warm.follow(before)
    world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    world.ask(HV3, VM, VdpMode.ASSOCIATE)
    after = attachments(world.store)
    warm.follow({key: after.get(key) for key in before.keys() | after.keys() if before.get(key) != after.get(key)})
    (vsi,) = (vsi for vsi in warm.registry if vsi.text == VM.text)
    assert vsi.owner is not None and vsi.owner.port == HV3
    leader = world.engine
    assert {dpid: warm.wanted(dpid).rules for dpid in (S1, S2)} == {
        dpid: leader.wanted(dpid).rules for dpid in (S1, S2)
    }


def test_memberships_count_as_reported_at_the_lead() -> None:
    world = granted()
    listener = MembershipTable()
    key = Binding(100, VM.mac), IPv4Address("239.1.1.1")
    listener.memberships[key] = Membership(SourceFilter(True, frozenset()), max(Generation), 0.0)
    known = attachments(world.store)
    (mine,) = (name for name in known if VM.text in name)
    record = replace(AttachmentRecord.decode(known[mine]), services={MULTICAST: pack(listener)})
    warm = engine(world, {}, follows=True)
    warm.follow({**known, mine: record.encode()})
    warm.lead({**world.store, mine: record.encode()}, LIFE, 5000.0)
    (vsi,) = (vsi for vsi in warm.registry if vsi.text == VM.text)
    assert {held.heard for held in vsi.listener.memberships.values()} == {5000.0}
