"""Frames made by hand at any interface of a cluster: what no well-behaved guest would send."""

from __future__ import annotations

import socket
import struct
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from ryu_apps.evb.wire.ecp import Ecpdu, EcpOp
from ryu_apps.evb.wire.ethernet import Frame
from ryu_apps.testbed.harness.shell import PATIENCE, Namespace

ETH_P_ALL = 0x0003
_OUTGOING = 4
_SOL_PACKET, _PACKET_AUXDATA = 263, 8
_AUXDATA = struct.Struct("IIIHHHH")
_TAG_VALID = 0x10
_PAUSE = 0.002


@dataclass(frozen=True, slots=True)
class CapturedFrame:
    """A frame that came in; ``vid`` and ``pcp`` of its 802.1Q tag are None without one, ``data`` is without the tag."""

    vid: int | None
    data: bytes
    pcp: int | None = None


class RawSocket:
    """A packet socket at an interface: sends frames as they are, and says how those that come in were tagged."""

    def __init__(self, namespace: Namespace, interface: str) -> None:
        self.socket = namespace.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
        self.socket.setsockopt(_SOL_PACKET, _PACKET_AUXDATA, 1)
        self.socket.bind((interface, ETH_P_ALL))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.socket.close()

    def send(self, frame: bytes) -> None:
        """Send one frame."""
        self.socket.send(frame)

    def hears(self, marker: bytes, patience: float = PATIENCE) -> CapturedFrame | None:
        """The next frame that comes in with ``marker`` in it, None if there is none in time."""
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                data, ancillary, _, address = self.socket.recvmsg(4096, 64)
            except TimeoutError:
                break
            if address[2] != _OUTGOING and marker in data:
                tci = _tci(ancillary)
                return CapturedFrame(None, data) if tci is None else CapturedFrame(tci & 0xFFF, data, tci >> 13)
        return None

    def hears_of(self, vsi: str, patience: float) -> bool:
        """True if an ECP request about a VSI comes in within ``patience`` s: an answer of the bridge.

        An acknowledgement of ECP is none: it has no VDPDU with the VSIID.
        """
        uuid = bytes.fromhex(vsi.replace("-", ""))
        deadline = time.monotonic() + patience
        while (left := deadline - time.monotonic()) > 0:
            heard = self.hears(uuid, left)
            if heard is not None and Ecpdu.decode(Frame.decode(heard.data).payload).op is EcpOp.REQUEST:
                return True
        return False


def _tci(ancillary: Sequence[tuple[int, int, bytes]]) -> int | None:
    # The kernel takes the tag out of the frame before any socket sees it.
    for level, kind, data in ancillary:
        if (level, kind) == (_SOL_PACKET, _PACKET_AUXDATA):
            status, *_, tci, _ = _AUXDATA.unpack(data[: _AUXDATA.size])
            return tci if status & _TAG_VALID else None
    return None


def tagged(frame: bytes, vid: int) -> bytes:
    """The frame with an 802.1Q tag; VID 0 leaves it as it is."""
    return frame[:12] + struct.pack("!HH", 0x8100, vid) + frame[12:] if vid else frame


class Flood:
    """Frames in turn from one interface at a bounded rate, until stopped or all are sent."""

    def __init__(self, wire: RawSocket, frames: Sequence[bytes], rate: int, count: int) -> None:
        """
        Args:
            frames: repeated in this order.
            rate: frames a second at the most.
            count: frames at the most.
        """
        self.sent = 0
        self._wire, self._frames, self._rate, self._count = wire, frames, rate, count
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="flood", daemon=True)

    @contextmanager
    def raging(self) -> Iterator[Flood]:
        """Flood for the time of a ``with`` block."""
        self._thread.start()
        try:
            yield self
        finally:
            self._stopping.set()
            self._thread.join()

    def _run(self) -> None:
        begun = time.monotonic()
        while self.sent < self._count and not self._stopping.wait(_PAUSE):
            due = min(int((time.monotonic() - begun) * self._rate), self._count)
            for number in range(self.sent, due):
                self._wire.send(self._frames[number % len(self._frames)])
            self.sent = max(self.sent, due)
