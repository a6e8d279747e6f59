"""The path of an Associate through the engine and the encoder, with the effort of each part of it."""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from ryu.ofproto import ofproto_common as common
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import Apply, Effect, Prepare, SendFrame
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import Confirmed, FrameReceived
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.southbound.driver import SwitchDriver
from ryu_apps.southbound.encode import message
from ryu_apps.southbound.messages import numbered
from ryu_apps.southbound.piece import PieceCache
from tests.worlds.bridge import HV1, HV2, Vm, World
from tests.worlds.effort import calls


class ObligingSwitch:
    """A driver whose switch takes everything; it answers barriers and bundles.

    Attributes:
        next_xid: transaction id of the next message.
        unanswered: what was written to the switch since it has answered.
    """

    def __init__(self, dpid: int) -> None:
        self.next_xid = 1
        self.unanswered: list[bytes] = []
        self.driver = SwitchDriver(dpid, self._sent, self._reserve, lambda event: None, PieceCache())

    def _reserve(self, count: int) -> range:
        first, self.next_xid = self.next_xid, self.next_xid + count
        return range(first, self.next_xid)

    def _sent(self, octets: bytes | bytearray) -> None:
        self.unanswered.append(bytes(octets))

    def answer(self) -> None:
        """Answer what has been sent, and what that leads to."""
        while self.unanswered:
            octets = self.unanswered.pop(0)
            while octets:
                length = int.from_bytes(octets[2:4])
                self._answer(octets[:length])
                octets = octets[length:]

    def _answer(self, asked: bytes) -> None:
        xid = int.from_bytes(asked[4:8])
        if asked[1] == ofp.OFPT_BARRIER_REQUEST:
            self.driver.receive(numbered(message(ofp.OFPT_BARRIER_REPLY, b""), xid))
        elif asked[1] == ofp.OFPT_EXPERIMENTER:
            experimenter, kind, bundle, request, flags = struct.unpack_from("!IIIHH", asked, 8)
            if (experimenter, kind) == (common.ONF_EXPERIMENTER_ID, ofp.ONF_ET_BUNDLE_CONTROL):
                # Each reply's number is that of the request, plus one.
                body = struct.pack("!IIIHH", experimenter, kind, bundle, request + 1, flags)
                self.driver.receive(numbered(message(ofp.OFPT_EXPERIMENTER, body), xid))


@dataclass
class AssociatePath:
    """A world of which the engine and the drivers are measured.

    Attributes:
        efforts: Python calls by part of the path; filled while an Associate is measured.
    """

    world: World
    efforts: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._switches = {dpid: ObligingSwitch(dpid) for dpid in self.world.fabric.switches}
        self._engine_feeds, self._engine_looks_ahead = self.world.engine.feed, self.world.engine.ahead
        self._measuring = False
        self._part = ""
        self.world.connect()
        self.world.engine.feed = self._feed  # type: ignore[method-assign]
        self.world.engine.ahead = self._ahead  # type: ignore[method-assign]
        self._engine_rests = self.world.engine.rest
        self.world.engine.rest = self._rest  # type: ignore[method-assign]

    def associate(self, vm: Vm) -> Counter[str]:
        """Stage a VM at hv1, associate it, and take it off; returns the efforts of the Associate.

        ``sent``: from the frame to the octets of the change; ``meanwhile``: what is left to be done about the frame
        while switches work; ``answered``: from the confirmation to the octets of the answer; ``behind``: what follows.
        """
        self.world.ask(HV1, vm, VdpMode.PREASSOCIATE_RR)
        # The channel to the station is free again; what is not the Associate's is done before.
        self.world.advance(0.01)
        self._measuring, self._part, self.efforts = True, "sent", Counter()
        self.world.send(HV1, vm.tlv(VdpMode.ASSOCIATE), vm.address)
        self._measuring = False
        self.world.ask(HV1, vm, VdpMode.DEASSOCIATE)
        return self.efforts

    def fill(self, count: int) -> None:
        """Stage half of so many other VMs at hv1, and associate half of them."""
        for number in range(1000, 1000 + count):
            mode = VdpMode.ASSOCIATE if number % 2 else VdpMode.PREASSOCIATE_RR
            self.world.ask(HV1, Vm(number), mode)

    def _ahead(self, event: FrameReceived, now: float) -> list[Effect]:
        effects: list[Effect] = []
        self._measured(lambda: effects.extend(self._engine_looks_ahead(event, now)))
        self._perform(effects)
        if effects:
            self._part = "meanwhile"
        return effects

    def _feed(self, event: Event, now: float) -> list[Effect]:
        effects: list[Effect] = []
        if isinstance(event, Confirmed):
            self._part = "answered"
        self._measured(lambda: effects.extend(self._engine_feeds(event, now)))
        self._perform(effects)
        return effects

    def _rest(self, now: float) -> list[Effect]:
        effects: list[Effect] = []
        self._part = "behind"
        self._measured(lambda: effects.extend(self._engine_rests(now)))
        self._perform(effects)
        return effects

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            if isinstance(effect, Apply):
                switch = self._switches[effect.dpid]
                self._measured(lambda apply=effect, driver=switch.driver: driver.submit(apply))
                switch.answer()
            elif isinstance(effect, Prepare):
                switch = self._switches[effect.dpid]
                switch.driver.prepare(effect.change)
                switch.answer()
            elif isinstance(effect, SendFrame):
                driver = self._switches[effect.port.dpid].driver
                self._measured(lambda frame=effect, driver=driver: driver.send_frame(frame))

    def _measured(self, action: Callable[[], object]) -> None:
        if not self._measuring:
            action()
            return
        # Without the call of the action itself.
        self.efforts[self._part] += calls(action) - 1


def associate_path() -> AssociatePath:
    """Two switches, with another VM of the VLAN at hv2."""
    path = AssociatePath(World())
    path.world.ask(HV2, Vm(99), VdpMode.ASSOCIATE)
    return path
