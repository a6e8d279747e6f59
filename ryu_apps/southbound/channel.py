"""The octets between Ryu and a switch, with a short cut for the messages that evbridge handles.

Ryu reads a message with two system calls, makes objects of it and hands it through an event queue to
another green thread; what it sends goes through a queue and a green thread, too.  A :class:`Channel`
stands where Ryu expects the socket of a datapath.  It reads large, cuts the stream into messages,
offers each to a receiver and passes the rest to Ryu; it is the only writer to the socket.  What that saves is
measured in docs/decisions/0004-southbound-fast-path.rst.
"""

from __future__ import annotations

import logging
import ssl
import sys
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from fcntl import ioctl
from sys import byteorder
from termios import FIONREAD
from typing import Any

from eventlet.greenio import GreenSocket
from eventlet.patcher import original
from ryu.lib import hub
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.listening.sockets import hang_up
from ryu_apps.southbound.doorbell import ReadinessWaiter
from ryu_apps.southbound.encode import message

LOG = logging.getLogger(__name__)
#: The system's: looks and does not wait, at a descriptor of any number.
_select = original("select")

_HEADER_SIZE = 8
_READ_SIZE = 1 << 16
#: Messages after which other green threads get a turn, and the size from which one counts as many.
_TURN = 64
_LARGE = 4096

#: Octets of a message, header included -> whether Ryu need not see it.
Receiver = Callable[[bytes], bool]
#: Whether more has arrived than has been offered, as far as is known.
Settle = Callable[[bool], None]


class Channel:
    """Substitute for the socket of a Ryu datapath.

    Args:
        socket: the connected socket, from eventlet; TLS or not.
        address: of the switch.

    Attributes:
        address: of the switch.
        backlog: octets that the switch has not taken yet.
        dealt: octets from the switch that the receiver has been offered, or that are no whole message yet.
        examine: datapath id that a connection claims before it is attached -> whether it goes on; may block.
        heard: messages that have come so far.
        answer: data of the last echo reply.
        ended: nothing will come any more.
    """

    def __init__(self, socket: Any, address: Any) -> None:
        self._socket = socket
        self.address = address
        self._receiver: Receiver | None = None
        self._settle: Settle = lambda _: None
        self._overhear: Callable[[bytes], None] = lambda _: None
        self._unread = b""
        self._for_ryu: deque[bytes] = deque()
        self._unsent: list[bytes | bytearray] = []
        self._drainer: Any = None
        self._since_turn = 0
        self._drained = False
        # The system's socket below eventlet's, unless TLS is between: what would block returns at once.
        self._direct = socket.fd if type(socket) is GreenSocket else None
        self._doorbell: ReadinessWaiter | None = None
        self.backlog = 0
        self._got = self.dealt = 0
        self.examine: Callable[[int], bool] = lambda _: True
        self.heard = 0
        self.answer = b""
        self.ended = False

    @property
    def attached(self) -> bool:
        """Return True once messages are passed to a receiver."""
        return self._receiver is not None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def attach(self, receiver: Receiver, settle: Settle, overhear: Callable[[bytes], None] = lambda _: None) -> None:
        """From now on, offer messages.

        Args:
            receiver: is offered every message; must not block.
            settle: called when all messages that came together have been offered, or many of them.
            overhear: is shown what others send through Ryu, once it is on its way.
        """
        self._receiver, self._settle, self._overhear = receiver, settle, overhear

    def detach(self) -> None:
        """Offer no more; Ryu gets everything."""
        self._receiver, self._settle, self._overhear = None, lambda _: None, lambda _: None

    def arrived(self) -> int:
        """Return the value that :attr:`dealt` reaches once all octets that have arrived by now are processed."""
        with suppress(OSError, ValueError):
            if self._direct is not None:
                return self._got + int.from_bytes(ioctl(self._direct, FIONREAD, bytes(4)), byteorder)
            # How much plain text there is in what is encrypted cannot be known: one record, at least.
            look = _select.poll()
            look.register(self._socket.fileno(), _select.POLLIN)
            return self._got + bool(look.poll(0))
        return self._got

    def shutdown(self, how: int) -> None:
        """As of a socket, but below TLS."""
        hang_up(self._socket, how)

    def end(self) -> None:
        """Take nothing any more, and have the green thread that receives close."""
        self.dealt = sys.maxsize
        self.ended = True
        hang_up(self._socket)

    def close(self) -> None:
        """As of a socket."""
        self.dealt = sys.maxsize
        self.ended = True
        if self._doorbell is not None:
            self._doorbell.close()
        self._socket.close()

    # --- from the switch ---
    def recv(self, size: int) -> bytes:
        """Whole messages for Ryu, more than ``size`` octets if there are; empty at the end of the stream.

        Ryu's receive loop keeps what it has not asked for; that it gets whole messages spares it the
        second call.
        """
        del size
        while not self._for_ryu and not self.ended:
            octets = self._read()
            if not octets:
                self.ended = True
                break
            self._take(octets)
        octets = b"".join(self._for_ryu)
        self._for_ryu.clear()
        return octets

    def _read(self) -> bytes:
        if self._direct is None:
            return self._read_encrypted()
        if self._doorbell is None:
            self._doorbell = ReadinessWaiter(self._direct.fileno(), self._socket.gettimeout())
        while True:
            if self._drained:
                self._doorbell.wait()
            try:
                octets: bytes = self._direct.recv(_READ_SIZE)
            except BlockingIOError:
                self._drained = True
            else:
                # Less than asked for: there was no more, and another read would return nothing.
                self._drained = len(octets) < _READ_SIZE
                return octets

    def _read_encrypted(self) -> bytes:
        return self._read_some(_READ_SIZE)

    def _read_some(self, size: int) -> bytes:
        try:
            return bytes(self._socket.recv(size))
        except ssl.SSLError as error:
            # For Ryu this is a time-out, after which it would read again and again.
            LOG.info("reading from the switch at %s: %s", self.address, error)
            return b""

    def _take(self, octets: bytes) -> None:
        self._got += len(octets)
        octets = self._unread + octets
        at, end = 0, len(octets)
        while end - at >= _HEADER_SIZE:
            # A length below the header's is Ryu's to complain about.
            after = at + max((octets[at + 2] << 8) + octets[at + 3], _HEADER_SIZE)
            if after > end:
                break
            self._offer(octets[at:after])
            at = after
            if self.ended:
                break
            if self._since_turn >= _TURN:
                self._since_turn = 0
                self._settle(True)
                hub.sleep(0)
        self._unread = octets[at:]
        self._settle(self._direct is not None and not self._drained and not self.ended)
        self.dealt = max(self.dealt, self._got)

    def _offer(self, octets: bytes) -> None:
        self._since_turn += _TURN if len(octets) >= _LARGE else 1
        if self.admits(octets) and (self._receiver is None or not self._receiver(octets)):
            self._for_ryu.append(octets)

    def admits(self, octets: bytes) -> bool:
        """Take note of a message; return False, and end, if it claims a datapath id that this connection may not have.

        May block for as long as :attr:`examine` does.
        """
        self.heard += 1
        kind = octets[1]
        if kind == ofp.OFPT_ECHO_REPLY:
            self.answer = octets[_HEADER_SIZE:]
        elif kind == ofp.OFPT_FEATURES_REPLY and not self._may_be(octets):
            self.end()
            return False
        return True

    def _may_be(self, features: bytes) -> bool:
        """Return True if the connection may claim its datapath id; examined once, before it is attached."""
        return self._receiver is not None or self.examine(int.from_bytes(features[_HEADER_SIZE:16]))

    # --- to the switch ---
    def write(self, octets: bytes | bytearray) -> None:
        """Queue octets; they leave with the next :meth:`flush`."""
        self._unsent.append(octets)
        self.backlog += len(octets)

    def ask(self, question: bytes) -> None:
        """Send an echo request; its data comes back as ``answer``."""
        self.write(message(ofp.OFPT_ECHO_REQUEST, question))
        self.flush()

    def flush(self) -> None:
        """Send what is queued, as far as the switch takes it without waiting; the rest follows."""
        if self._drainer is not None or not self._unsent:
            return
        if self._direct is not None:
            self._send_now(self._direct)
        if self._unsent:
            self._drainer = hub.spawn(self._drain)

    def sendall(self, octets: bytes) -> None:
        """For Ryu's send loop: returns when the switch has taken everything."""
        self.write(octets)
        self.flush()
        if self._drainer is not None:
            self._drainer.wait()
        self._overhear(octets)

    def _send_now(self, direct: Any) -> None:
        octets = b"".join(self._unsent)
        try:
            sent = direct.send(octets)
        except BlockingIOError:
            sent = 0
        except OSError as error:
            self._broken(error)
            return
        self.backlog = len(octets) - sent
        self._unsent[:] = [octets[sent:]] if self.backlog else []

    def _drain(self) -> None:
        try:
            while self._unsent:
                octets = b"".join(self._unsent)
                self._unsent.clear()
                self._socket.sendall(octets)
                self.backlog -= len(octets)
        except OSError as error:
            self._broken(error)
        finally:
            self._drainer = None

    def _broken(self, error: OSError) -> None:
        """The switch takes nothing any more: end the connection, so that the receive loop notices."""
        LOG.info("sending to the switch at %s: %s", self.address, error)
        self._unsent.clear()
        self.backlog = 0
        hang_up(self._socket)
