"""The OpenFlow channels of a cluster, in our hands: counted, held up at a chosen message, cut, or silently dead.

Switches connect here, and we connect to the controller for each of them, now or as soon as it is there.  What VDP
says between station and bridge goes through these channels too (packet-in, packet-out), so the same place loses,
doubles and delays ECP frames.
"""

from __future__ import annotations

import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from enum import Enum
from uuid import UUID

from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, NEAREST_CUSTOMER_BRIDGE

_HEADER = 8
_RETRY = 0.02
_NCB = NEAREST_CUSTOMER_BRIDGE.to_bytes(6, "big")


class MessageKind(Enum):
    """Attributes of an OpenFlow 1.3 message that tests match on."""

    CHANGE = "change"
    """Flow-mod, group-mod or part of a bundle, to the switch."""
    CONFIRMATION = "confirmation"
    """Barrier, multipart or bundle reply, to the controller."""
    VDP_REQUEST = "VDP request"
    """A station's ECPDU in a packet-in."""
    VDP_ANSWER = "VDP answer"
    """A bridge's ECPDU in a packet-out: an answer or an announcement."""
    STATION_ACK = "station's ECP acknowledgement"
    BRIDGE_ACK = "bridge's ECP acknowledgement"
    OTHER = "other"


_PACKET_IN, _PACKET_OUT, _FEATURES_REPLY, _EXPERIMENTER, _FLOW_MOD = 10, 13, 6, 4, 14
_CHANGES, _REPLIES = {_FLOW_MOD, 15}, {19, 21}


@dataclass(frozen=True, slots=True)
class CountedMessage:
    """One message on its way.

    Attributes:
        dpid: of the switch, 0 before it has said.
        up: on its way to the controller.
    """

    dpid: int
    up: bool
    octets: bytes

    @property
    def kind(self) -> MessageKind:
        """Type of the message."""
        number = self.octets[1]
        if number in _CHANGES or (number == _EXPERIMENTER and not self.up):
            return MessageKind.CHANGE
        if number in _REPLIES or (number == _EXPERIMENTER and self.up):
            return MessageKind.CONFIRMATION
        if number in (_PACKET_IN, _PACKET_OUT):
            return self._frame_kind()
        return MessageKind.OTHER

    def about(self, vsi: str) -> bool:
        """Return True if it carries this VSIID (a UUID as text)."""
        return UUID(vsi).bytes in self.octets

    def _frame_kind(self) -> MessageKind:
        at = self.octets.find(_NCB, _HEADER)
        if at < 0 or int.from_bytes(self.octets[at + 12 : at + 14]) != ETHERTYPE_ECP:
            return MessageKind.OTHER
        try:
            op = Ecpdu.decode(self.octets[at + 14 :]).op
        except WireError:
            return MessageKind.OTHER
        if op is EcpOp.REQUEST:
            return MessageKind.VDP_REQUEST if self.up else MessageKind.VDP_ANSWER
        return MessageKind.STATION_ACK if self.up else MessageKind.BRIDGE_ACK


@dataclass(eq=False, slots=True)
class Trap:
    """Action on messages of a kind.

    Attributes:
        copies: how many of each get through: 0 loses or holds it, 2 doubles it.
        delay: seconds by which each is late; others overtake it.
        slow: seconds that each takes; others wait behind it.
        until: each takes until this is set or the trap is cleared; others wait behind it.
        times: how many messages it befalls, None for all.
        caught: those it has befallen.
    """

    kinds: tuple[MessageKind, ...]
    dpid: int | None = None
    vsi: str | None = None
    copies: int = 0
    delay: float = 0.0
    slow: float = 0.0
    until: threading.Event | None = None
    times: int | None = None
    caught: list[CountedMessage] = field(default_factory=list)

    def wants(self, message: CountedMessage) -> bool:
        """Return True if the rule applies to a message."""
        if self.times is not None and len(self.caught) >= self.times:
            return False
        if self.dpid not in (None, message.dpid) or message.kind not in self.kinds:
            return False
        return self.vsi is None or message.about(self.vsi)


class _Channel:
    """One switch's connection and ours to the controller on its behalf."""

    def __init__(self, switch: socket.socket, befall: Callable[[_Channel, CountedMessage], None]) -> None:
        self.dpid = 0
        self.dead = False
        self.switch = switch
        self.controller: socket.socket | None = None
        self._befall = befall
        self._locks = {True: threading.Lock(), False: threading.Lock()}

    def run(self, port: int) -> None:
        """Join both ends and carry messages until one of them ends."""
        self.controller = self._reach(port)
        if self.controller is None:
            return
        back = threading.Thread(target=self._carry, args=(False,), daemon=True)
        back.start()
        self._carry(True)
        back.join()

    def deliver(self, message: CountedMessage) -> None:
        """Send a message on, unless the channel has died or ended."""
        sink = self.controller if message.up else self.switch
        if sink is None or self.dead:
            return
        with self._locks[message.up], suppress(OSError):
            sink.sendall(message.octets)

    def close(self) -> None:
        """End both connections."""
        for end in (self.switch, self.controller):
            if end is not None:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
                end.close()

    def _reach(self, port: int) -> socket.socket | None:
        while self.switch.fileno() >= 0:
            try:
                return socket.create_connection(("127.0.0.1", port))
            except OSError:
                time.sleep(_RETRY)
        return None

    def _carry(self, up: bool) -> None:
        source = self.switch if up else self.controller
        assert source is not None
        with suppress(OSError):
            for octets in _messages(source):
                if up and octets[1] == _FEATURES_REPLY:
                    self.dpid = int.from_bytes(octets[8:16])
                self._befall(self, CountedMessage(self.dpid, up, octets))
        if not self.dead:
            self.close()


class ChannelProxy:
    """Between all switches and the controller.

    Attributes:
        passed: how many messages of each kind came by, by (dpid, kind).
        flow_mods: of these, flow-mods outside of bundles, by dpid.
    """

    def __init__(self, listen: int, controller: int) -> None:
        """Both are TCP ports of the loopback."""
        self.passed: Counter[tuple[int, MessageKind]] = Counter()
        self.flow_mods: Counter[int] = Counter()
        self._controller = controller
        self._channels: list[_Channel] = []
        self._traps: list[Trap] = []
        self._barred: set[int] = set()
        self._late: list[threading.Timer] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", listen))
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def set(self, trap: Trap) -> Trap:
        """From now on, messages fall into this trap."""
        with self._lock:
            self._traps.append(trap)
        return trap

    def clear(self) -> None:
        """No traps any more; what was held is lost, what was to wait goes on."""
        with self._lock:
            for trap in self._traps:
                if trap.until is not None:
                    trap.until.set()
            self._traps.clear()

    def cut(self, *dpids: int, bar: bool = False) -> None:
        """End the connections of these switches; ``bar``: and every new one until :meth:`admit`."""
        if bar:
            self._barred.update(dpids)
        for channel in self._of(dpids):
            channel.close()

    def admit(self) -> None:
        """Barred switches may come back."""
        self._barred.clear()

    def strand(self, dpid: int, bar: bool = False) -> None:
        """A connection goes silently dead: both ends believe in it, nothing passes, not even its end."""
        if bar:
            self._barred.add(dpid)
        for channel in self._of((dpid,)):
            channel.dead = True

    def close(self) -> None:
        """End everything; no thread is left, which could not leave a mount namespace with its creator."""
        self.clear()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._threads.pop(0).join()
        self._listener.close()
        for channel in self._channels:
            channel.close()
        for thread in (*self._threads, *self._late):
            thread.join()

    def _of(self, dpids: tuple[int, ...]) -> list[_Channel]:
        return [channel for channel in list(self._channels) if channel.dpid in dpids]

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                switch, _ = self._listener.accept()
                switch.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._channels = [channel for channel in self._channels if channel.switch.fileno() >= 0]
                self._channels.append(channel := _Channel(switch, self._befall))
                self._threads.append(threading.Thread(target=channel.run, args=(self._controller,), daemon=True))
                self._threads[-1].start()

    def _befall(self, channel: _Channel, message: CountedMessage) -> None:
        if message.dpid in self._barred and not channel.dead:
            channel.close()
            return
        with self._lock:
            self.passed[message.dpid, message.kind] += 1
            self.flow_mods[message.dpid] += message.octets[1] == _FLOW_MOD and not message.up
            trap = next((candidate for candidate in self._traps if candidate.wants(message)), None)
            if trap is not None:
                trap.caught.append(message)
        if trap is None:
            channel.deliver(message)
            return
        time.sleep(trap.slow)
        if trap.until is not None:
            trap.until.wait()
        for _ in range(trap.copies):
            if trap.delay:
                self._late.append(threading.Timer(trap.delay, channel.deliver, (message,)))
                self._late[-1].start()
            else:
                channel.deliver(message)


def _messages(source: socket.socket) -> Iterator[bytes]:
    unread = b""
    while data := source.recv(65536):
        unread += data
        while len(unread) >= _HEADER and len(unread) >= (size := int.from_bytes(unread[2:4])):
            yield unread[:size]
            unread = unread[size:]
