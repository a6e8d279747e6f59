"""Faults in messages from switches: one log line per second and connection, no traceback.

Ryu writes a traceback for each message that it cannot read: a hundred octets of log for each octet of a peer that is
not a switch, or of a stream that has lost its message boundaries.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

from ryu.ofproto import ofproto_parser

from ryu_apps.rate_limit import RateLimit

LOG = logging.getLogger(__name__)


class Complaints:
    """Rate limit of the log lines of one connection."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._bursts: RateLimit[None] = RateLimit()

    def add(self, who: object, what: str) -> None:
        """Log a fault; count it instead if the last line is less than a second old."""
        untold = self._bursts.passes(None, self._clock())
        if untold is not None:
            more = f" (and {untold} more like it before)" if untold else ""
            LOG.warning("%s: %s%s", who, what, more)


def install() -> None:
    """Have Ryu drop messages that it cannot read; a connection that is not OpenFlow is closed."""
    if getattr(ofproto_parser.msg, "complains", False):
        return

    def msg(datapath: Any, version: int, msg_type: int, msg_len: int, xid: int, buf: bytes) -> Any:
        parser = ofproto_parser._MSG_PARSERS.get(version)
        if parser is None:
            complaints(datapath).add(datapath.address, f"this is no OpenFlow (version {version:#04x}): closed")
            datapath.close()
            return None
        try:
            return parser(datapath, version, msg_type, msg_len, xid, buf)
        except Exception as error:
            what = f"cannot read a message of type {msg_type} and {msg_len} octets: {type(error).__name__} {error}"
            complaints(datapath).add(datapath.address, what)
            return None

    msg.complains = True  # type: ignore[attr-defined]
    ofproto_parser.msg = msg


def complaints(datapath: Any) -> Complaints:
    """Return the log of faults of a connection."""
    found = getattr(datapath, "complaints", None)
    if found is None:
        found = datapath.complaints = Complaints()
    assert isinstance(found, Complaints)
    return found
