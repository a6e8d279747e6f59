"""The Ryu side of the southbound: a driver for each connection, and the dispatch of effects to drivers.

Everything runs in the event loop, mostly in the green thread that receives from the switch that
caused it.  Events are delivered one at a time and never from within :meth:`SwitchDriver.receive`;
the messages that they cause are sent when all of them have been processed, in one write a switch.  Frames come last,
some at a time and one port after the other, so that a port that floods delays neither other stations nor confirmations.
All octets that have arrived are read first, since ports can be told apart only then: on a slow machine, where serving a
frame takes longer than the next one takes to come, a flood would fill the socket, and frames of other stations would
wait behind it.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from ryu.controller import controller
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import (
    GATE_LANE,
    Apply,
    EndRead,
    Hasten,
    Prepare,
    ReadMeters,
    ReadRules,
    RequestRole,
    SendFrame,
    StandAside,
    Survey,
)
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import ChannelUp, FrameReceived, FramesDropped, Rejected, SwitchDown
from ryu_apps.evb.ports.turns import Turns
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.listening.damper import Tell
from ryu_apps.southbound import ofctl, ryu_reader, server
from ryu_apps.southbound.channel import Channel
from ryu_apps.southbound.complaints import Complaints
from ryu_apps.southbound.complaints import install as tolerate
from ryu_apps.southbound.connection import ASIDE, Connection
from ryu_apps.southbound.piece import PieceCache
from ryu_apps.southbound.reading import Reading
from ryu_apps.southbound.reception import ConnectionCheck

LOG = logging.getLogger(__name__)

#: The only supported version.
OFP_VERSION = ofp.OFP_VERSION

#: Octets that a switch may leave unread before frames for its ports are dropped.
MAX_BACKLOG = 4 << 20
#: Seconds between echo requests to a switch, and how many it may leave unanswered: a channel that is open
#: at one end only is noticed after 4 s, at usual timers before a VSI expires whose keep-alive it swallowed.
#: Ryu's own default is never; its configuration file has the last word.
_ECHO_INTERVAL, _UNANSWERED_ECHOES = 1.0, 3
#: Without the short cut: an echo reply waits behind the table features, 1.2 MB, while Ryu parses them.
_UNANSWERED_ECHOES_OF_RYU = 30
#: Requests of stations that are dealt with before switches and REST clients have a turn.
_SLICE = 16
#: Looks at what has arrived, 64 messages each, before a slice is served although there is more to read.
_AHEAD = 16
#: Seconds between two reports of what has been dropped.
_REPORT = 1.0
#: Seconds of processor time for which to catch up at most: a backlog that takes longer is a flood.
_CATCH_UP = 1.0


class Southbound:
    """All switches.

    Args:
        deliver: takes events, one at a time; must not block.  May call :meth:`perform`.
        known: returns True for a configured datapath id; all others are refused.
        tell: takes log events about connections that are not yet switches.
        is_busy: returns True while frames of a port have to wait for earlier requests of it.
        short_cut: messages are taken from the stream before Ryu; otherwise Ryu's own reader dispatches them.
        profile: returns the profile of a switch by its datapath id.
    """

    def __init__(
        self,
        deliver: Callable[[Event], None],
        known: Callable[[int], bool] = lambda _: True,
        tell: Tell = lambda *_: None,
        is_busy: Callable[[PortId], bool] = lambda _: False,
        short_cut: bool = True,
        profile: Callable[[int], Profile] = lambda _: Profile.OPEN_VSWITCH,
    ) -> None:
        self._short_cut = short_cut
        self._profile = profile
        self._known = known
        self.reception = ConnectionCheck(known, tell, Channel if short_cut else ryu_reader.RyuReadChannel)
        server.install(self.reception)
        ofctl.install()
        tolerate()
        if not short_cut:
            ryu_reader.install()
        controller.CONF.set_default("echo_request_interval", _ECHO_INTERVAL)
        unanswered = _UNANSWERED_ECHOES if short_cut else _UNANSWERED_ECHOES_OF_RYU
        controller.CONF.set_default("maximum_unreplied_echo_requests", unanswered)
        self._deliver = deliver
        self._connections: dict[int, Connection] = {}
        self._cache = PieceCache()
        self._events: deque[Event] = deque()
        self._settling = False
        self._turns = Turns(is_busy)
        self._refusals: dict[int, Complaints] = {}
        self._server: Any = None
        self._reported = 0.0
        self._changes = 0
        self._ahead = 0
        self._gate_at: Connection | None = None
        self._reading = Reading(
            lambda: (connection.driver for connection in self._connections.values()), lambda: self._settle(serve=False)
        )

    def introduce(self, is_busy: Callable[[PortId], bool], kept: bool = True) -> None:
        """Begin anew for another receiver of events: it gets all connected switches, and no answer to the one before.

        A switch that is not configured any more, or with another profile, is disconnected.

        Args:
            is_busy: as of the constructor.
            kept: as of :class:`ChannelUp`.
        """
        self._turns = Turns(is_busy)
        for dpid, connection in list(self._connections.items()):
            if self._known(dpid) and connection.profile is self._profile(dpid):
                connection.stand_aside()
            else:
                self._forget(dpid)
                connection.datapath.close()
        self._events.clear()
        self._events.extend(ChannelUp(dpid, kept) for dpid in self._connections)
        self._settle()

    @property
    def connected(self) -> int:
        """Number of connected switches."""
        return len(self._connections)

    def datapath_up(self, datapath: Any) -> None:
        """Make a driver for a switch that has finished Ryu's handshake."""
        self._forget(datapath.id)
        connection = Connection(datapath, self._events.append, self._cache, self._profile(datapath.id))
        self._connections[datapath.id] = connection
        if not self._short_cut:
            ryu_reader.subscribe()
        connection.channel.attach(connection.receive, self._received, connection.overhear)
        self._events.append(ChannelUp(datapath.id))
        self._settle()

    def datapath_down(self, datapath: Any) -> None:
        """End the driver of a connection that is closed, unless a newer connection has replaced it."""
        connection = self._connections.get(datapath.id)
        if connection is not None and connection.datapath is datapath:
            self._forget(datapath.id)
            self._settle()

    def _forget(self, dpid: int) -> None:
        connection = self._connections.pop(dpid, None)
        if connection is not None:
            connection.channel.detach()
            # In this order: what the driver rejects now is lost with the switch, not refused by it.
            self._events.append(SwitchDown(dpid))
            connection.driver.close()

    def perform(
        self,
        effect: RequestRole
        | Survey
        | StandAside
        | SendFrame
        | Apply
        | Prepare
        | Hasten
        | ReadRules
        | EndRead
        | ReadMeters,
    ) -> None:
        """Carry out an effect; its result comes as an event.

        To a switch that has not granted its role nothing is sent but requests for one.
        """
        dpid = effect.port.dpid if isinstance(effect, SendFrame) else effect.dpid
        connected = self._connections.get(dpid)
        connection = connected if connected and connected.serves else None
        match effect:
            case RequestRole() if connected:
                connected.driver.request_role(effect)
            case Survey() if connected:
                connected.serve(effect.proof)
            case StandAside() if connected:
                connected.stand_aside()
            case SendFrame() if connection and connection.channel.backlog < MAX_BACKLOG:
                connection.driver.send_frame(effect)
            case Apply() if connection:
                self._changes += 1
                if effect.lane == GATE_LANE:
                    self._reading.switched()
                    self._flush_before(connection)
                connection.driver.submit(effect)
            case Apply(dpid, token):
                self._events.append(Rejected(dpid, token, ASIDE if connected else "switch not connected"))
            case Prepare() if connection:
                connection.driver.prepare(effect.change)
            case Hasten() if connection:
                self._reading.hasten(dpid)
            case ReadRules() if connection:
                self._reading.asked()
                connection.driver.read(effect)
            case EndRead() if connection:
                connection.driver.end_read(effect)
            case ReadMeters() if connection:
                connection.driver.read_meters(effect)
        # Not frames: an event that has many effects would take in many slices of them at once.
        self._settle(serve=False)

    def _received(self, more: bool) -> None:
        """Process messages of a switch; more may have arrived than is read."""
        self._ahead = self._ahead + 1 if more else 0
        self._settle(self._may_serve())

    def _may_serve(self) -> bool:
        """Return True if enough messages were read that a slice of frames is due."""
        if self._ahead < _AHEAD:
            return self._ahead == 0
        self._ahead = 0
        return True

    def _settle(self, serve: bool = True) -> None:
        """Deliver events, and those that follow from them, then some frames; then send everything."""
        if self._settling:
            return
        self._settling = True
        try:
            self._tell_all()
            if serve:
                self._serve()
        finally:
            self._settling = False
        self.flush()
        if self._server is None and self._pause() is not None:
            self._server = hub.spawn(self._serve_on)
        self._reading.resume()

    def _tell_all(self) -> None:
        while self._events:
            event = self._events.popleft()
            if isinstance(event, FrameReceived):
                self._turns.put(event, time.monotonic())
            else:
                self._tell(event)

    def _serve(self) -> None:
        """Deliver some frames; events that they cause come before the next frame."""
        served = 0
        while served < _SLICE and (turn := (turns := self._turns).take(time.monotonic())):
            frame, requests = turn
            self._changes = 0
            self._tell(frame)
            extra = turns.charge(frame.port, requests, self._changes, time.monotonic()) if self._changes else 0
            served += requests + extra
            self._tell_all()
        if self._turns.dropped and time.monotonic() >= self._reported + _REPORT:
            self._reported = time.monotonic()
            for port, frames in self._turns.take_dropped().items():
                self._tell(FramesDropped(port, frames))
            self._tell_all()

    def _serve_on(self) -> None:
        """Continue pending work in a green thread, after all other green threads have run."""
        try:
            while (pause := self._pause()) is not None:
                hub.sleep(pause)
                # This thread counts as a reader: the thread that receives from the switch may have ended meanwhile.
                self._received(more=self._ahead > 0)
        finally:
            self._server = None

    def _pause(self) -> float | None:
        """Seconds until frames can be served or a report is due; None: there is nothing to wait for."""
        if self._turns.ready:
            return 0.0
        due = [] if self._turns.deadline is None else [self._turns.deadline]
        due += [self._reported + _REPORT] if self._turns.dropped else []
        return max(min(due) - time.monotonic(), 0.0) if due else None

    def catch_up(self, patience: float = _CATCH_UP) -> None:
        """Return when all octets that have arrived by now are read; frames may still wait for their turn.

        Args:
            patience: limit in seconds of processor time.  Not of the clock: where other processes have the processor
                for that long, nothing would be read.
        """
        channels = [connection.channel for connection in self._connections.values()]
        awaited = [(channel, channel.arrived()) for channel in channels]
        limit = time.thread_time() + patience
        while time.thread_time() < limit and any(channel.dealt < octets for channel, octets in awaited):
            hub.sleep(0)

    @property
    def unread(self) -> frozenset[PortId]:
        """The ports of which frames wait for their turn."""
        return self._turns.waiting

    def _flush_before(self, connection: Connection) -> None:
        """Send what another switch has to be sent, ahead of the change of this one.

        The first change of a move is that of the switch whose gate opens.  It is carried out while those of the others
        are encoded; each switch has one write all the same.
        """
        if self._gate_at is not None and self._gate_at is not connection:
            self._gate_at.channel.flush()
        self._gate_at = connection

    def flush(self) -> None:
        """Send the requests made so far; for a caller that still has log lines to write before it returns."""
        self._gate_at = None
        for connection in self._connections.values():
            connection.channel.flush()

    def _tell(self, event: Event) -> None:
        if isinstance(event, Rejected):
            self._refusals.setdefault(event.dpid, Complaints()).add(f"switch {event.dpid:016x} refuses", event.reason)
        if getattr(event, "token", None) == 0:
            return
        try:
            self._deliver(event)
        except Exception:
            LOG.exception("while dealing with %s", event)
