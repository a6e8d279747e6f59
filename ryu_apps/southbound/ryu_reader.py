"""Messages of switches by way of Ryu's own reader: the southbound without its short cut.

Ryu's receive loop reads and cuts the stream, Ryu's parser makes objects of the messages, and the ``ofp_event`` brick
dispatches them; the receiver of a :class:`RyuReadChannel` is a handler among those.  Sending is that of
:class:`Channel`: it stays the only writer to the socket.
"""

from __future__ import annotations

from typing import Any

from ryu.base.app_manager import lookup_service_brick
from ryu.controller import handler, ofp_event
from ryu.lib import hub
from ryu.ofproto import ofproto_parser

from ryu_apps.southbound.channel import Channel

#: Reads after which other green threads get a turn, as Ryu's loop needs two for a message, and the size from which one
#: counts as many: Ryu parses 64 KiB of table features in some hundredths of a second.
_TURN, _LARGE = 128, 4096


class RyuReadChannel(Channel):
    """A socket that passes octets on to Ryu as they come, and messages on to the receiver as Ryu dispatches them."""

    def recv(self, size: int) -> bytes:
        """Return what there is of ``size`` octets; empty at the end of the stream.

        Ryu's loop calls it when it has dispatched all whole messages that it has.
        """
        self.dealt = max(self.dealt, self._got)
        if self._since_turn >= _TURN:
            self._since_turn = 0
            hub.sleep(0)
        octets = b"" if self.ended else self._read_some(size)
        self._got += len(octets)
        self._since_turn += _TURN if len(octets) >= _LARGE else 1
        self.ended |= not octets
        return octets

    def dispatched(self, octets: bytes) -> None:
        """Offer a message to the receiver; Ryu and other apps have it, too."""
        if self._receiver is not None:
            self._receiver(octets)
            self._settle(self.arrived() > self._got)


def install() -> None:
    """Have Ryu show each message to its channel before parsing it, and dispatch it to the receiver; once."""
    if getattr(ofproto_parser.msg, "shows_channel", False):
        return
    parse = ofproto_parser.msg

    def msg(datapath: Any, version: int, msg_type: int, msg_len: int, xid: int, buf: bytes) -> Any:
        channel = datapath.socket
        # Before the handlers: Ryu's own would take the datapath id of a connection that may not be that switch.
        if isinstance(channel, RyuReadChannel) and not channel.admits(bytes(buf)):
            return None
        return parse(datapath, version, msg_type, msg_len, xid, buf)

    msg.shows_channel = True  # type: ignore[attr-defined]
    msg.complains = getattr(parse, "complains", False)  # type: ignore[attr-defined]
    ofproto_parser.msg = msg


def subscribe() -> None:
    """Make :func:`_dispatched` a handler of every OpenFlow message; once.  The brick has to be there."""
    brick = lookup_service_brick(ofp_event.NAME)
    for event in ofp_event._OFP_MSG_EVENTS.values():
        if _dispatched not in brick.event_handlers.get(event, ()):
            brick.register_handler(event, _dispatched)


def _dispatched(event: Any) -> None:
    channel = event.msg.datapath.socket
    if isinstance(channel, RyuReadChannel):
        channel.dispatched(bytes(event.msg.buf))


handler.set_ev_handler(list(ofp_event._OFP_MSG_EVENTS.values()), handler.MAIN_DISPATCHER)(_dispatched)
