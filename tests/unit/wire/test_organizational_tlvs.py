"""An organizationally defined TLV is extra: one that makes no sense costs the request nothing."""

from __future__ import annotations

import pytest

from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.wire.cisco import CISCO_OUI
from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.vdp import OrganizationalTlv, VdpMode, VdpPdu
from tests.worlds.bridge import HV1, Vm, World

VM = Vm(7)


@pytest.mark.parametrize("info", [b"\xf2", b"\xf2" + bytes(17) + b"\0\0" + bytes(4), b"\xf1" + bytes(34) + b"\xff"])
def test_a_malformed_tlv_is_counted_and_the_request_served(info: bytes) -> None:
    world = World()
    world.connect()
    pdu = VdpPdu(world.manager_id, (VM.tlv(VdpMode.ASSOCIATE), OrganizationalTlv(CISCO_OUI, info)))
    ecpdu = Ecpdu(EcpOp.REQUEST, 1, 1, pdu.encode())
    world.feed(FrameReceived(HV1, Frame(NEAREST_CUSTOMER_BRIDGE, 0x0202, ETHERTYPE_ECP, ecpdu.encode()).encode()))
    assert world.answer(HV1).success
    assert world.engine.stations[HV1].counters["malformed"] == 1
