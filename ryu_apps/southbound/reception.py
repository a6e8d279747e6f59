"""Admission of connections by datapath id, checked before Ryu or an app sees the connection.

The id is a claim of the peer.  The first connection with an id is accepted (with TLS, the first with a valid
certificate).  A second one is accepted only when the first no longer answers: otherwise any host could claim the id of
a switch, read its rules, and cut it off.  An id that is not configured is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import partial
from typing import Any

import ryu.base.app_manager  # noqa: F401 - before ryu.controller, which needs it and which it needs
from ryu.controller import controller
from ryu.lib import hub

from ryu_apps.evb.event_catalogue.switches import SwitchImpostor, TlsFailed, UnknownSwitch
from ryu_apps.listening.damper import Damper, Tell
from ryu_apps.southbound.channel import Channel

#: Seconds within which a connection has to become a switch.
HANDSHAKE = 10.0
#: Seconds between looks at the older of two connections; looks at which nothing new has come from it after which it is
#: dead; looks after which it is, although something came.  Looks are counted, not time: a controller that was itself
#: stopped meanwhile reads what has arrived before it decides.
_LOOK, _SILENT, _TOO_LATE = 0.1, 10, 50

#: Ryu's own: serves a connection until it ends.
_serve = controller.datapath_connection_factory


class ConnectionCheck:
    """All connections to switches.

    Args:
        known: returns True for a configured datapath id.
        tell: takes log events.
        channel: makes the substitute for the socket that Ryu gets, of a socket and the address of the switch.
    """

    def __init__(
        self, known: Callable[[int], bool], tell: Tell, channel: Callable[[Any, Any], Channel] = Channel
    ) -> None:
        self._known = known
        self._channel = channel
        self._claims: dict[int, Channel] = {}
        self._disputed: set[int] = set()
        self._unknown = Damper[UnknownSwitch](tell)
        self._impostors = Damper[SwitchImpostor](tell)
        self._untrusted = Damper[TlsFailed](tell)

    @property
    def count(self) -> int:
        """Number of connections that are, or may become, those of switches."""
        return len(self._claims)

    def install(self) -> None:
        """Route every connection that Ryu opens itself through this check."""
        controller.datapath_connection_factory = self.serve

    def serve(self, socket: Any, address: Any, claimed: Callable[[], None] = lambda: None) -> None:
        """Serve a connection until it ends.

        Args:
            socket: from eventlet; TLS or not.
            address: of the peer.
            claimed: called when the peer has claimed a datapath id.
        """
        channel = self._channel(socket, address)

        def examine(dpid: int) -> bool:
            admitted = self._examine(channel, dpid)
            if admitted:
                claimed()
            return admitted

        channel.examine = examine
        patience = hub.spawn_after(HANDSHAKE, self._hurry, channel)
        try:
            _serve(channel, address)
        finally:
            patience.cancel()
            for dpid in [dpid for dpid, claimant in self._claims.items() if claimant is channel]:
                del self._claims[dpid]

    def distrust(self, peer: str, reason: str) -> None:
        """The TLS handshake with a peer has failed."""
        self._untrusted.happened(peer, partial(TlsFailed, peer, reason))

    @staticmethod
    def _hurry(channel: Channel) -> None:
        if not channel.attached:
            channel.end()

    def _examine(self, channel: Channel, dpid: int) -> bool:
        """Return True if the connection may claim the datapath id; blocks while an older claimant is probed."""
        if not self._known(dpid):
            address = _text(channel.address)
            self._unknown.happened(dpid, partial(UnknownSwitch, dpid, address))
            return False
        if any(claimant is channel for other, claimant in self._claims.items() if other != dpid):
            return False
        holder = self._claims.setdefault(dpid, channel)
        if holder is channel:
            return True
        if dpid in self._disputed:
            return False
        self._disputed.add(dpid)
        try:
            if self._answers(holder):
                second, first = _text(channel.address), _text(holder.address)
                self._impostors.happened(dpid, partial(SwitchImpostor, dpid, second, first))
                return False
        finally:
            self._disputed.discard(dpid)
        holder.end()
        self._claims[dpid] = channel
        return True

    def _answers(self, channel: Channel) -> bool:
        """Return True if a connection answers an echo request."""
        question = os.urandom(8)
        channel.ask(question)
        heard, silent = channel.heard, 0
        for _ in range(_TOO_LATE):
            hub.sleep(_LOOK)
            if channel.answer == question:
                return True
            if channel.ended:
                return False
            silent = silent + 1 if channel.heard == heard else 0
            heard = channel.heard
            if silent >= _SILENT:
                return False
        return False


def _text(address: Any) -> str:
    return f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
