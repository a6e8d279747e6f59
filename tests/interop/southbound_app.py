"""A Ryu app that answers every punted frame after having changed the switch: the southbound, nothing else.

The first octet after the Ethernet type says how many rules to write; the frame comes back as it was.
"""

from __future__ import annotations

import os

from ryu.base import app_manager
from ryu.controller import ofp_event
from ryu.controller.handler import DEAD_DISPATCHER, MAIN_DISPATCHER, set_ev_cls
from ryu.ofproto import ofproto_v1_3

from ryu_apps import compat  # noqa: F401 - Ryu on a current eventlet
from ryu_apps.evb.events.effect import Apply, Mode, SendFrame, Survey
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import ChannelUp, Confirmed, FrameReceived, SwitchUp
from ryu_apps.evb.flow.actions import Output
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import CookieKind, cookie
from ryu_apps.southbound.session import Southbound

ETH_TYPE = 0x88B5
#: Environment variable: "ryu" for Ryu's own reader, without the short cut.
READER = "SOUTHBOUND_APP_READER"
_COOKIE = cookie(CookieKind.INFRASTRUCTURE)
_PUNT = Rule(0, 100, match(eth_type=ETH_TYPE), _COOKIE, (Output(ofproto_v1_3.OFPP_CONTROLLER),))


class SouthboundApp(app_manager.RyuApp):
    """Frame in, rules out, frame out."""

    OFP_VERSIONS = (ofproto_v1_3.OFP_VERSION,)

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self.southbound = Southbound(self._deliver, short_cut=os.environ.get(READER) != "ryu")
        self._waiting: dict[int, FrameReceived] = {}
        self._token = 0

    def _deliver(self, event: Event) -> None:
        match event:
            case ChannelUp(dpid):
                self.southbound.perform(Survey(dpid))
            case SwitchUp(dpid):
                self.southbound.perform(Apply(dpid, 0, RuleChange(add=(_PUNT,)), Mode.BULK))
            case FrameReceived(port, data):
                self._token += 1
                self._waiting[self._token] = event
                rules = tuple(
                    Rule(10, 5, match(metadata=number), _COOKIE + self._token % 1000, goto=20)
                    for number in range(data[14])
                )
                self.southbound.perform(Apply(port.dpid, self._token, RuleChange(add=rules), Mode.ATOMIC))
            case Confirmed(_, token):
                frame = self._waiting.pop(token)
                self.southbound.perform(SendFrame(frame.port, frame.data))

    @set_ev_cls(ofp_event.EventOFPStateChange, [MAIN_DISPATCHER, DEAD_DISPATCHER])
    def _state_changed(self, event: ofp_event.EventOFPStateChange) -> None:
        if event.state == MAIN_DISPATCHER:
            self.southbound.datapath_up(event.datapath)
        elif event.datapath.id is not None:
            self.southbound.datapath_down(event.datapath)
