"""A standby's look at the leader's process: a TCP connection to its REST resources, and what follows when that ends.

If the leader's host then refuses another connection, nothing listens there any more: the process is gone.  If it
accepts one, the server has ended an idle connection, and the process is alive.  If it does not answer, nothing is
known.  Nothing is sent, so neither TLS nor a token is needed.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from eventlet import tpool
from eventlet.green import socket
from eventlet.patcher import original
from ryu.lib import hub

LOG = logging.getLogger(__name__)

#: Seconds for which a connection is awaited.
_ANSWER = 1.0
#: Seconds until another connection: after one that has ended soon, twice as many each time, and at the most.
_SHORT, _LONG = 0.02, 1.0
_USUAL_PORTS = {"http": 80, "https": 443}

#: An address family, and an address of it.
_Place = tuple[int, Any]


class LeaderWatch:
    """One connection at a time, in a green thread of its own.

    Args:
        gone: takes the version of the lease whose process is gone, once for each connection that was made before.
    """

    def __init__(self, gone: Callable[[int], None]) -> None:
        self._gone = gone
        self._followed: tuple[int, str] = 0, ""
        self._thread: Any = None

    def follow(self, version: int, url: str) -> None:
        """Watch the process that has the lease of a version, in place of the one before.

        Args:
            url: of its REST resources; empty: none is watched.
        """
        if self._followed == (version, url):
            return
        self._followed = version, url
        if self._thread is not None:
            hub.kill(self._thread)
        self._thread = hub.spawn(self._watch, version, url) if url else None

    def _watch(self, version: int, url: str) -> None:
        places: list[_Place] = []
        met, pause = False, 0.0
        while True:
            hub.sleep(pause)
            places = places or _places(url)
            try:
                lasted = _stay(*places[0])
            except ConnectionRefusedError:
                if met:
                    # By another thread: this one is killed when the lease changes.
                    hub.spawn(self._gone, version)
                met, pause = False, _LONG
            except (OSError, IndexError) as error:
                LOG.debug("%s: %s", url, error)
                pause = _LONG
            else:
                met, pause = True, 0.0 if lasted >= _LONG else min(2 * pause or _SHORT, _LONG)
            if not met:
                # A name may have addresses at which the leader does not listen.
                places = places[1:]


def _places(url: str) -> list[_Place]:
    """Return where a URL leads; empty: its name is not known at present."""
    try:
        where = urlsplit(url)
        port = where.port or _USUAL_PORTS[where.scheme]
        found = tpool.execute(original("socket").getaddrinfo, where.hostname or "-", port, type=socket.SOCK_STREAM)
    except (OSError, ValueError, KeyError) as error:
        LOG.debug("%s: %s", url, error)
        return []
    return [(family, address) for family, _kind, _protocol, _name, address in found]


def _stay(family: int, address: Any) -> float:
    """Connect, and return the seconds for which the connection has lasted when it has ended.

    Raises:
        OSError: there is none.
    """
    with socket.socket(family) as connection:
        connection.settimeout(_ANSWER)
        connection.connect(address)
        begun = time.monotonic()
        connection.settimeout(None)
        with suppress(OSError):
            connection.recv(1)
        return time.monotonic() - begun
