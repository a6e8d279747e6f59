"""Taps: packet sockets on interfaces anywhere in the cluster, read by one thread, stamped by the kernel.

Times are those of the frame at the interface, on the monotonic clock that all parts of a scenario share.
"""

from __future__ import annotations

import ctypes
import selectors
import socket
import struct
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ryu_apps.testbed.harness.shell import Namespace

ETH_P_ALL = 0x0003
_SO_TIMESTAMPNS = 35
_SO_ATTACH_FILTER = 26
_TIMESPEC = struct.Struct("ll")
_OUTGOING = 4
_LENGTH = 262144


@dataclass(frozen=True, slots=True)
class Sighting:
    """A frame seen by a tap.

    Attributes:
        t: monotonic seconds, by the kernel.
        outgoing: sent by the tapped interface, not received.
        data: the frame.
    """

    t: float
    outgoing: bool
    data: bytes


#: A classic BPF program: (code, jump if true, jump if false, operand).
FilterProgram = Sequence[tuple[int, int, int, int]]


def only_ethertypes(*ethertypes: int) -> FilterProgram:
    """Pass frames of these EtherTypes (untagged frames only)."""
    count = len(ethertypes)
    compare = [(0x15, count - number - 1 + 1, 0, ethertype) for number, ethertype in enumerate(ethertypes)]
    return [(0x28, 0, 0, 12), *compare, (0x06, 0, 0, 0), (0x06, 0, 0, _LENGTH)]


def all_but_ethertypes(*ethertypes: int) -> FilterProgram:
    """Pass every frame except those of these EtherTypes."""
    *head, reject, accept = only_ethertypes(*ethertypes)
    return [*head, accept, reject]


class Tap:
    """Everything a filter lets through at one interface, in order of arrival."""

    def __init__(self, namespace: Namespace, interface: str, program: FilterProgram) -> None:
        self.name = f"{namespace.name}:{interface}"
        self.sightings: list[Sighting] = []
        # Protocol 0 until the filter is in place: nothing unfiltered may slip in.
        self.socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        _attach(self.socket, program)
        self.socket.bind((interface, ETH_P_ALL))

    def drain(self) -> None:
        """Take what has arrived."""
        offset = time.clock_gettime(time.CLOCK_MONOTONIC) - time.clock_gettime(time.CLOCK_REALTIME)
        while True:
            try:
                data, ancillary, _, address = self.socket.recvmsg(2048, 64)
            except BlockingIOError:
                return
            except OSError:
                return  # the interface is on its way into another namespace
            self.sightings.append(Sighting(_stamp(ancillary) + offset, address[2] == _OUTGOING, data))

    def matching(self, wanted: Callable[[Sighting], bool]) -> list[Sighting]:
        """The sightings so far that satisfy a condition."""
        return [sighting for sighting in list(self.sightings) if wanted(sighting)]


class TapReader:
    """The thread that reads taps."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="taps", daemon=True)
        self._thread.start()

    def watch(self, tap: Tap) -> Tap:
        """Start reading a tap."""
        with self._lock:
            self._selector.register(tap.socket, selectors.EVENT_READ, tap)
        return tap

    def dismiss(self, tap: Tap) -> None:
        """Read what is left and close the tap; its sightings remain."""
        with self._lock:
            self._selector.unregister(tap.socket)
            tap.drain()
            tap.socket.close()

    def settle(self) -> None:
        """Read everything that has arrived up to now."""
        with self._lock:
            for key in self._selector.get_map().values():
                key.data.drain()

    def close(self) -> None:
        """Stop reading; taps still watched are closed."""
        self._stopping.set()
        self._thread.join()
        for key in list(self._selector.get_map().values()):
            self.dismiss(key.data)
        self._selector.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            with self._lock:
                ready = self._selector.select(timeout=0)
                for key, _ in ready:
                    key.data.drain()
            if not ready:
                # Stamps come from the kernel, so there is no hurry here; the cores are needed elsewhere.
                self._stopping.wait(0.02)


def _stamp(ancillary: list[tuple[int, int, bytes]]) -> float:
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(data[: _TIMESPEC.size])
            return float(seconds + nanoseconds / 1e9)
    return time.time()


def _attach(sock: socket.socket, program: FilterProgram) -> None:
    code = b"".join(struct.pack("HBBI", *instruction) for instruction in program)
    buffer = ctypes.create_string_buffer(code)
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", len(program), ctypes.addressof(buffer)))
