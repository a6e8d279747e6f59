"""A station that has lost its VSI while its link was down, and the controller is restarted before the link is up."""

from __future__ import annotations

from dataclasses import replace

from ryu_apps.evb.events.switch import PortChanged
from ryu_apps.evb.vsi.records.attachment import AttachmentRecord
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, HV3, Vm, World

VM = Vm(7)


def test_station_whose_link_returns_after_a_restart_is_sent_a_de_associate() -> None:
    world = World()
    world.connect()
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    world.advance(0.5)
    ((key, held),) = [(key, held) for key, held in world.store.items() if key.endswith(str(HV1))]
    world.cut.add(HV1)
    world.feed(PortChanged(HV1, False))
    world.ask(HV3, VM, VdpMode.ASSOCIATE, migrating=True)
    assert world.answer(HV3).success
    world.advance(0.5)
    # As of the moment between the move and the removal of what the station had.
    world.store[key] = replace(AttachmentRecord.decode(held), owner=False, left=True).encode()
    world.restart_controller()
    world.sent.clear()
    world.feed(PortChanged(HV1, True))
    world.advance(0.05)
    assert [tlv.MODE for tlv in world.sent.get(HV1, [])][:1] == [VdpMode.DEASSOCIATE]
