"""Accepting connections, for as long as the process lives."""

from __future__ import annotations

import errno
import logging
from functools import partial
from typing import Any

from ryu.lib import hub

from ryu_apps.evb.event_catalogue.bridge import DescriptorsShort
from ryu_apps.listening.admission import ConnectionLimit
from ryu_apps.listening.descriptors import DESCRIPTORS
from ryu_apps.listening.sockets import bound, hang_up, is_local, listen, origin

LOG = logging.getLogger(__name__)

#: Seconds until accepting is tried again when the system had no descriptor or no memory for it.
_PAUSE = 0.1
#: What ends one connection before it was accepted, and nothing else.
_OF_ONE = {errno.ECONNABORTED, errno.ECONNRESET, errno.EPROTO, errno.EINTR}


class AcceptedConnection:
    """One that was accepted.

    Attributes:
        socket: as from eventlet; who puts another one around it says so here.
        address: of the peer.
        origin: what counts as one peer.
    """

    def __init__(self, socket: Any, address: Any) -> None:
        self.socket = socket
        self.address = address
        self.origin = origin(address)

    def end(self) -> None:
        """Its green thread reads the end of the stream, and closes."""
        hang_up(self.socket)


class TcpListener:
    """A listening socket, and the bounds on what it lets in.

    Args:
        name: ``openflow`` or ``rest``, for figures and events.
        what: the same for people.
        host, port: where.

    Raises:
        CannotListen: the address is taken or is not of this host.

    Attributes:
        inside: connections that count against the bounds.
        turned_away: connections that were given up or refused so far, for others or for want of descriptors.
    """

    def __init__(self, name: str, what: str, host: str, port: int) -> None:
        self.name = name
        self.server = listen(what, host, port)
        self.inside: ConnectionLimit[AcceptedConnection] = ConnectionLimit(*DESCRIPTORS.share())
        self.turned_away = 0
        DESCRIPTORS.servers.append(self)

    @property
    def waiting(self) -> int:
        """Connections that count against the bounds."""
        return len(self.inside)

    @property
    def most(self) -> int:
        """The bound in all."""
        return self.inside.most

    @property
    def place(self) -> str:
        """Address that it listens at, as text."""
        return bound(self.server)

    @property
    def is_local(self) -> bool:
        """True if only this host can connect."""
        return is_local(self.server)

    def accept(self) -> AcceptedConnection:
        """The next connection that may stay, to be given back by ``inside.leave``."""
        while True:
            try:
                socket, address = self.server.accept()
            except OSError as error:
                self._failed(error)
                continue
            connection = AcceptedConnection(socket, address)
            given_up = self.inside.enter(connection)
            if given_up is not None:
                self._turn_away(given_up, "too many connections")
            if given_up is connection:
                socket.close()
            else:
                return connection

    def _failed(self, error: OSError) -> None:
        if error.errno == errno.EBADF:
            raise error
        if error.errno in _OF_ONE:
            return
        LOG.debug("cannot accept: %s", error)
        reason = str(error.strerror)
        # Whichever server has most: descriptors are the process's.
        if max(DESCRIPTORS.servers, key=lambda one: one.waiting).give_up(reason):
            hub.sleep(0)
        else:
            self._want("-", reason)
            hub.sleep(_PAUSE)

    def give_up(self, reason: str) -> bool:
        """Make room by ending a connection; whether there was one."""
        given_up = self.inside.make_room()
        if given_up is not None:
            self._turn_away(given_up, reason)
        return given_up is not None

    def _turn_away(self, connection: AcceptedConnection, reason: str) -> None:
        connection.end()
        self.turned_away += 1
        self._want(connection.origin, reason)

    def _want(self, address: str, reason: str) -> None:
        DESCRIPTORS.wanting.happened(self.name, partial(DescriptorsShort, self.name, address, reason))
