"""The smallest OpenFlow controller: one connection, blocking, a SwitchDriver behind it."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import Apply, Mode, ReadMeters, ReadRules
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import Confirmed, MetersRead, Rejected, RulesRead, SwitchRead, SwitchUp
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.rule import CookieMask, MeterCount, Rule
from ryu_apps.evb.pipeline.tables import OURS
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.southbound import flow_stats
from ryu_apps.southbound.driver import SwitchDriver
from ryu_apps.southbound.encode import message
from ryu_apps.southbound.piece import PieceCache

DEADLINE = 60.0
T = TypeVar("T")


class Counted(NamedTuple):
    """A rule as a switch shows it, and what it has counted: frames, and octets from the destination address on."""

    rule: Rule
    packets: int
    octets: int


class Controller:
    """Accepts the switch that connects to ``server`` and drives it.

    Attributes:
        driver: the driver of the switch.
        events: what it has told.
        sent: all octets for the switch so far, one item a write.
        replies: multipart replies of the switch.
    """

    def __init__(self, server: socket.socket, dpid: int) -> None:
        server.settimeout(DEADLINE)
        self._socket, _address = server.accept()
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket.settimeout(DEADLINE)
        self._stream = self._socket.makefile("rb")
        self._socket.sendall(message(ofp.OFPT_HELLO, b"") + message(ofp.OFPT_FEATURES_REQUEST, b""))
        self.events: list[Event] = []
        self.sent: list[bytes] = []
        self.replies: list[bytes] = []
        self._next_xid = 1000
        self._next_token = 0
        self.dpid = dpid
        self.start_over()

    def start_over(self, profile: Profile = Profile.OPEN_VSWITCH) -> None:
        """A new driver that knows nothing, as after a restart of the controller."""
        self.driver = SwitchDriver(self.dpid, self._send, self._reserve, self.events.append, PieceCache(), profile)

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def up(self) -> SwitchUp:
        self.driver.query_features()
        return self.until(SwitchUp)

    def apply(self, change: RuleChange, mode: Mode = Mode.BULK, lane: int = 0) -> Confirmed | Rejected:
        """Carry a change out and wait for its end."""
        token = self.submit(change, mode, lane)
        return self.ends(token)

    def submit(self, change: RuleChange, mode: Mode = Mode.BULK, lane: int = 0) -> int:
        self._next_token += 1
        self.driver.submit(Apply(self.driver.dpid, self._next_token, change, mode, lane))
        return self._next_token

    def ends(self, token: int) -> Confirmed | Rejected:
        return self._await(lambda event: isinstance(event, Confirmed | Rejected) and event.token == token)

    def rules(self, mask: CookieMask) -> set[Rule]:
        self.driver.read(ReadRules(self.driver.dpid, 1, mask))
        if mask == OURS:
            return set(self.until(SwitchRead).shown.left())
        found: set[Rule] = set()
        while (portion := self.until(RulesRead)).more:
            found.update(portion.rules)
        return found.union(portion.rules)

    def counters(self, mask: CookieMask) -> set[Counted]:
        """The rules under a mask, and what the switch says that they have counted."""
        self.replies.clear()
        self.rules(mask)
        entries = (entry for octets in self.replies for entry in flow_stats.entries(octets))
        return {Counted(flow_stats.rule(entry), entry.packets, entry.octets) for entry in entries}

    def meters(self, *meters: int) -> dict[int, MeterCount]:
        self.driver.read_meters(ReadMeters(self.driver.dpid, 1, meters))
        return {count.meter_id: count for count in self.until(MetersRead).counts}

    def until(self, kind: type[T]) -> T:
        return self._await(lambda event: isinstance(event, kind))

    def _await(self, wanted: Callable[[Event], bool]) -> Any:
        deadline = time.monotonic() + DEADLINE
        while not (found := [event for event in self.events if wanted(event)]):
            assert time.monotonic() < deadline
            self.receive()
        self.events.remove(found[0])
        return found[0]

    def receive(self) -> None:
        """Take one message from the switch."""
        head = self._stream.read(ofp.OFP_HEADER_SIZE)
        _version, kind, length, _xid = struct.unpack(ofp.OFP_HEADER_PACK_STR, head)
        octets = head + self._stream.read(length - len(head))
        if kind == ofp.OFPT_ECHO_REQUEST:
            self._socket.sendall(octets[:1] + bytes([ofp.OFPT_ECHO_REPLY]) + octets[2:])
        else:
            self.replies.extend([octets] if kind == ofp.OFPT_MULTIPART_REPLY else [])
            self.driver.receive(octets)
            while self.driver.has_reads:
                self.driver.read_on()

    def _send(self, octets: bytes | bytearray) -> None:
        self.sent.append(bytes(octets))
        self._socket.sendall(octets)

    def _reserve(self, count: int) -> range:
        first, self._next_xid = self._next_xid, self._next_xid + count
        return range(first, first + count)
