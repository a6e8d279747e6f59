"""One station cannot make the bridge remember without bound, whatever it sends and never acknowledges."""

from __future__ import annotations

from ipaddress import IPv4Address

import pytest

from ryu_apps.evb.bridge.request_reader import MAX_ADDRESSES
from ryu_apps.evb.bridge.requests import MAX_VSIS
from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.events.effect import SendFrame
from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.ports.bridge_port import BridgePort
from ryu_apps.evb.ports.pending_deassociates import MAX_PENDING_DEASSOCIATES
from ryu_apps.evb.protocol.outbox import MAX_ANSWERS, Outbox
from ryu_apps.evb.vsi import departures
from ryu_apps.evb.vsi.departures import MAX_PER_VSI
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.status import ResponseStatus
from ryu_apps.evb.wire.vdp import Association, ManagerId, VdpError, VdpMode, VdpPdu
from ryu_apps.evb.wire.vsi_id import VsiId
from tests.worlds.bridge import HV1, HV2, Vm, World, two_switches

#: Association TLVs that fit one frame.
PACKED = 25


@pytest.fixture
def world() -> World:
    world = World()
    world.connect()
    return world


def ask_for_many(world: World, numbers: range, mode: VdpMode) -> None:
    """One ECPDU after the other, full of requests."""
    for sequence, first in enumerate(numbers[::PACKED], start=1):
        tlvs = tuple(Vm(number).tlv(mode) for number in range(first, min(first + PACKED, numbers.stop)))
        ecpdu = Ecpdu(EcpOp.REQUEST, 1, sequence, VdpPdu(world.manager_id, tlvs).encode())
        frame = Frame(NEAREST_CUSTOMER_BRIDGE, 0x020000000101, ETHERTYPE_ECP, ecpdu.encode())
        world.feed(FrameReceived(HV1, frame.encode()))


def attachment(world: World, vm: Vm) -> Attachment:
    vsi = world.engine.registry.named(vm.text)
    assert vsi is not None
    return vsi.attachments[HV1]


def test_a_port_has_no_more_than_so_many_vsis_until_one_goes_and_others_are_not_affected(world: World) -> None:
    ask_for_many(world, range(MAX_VSIS), VdpMode.PREASSOCIATE)
    assert len(world.engine.registry) == MAX_VSIS
    late = Vm(MAX_VSIS)
    world.advance(1.0)
    world.ask(HV1, late, VdpMode.ASSOCIATE)
    assert world.answer(HV1) == ResponseStatus(VdpError.INSUFFICIENT_RESOURCES)
    assert world.engine.registry.named(late.text) is None
    world.ask(HV2, late, VdpMode.ASSOCIATE)
    assert world.answer(HV2).success
    world.ask(HV1, Vm(0), VdpMode.DEASSOCIATE)
    world.ask(HV1, Vm(MAX_VSIS + 1), VdpMode.PREASSOCIATE)
    assert world.answer(HV1).success


def test_a_vm_has_no_more_than_so_many_addresses_and_the_newest_count(world: World) -> None:
    vm = Vm(7)
    told = [IPv4Address("10.1.0.0") + number for number in range(MAX_ADDRESSES + 6)]
    for address in told:
        world.advance(0.01)
        world.send(HV1, vm.tlv(VdpMode.PREASSOCIATE), address=address)
    assert attachment(world, vm).conversation.told == tuple(told[-MAX_ADDRESSES:])


def test_records_that_were_replaced_are_not_remembered_for_ever(world: World) -> None:
    vm = Vm(7)
    for number in range(MAX_PER_VSI + 6):
        world.manager_id = ManagerId(number.to_bytes(16))
        world.ask(HV1, vm, VdpMode.ASSOCIATE)
        assert world.answer(HV1).success
    assert len(world.engine.associations.departures) == MAX_PER_VSI


def test_departures_are_remembered_up_to_a_number_and_the_oldest_goes_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(departures, "MAX_PER_PORT", 30)
    monkeypatch.setattr(departures, "MAX_IN_ALL", 50)
    known = departures.Departures()
    for number in range(40):
        for port in (HV1, HV2):
            known.note(port, ManagerId(), Vm(number).tlv(VdpMode.ASSOCIATE), departures.Cause.DISPLACED)
            assert len(list(known.unacknowledged(port))) <= 30 and len(known) <= 50
    kept = [association.vsi_id for _, association in known.unacknowledged(HV1)]
    assert kept == [Vm(number).vsi_id for number in range(15, 40)]
    stored = known.changes(lambda: 1)
    assert stored is not None
    again = departures.Departures()
    records = {key: record for key, record in stored[1].items() if record}
    assert again.restore(records, lambda port: True, lambda port, manager_id, association: None) == {}
    assert list(again.unacknowledged(HV1)) == list(known.unacknowledged(HV1))


def refusal(number: int) -> Association:
    vm = Vm(number)
    return vm.tlv(VdpMode.ASSOCIATE).answer(ResponseStatus(VdpError.OTHER_FAILURE))


def test_an_outbox_is_full_at_some_point() -> None:
    outbox = Outbox()
    for number in range(MAX_ANSWERS + 10):
        outbox.add(ManagerId(), refusal(number))
    assert len(outbox) == MAX_ANSWERS


def test_a_full_outbox_takes_a_newer_answer_for_an_older_one() -> None:
    outbox = Outbox()
    for number in (*range(MAX_ANSWERS), 0):
        outbox.add(ManagerId(), refusal(number))
    assert len(outbox) == MAX_ANSWERS
    first = next(VdpPdu.decode(outbox.pop()).associations())[0]
    assert first.vsi_id == Vm(1).vsi_id


def test_deassociates_for_a_station_that_never_acknowledges_are_bounded() -> None:
    interface = two_switches().interface(HV1)
    assert interface is not None
    station = BridgePort(HV1, interface, 0x02EB00010001)
    for number in range(MAX_PENDING_DEASSOCIATES + 10):
        assert station.answer(ManagerId(), refusal(number), 0.0) == []
    station.link(True, 0.0)
    assert len(told(station)) == MAX_PENDING_DEASSOCIATES


def told(station: BridgePort) -> set[VsiId]:
    """The VSIs that a station hears of which acknowledges everything."""
    heard: set[VsiId] = set()
    now = 3.0
    outputs = station.tick(now)
    while sent := [output for output in outputs if isinstance(output, SendFrame)]:
        frames = [frame for output in sent if (frame := Frame.decode(output.data)).ethertype == ETHERTYPE_ECP]
        now += 0.01
        outputs = []
        for ecpdu in map(Ecpdu.decode, [frame.payload for frame in frames]):
            heard.update(tlv.vsi_id for tlv, _ in VdpPdu.decode(ecpdu.payload).associations())
            ack = Frame(NEAREST_CUSTOMER_BRIDGE, 0x020000000101, ETHERTYPE_ECP, ecpdu.acknowledgement().encode())
            outputs += [*station.frame(ack.encode(), now), *station.tick(now + 0.006)]
    return heard


def test_a_deadline_that_is_moved_often_takes_no_more_room() -> None:
    agenda: DeadlineQueue[str] = DeadlineQueue()
    agenda.set("near", 1.0)
    for number in range(10_000):
        agenda.set("far", 1e6 + number)
    assert len(agenda._heap) < 100
    assert list(agenda.due(2e6)) == ["near", "far"]
