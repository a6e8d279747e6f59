"""File descriptors: how many this process may have, and how many of them may go to strangers."""

from __future__ import annotations

import logging
import os
import resource
from typing import NamedTuple, Protocol

from ryu_apps.evb.event_catalogue.base import line
from ryu_apps.evb.event_catalogue.bridge import DescriptorsShort
from ryu_apps.listening.damper import Damper, Tell

LOG = logging.getLogger(__name__)

#: Kept for everything else: libraries, state, log, VSI managers, other apps.
_OWN = 64
#: Connections that serve any purpose, and the least with which a server is of use.
_ENOUGH, _LEAST = 256, 8


class Share(NamedTuple):
    """Connections of which nothing is known yet that may be open: in all, and of one peer."""

    most: int
    most_each: int


class Server(Protocol):
    """Server whose connections count against the limit of file descriptors.

    Attributes:
        name: ``openflow`` or ``rest``.
        waiting: connections that count against its share.
        most: its share.
        turned_away: connections that were given up or refused so far.
    """

    @property
    def name(self) -> str: ...
    @property
    def waiting(self) -> int: ...
    @property
    def most(self) -> int: ...
    @property
    def turned_away(self) -> int: ...
    def give_up(self, reason: str) -> bool:
        """Make room by ending a connection; whether there was one."""


class Descriptors:
    """All of this process.

    Attributes:
        limit: how many there can be.
        servers: those that take connections.
        wanting: takes note, by server, that there are more connections than there is room for.
    """

    def __init__(self) -> None:
        self.limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        self.wanting = Damper[DescriptorsShort](_log)
        self.servers: list[Server] = []
        self._switches = 0

    def prepare(self, switches: int, tell: Tell) -> None:
        """Raise the limit as far as the system allows, and keep a descriptor for each configured switch.

        Args:
            switches: how many are configured.
            tell: takes what happens from now on.
        """
        _, self.limit = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (self.limit, self.limit))
        self.wanting = Damper(tell)
        self._switches = switches
        if self._for_strangers() < 4 * _LEAST:
            LOG.warning("%d file descriptors are few for %d switches: raise LimitNOFILE", self.limit, switches)

    def share(self) -> Share:
        """Return the share of one of two servers; more switches may connect at the same moment."""
        most = max(min(_ENOUGH + 2 * self._switches, self._for_strangers() // 2), _LEAST)
        return Share(most, most // 2)

    def in_use(self) -> int:
        """Return the number of open file descriptors."""
        return len(os.listdir("/proc/self/fd")) - 1

    def _for_strangers(self) -> int:
        return self.limit - _OWN - self._switches


def _log(happened: DescriptorsShort) -> None:
    LOG.warning("%s", line(happened))


#: The limit is the process's, and so are these.
DESCRIPTORS = Descriptors()
