"""Hypervisors without lldpad: our own station machine behind packet sockets, many uplinks in one thread.

For scale (a station costs a socket, not a process) and for what lldpad cannot be asked to do.  Used like
``harness.station.LldpadStation``.
"""

from __future__ import annotations

import os
import selectors
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.protocol.table import ProtocolError
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.wire.association import ASSOCIATIONS, Association, VdpMode
from ryu_apps.evb.wire.cisco import L3Address
from ryu_apps.evb.wire.ecp import Ecpdu
from ryu_apps.evb.wire.errors import WireError
from ryu_apps.evb.wire.ethernet import ETHERTYPE_ECP, ETHERTYPE_LLDP, NEAREST_CUSTOMER_BRIDGE, Frame
from ryu_apps.evb.wire.lldp import Lldpdu, bridge_lldpdu
from ryu_apps.evb.wire.status import RequestStatus
from ryu_apps.evb.wire.vdp import ManagerId
from ryu_apps.evb.wire.vsi_id import VsiId
from ryu_apps.station.filter_text import filter_from_text, filter_to_text
from ryu_apps.station.station import (
    Advertise,
    LinkUp,
    NeighbourHeard,
    Notice,
    Received,
    RequestOutcome,
    Shutdown,
    Station,
    Tick,
    Transmit,
    VsiRequest,
)
from ryu_apps.testbed.harness.shell import PATIENCE, Namespace
from ryu_apps.testbed.harness.station import StationError, VdptoolAnswer, VdptoolMode, VdptoolVsi
from ryu_apps.testbed.short_timers import QUICK

_ETH_P_ALL, _OUTGOING = 0x0003, 4
_TTL = 120
_LONGEST_SLEEP = 1.0
_MODES = {
    VdptoolMode.PREASSOCIATE: VdpMode.PREASSOCIATE,
    VdptoolMode.PREASSOCIATE_RR: VdpMode.PREASSOCIATE_RR,
    VdptoolMode.ASSOCIATE: VdpMode.ASSOCIATE,
    VdptoolMode.DEASSOCIATE: VdpMode.DEASSOCIATE,
}


class StationLoop:
    """The thread that feeds emulated stations; one lock guards all of them."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._selector = selectors.DefaultSelector()
        self._stations: set[EmulatedStation] = set()
        self._agenda: DeadlineQueue[EmulatedStation] = DeadlineQueue()
        self._wake_reader, self._wake_writer = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._selector.register(self._wake_reader, selectors.EVENT_READ, None)
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="stations", daemon=True)
        self._thread.start()

    def add(self, station: EmulatedStation, sock: socket.socket) -> None:
        """Take a station in."""
        with self.changed:
            self._stations.add(station)
            self._selector.register(sock, selectors.EVENT_READ, station)
        self.wake()

    def remove(self, station: EmulatedStation, sock: socket.socket) -> None:
        """Let a station go."""
        with self.changed:
            self._stations.remove(station)
            self._agenda.set(station, None)
            self._selector.unregister(sock)
        self.wake()

    def fed(self, station: EmulatedStation) -> None:
        """A station may want to be woken at another time; called with the lock held."""
        if station in self._stations:
            self._agenda.set(station, station.deadline)

    def wake(self) -> None:
        """A deadline may have come nearer."""
        with suppress(BlockingIOError):  # the pipe is full: it is going to wake anyway
            os.write(self._wake_writer, b"\0")

    def close(self) -> None:
        """End the thread."""
        self._stopping = True
        self.wake()
        self._thread.join()
        self._selector.close()
        os.close(self._wake_reader)
        os.close(self._wake_writer)

    def _run(self) -> None:
        while not self._stopping:
            ready = self._selector.select(self._patience())
            with self.changed:
                for key, _ in ready:
                    if key.data is None:
                        os.read(self._wake_reader, 4096)
                    elif key.data in self._stations:
                        key.data.receive()
                self._tick()
                self.changed.notify_all()

    def _patience(self) -> float:
        with self.changed:
            deadline = self._agenda.deadline
        return _LONGEST_SLEEP if deadline is None else min(max(0.0, deadline - time.monotonic()), _LONGEST_SLEEP)

    def _tick(self) -> None:
        for station in list(self._agenda.due(time.monotonic())):
            station.feed(Tick())


class EmulatedStation:
    """One uplink with our own station machine.

    Attributes:
        notices: what the bridge's answers came to, oldest first.
    """

    def __init__(
        self, loop: StationLoop, namespace: Namespace, interface: str, folder: Path, timers: Timers | None = None
    ) -> None:
        """
        Args:
            loop: the thread that feeds it.
            namespace, interface: the uplink.
            folder: not used; every kind of station is made from the same arguments.
            timers: what it proposes; the larger of this and the port's is in force.
        """
        self.notices: list[Notice] = []
        self._name = namespace.name
        self._loop = loop
        self.namespace = namespace
        self.interface = interface
        self._timers = timers or QUICK
        self._machine = Station(self._timers, reflective_relay=True, groups=True)
        self._socket: socket.socket | None = None
        self._mac = 0
        self._agreed = False

    @property
    def deadline(self) -> float | None:
        """Next deadline of the machine, monotonic seconds."""
        return self._machine.deadline

    def start(self) -> None:
        """Open the uplink."""
        self._socket = self.namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self._socket.setblocking(False)
        self._socket.bind((self.interface, _ETH_P_ALL))
        self._mac = int.from_bytes(self._socket.getsockname()[4])
        self._loop.add(self, self._socket)
        with self._loop.changed:
            self.feed(LinkUp())
        self._loop.wake()

    def stop(self) -> None:
        """Leave in good order: LLDP says good-bye, VDP does not."""
        if self._socket is None:
            return
        with self._loop.changed:
            self.feed(Shutdown())
            self._send(ETHERTYPE_LLDP, bridge_lldpdu(self._mac, self.interface, 0, None).encode())
        self.kill()

    def kill(self) -> None:
        """Be gone without a word."""
        if self._socket is not None:
            self._loop.remove(self, self._socket)
            self._socket.close()
            self._socket = None

    def reboot(self) -> None:
        """Begin anew after :meth:`kill`, and know nothing of what was before."""
        self._machine = Station(self._timers, reflective_relay=True, groups=True)
        self._agreed = False
        self.start()

    def wait_ready(self, limit: float = 35.0) -> None:
        """Wait for the bridge's EVB TLV.

        Raises:
            StationError: not within ``limit`` seconds.
        """
        if not self._wait(lambda: self._agreed, limit):
            raise StationError(f"{self._name}: no EVB TLV of the bridge within {limit:g} s")

    def suspend(self, vsi: VdptoolVsi) -> None:
        """Tell the bridge that an associated VM does not run here any more (S bit); waits for nothing."""
        with self._loop.changed:
            self.feed(replace(self._ask(VdptoolMode.ASSOCIATE, vsi, migrating=False), suspended=True))
        self._loop.wake()

    def request(
        self, mode: VdptoolMode, vsi: VdptoolVsi, migrating: bool = False, limit: float = PATIENCE
    ) -> VdptoolAnswer:
        """Ask the bridge and wait for its answer."""
        asked = time.monotonic()
        with self._loop.changed:
            seen = len(self.notices)
            try:
                self.feed(self._ask(mode, vsi, migrating))
            except ProtocolError as error:
                return VdptoolAnswer(False, str(error), asked, time.monotonic())
        self._loop.wake()
        identity = VsiId.from_text(vsi.uuid)

        def answers() -> list[Notice]:
            return [notice for notice in self.notices[seen:] if notice.association.vsi_id == identity]

        answered = self._wait(lambda: bool(answers()), limit)
        reason = _reason(answers()[0], _MODES[mode]) if answered else "no answer from the bridge"
        filters = () if reason else filter_to_text(answers()[0].association.filter_info)
        return VdptoolAnswer(not reason, reason, asked, time.monotonic(), filters)

    def holds(self, mode: VdptoolMode, vsi: VdptoolVsi) -> bool:
        """Return True if the bridge has granted the VSI in this mode and has not taken it back."""
        with self._loop.changed:
            held = [(association.MODE, str(association.vsi_id)) for association in self._machine.held]
        return (_MODES[mode], vsi.uuid) in held

    # --- called with the loop's lock held ---
    def feed(self, event: VsiRequest | LinkUp | NeighbourHeard | Received | Shutdown | Tick) -> None:
        """Feed the machine and do what it wants."""
        for output in self._machine.feed(event, time.monotonic()):
            match output:
                case Advertise(evb):
                    self._send(ETHERTYPE_LLDP, bridge_lldpdu(self._mac, self.interface, _TTL, evb).encode())
                case Transmit(ecpdu):
                    self._send(ETHERTYPE_ECP, ecpdu.encode())
                case Notice():
                    self.notices.append(output)
        self._loop.fed(self)

    def receive(self) -> None:
        """Take every frame that has arrived."""
        assert self._socket is not None
        while True:
            try:
                data, address = self._socket.recvfrom(2048)
            except OSError:  # nothing left, or the link is down
                return
            if address[2] != _OUTGOING:
                self._take(data)

    def _take(self, data: bytes) -> None:
        try:
            frame = Frame.decode(data)
            if frame.ethertype == ETHERTYPE_LLDP and frame.dst == NEAREST_CUSTOMER_BRIDGE:
                lldpdu = Lldpdu.decode(frame.payload)
                self._agreed = self._agreed or lldpdu.evb is not None
                self.feed(NeighbourHeard(lldpdu.evb, frame.src, lldpdu.ttl))
            elif frame.ethertype == ETHERTYPE_ECP:
                self.feed(Received(Ecpdu.decode(frame.payload)))
        except WireError:
            return  # not for a station to complain about

    def _send(self, ethertype: int, payload: bytes) -> None:
        if self._socket is not None:
            with suppress(OSError):  # the link is down; one thread serves all stations, and must not end for it
                self._socket.send(Frame(NEAREST_CUSTOMER_BRIDGE, self._mac, ethertype, payload).encode(pad=True))

    def _ask(self, mode: VdptoolMode, vsi: VdptoolVsi, migrating: bool) -> VsiRequest:
        identity = VsiId.from_text(vsi.uuid)
        addresses = filter(None, (vsi.ip, vsi.ip6, *vsi.others))
        told = tuple(L3Address(identity, ip_address(address)).encode() for address in addresses)
        manager = ManagerId(vsi.manager.encode("ascii").ljust(16, b"\0"))
        return VsiRequest(association(mode, vsi, migrating), manager, told)

    def _wait(self, condition: Callable[[], bool], limit: float) -> bool:
        with self._loop.changed:
            return self._loop.changed.wait_for(condition, limit)


def association(mode: VdptoolMode, vsi: VdptoolVsi, migrating: bool = False) -> Association:
    """The association TLV that asks for a VSI."""
    filter_info = filter_from_text(vsi.filters)
    kind = ASSOCIATIONS[_MODES[mode]]
    identity = VsiId.from_text(vsi.uuid)
    return kind(RequestStatus(migrating=migrating), vsi.type_id, vsi.version, identity, filter_info)


def _reason(notice: Notice, mode: VdpMode) -> str:
    """Return the reason why a notice is no success of a request of this mode; empty for a success."""
    if mode is VdpMode.DEASSOCIATE:
        return "" if notice.outcome is RequestOutcome.LEFT else notice.outcome.value
    if notice.outcome is RequestOutcome.GRANTED and notice.mode is mode:
        return ""
    return f"{notice.outcome.value}: error {int(notice.status.error)}" if notice.status else notice.outcome.value
