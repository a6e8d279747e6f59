"""Mark of a gate that is opened: its VSI is recorded at the new port, and no switch is known to have confirmed that.

It is written in one transaction with the records of the move, and deleted when all switches have confirmed and the
station has its answer.  Who finds it after a restart or a take-over does not know if the station was answered.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgpack

from ryu_apps.evb.record_kinds import OPENING, at_port
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.registry import Attachment


def mark_key(attachment: Attachment) -> str:
    """Key of the mark of an attachment."""
    return OPENING.key(at_port(attachment.text, attachment.port))


def encode(former: Iterable[PortId]) -> bytes:
    """Return a mark as msgpack.

    Args:
        former: ports that had the gate before or may have had it since, the one that gets it back first.
    """
    encoded = msgpack.packb([OPENING.schema, [list(port) for port in former]])
    assert isinstance(encoded, bytes)
    return encoded


def decode(data: bytes) -> tuple[PortId, ...]:
    """Return the former ports of a mark; none if it is damaged or of another schema."""
    try:
        schema, former = msgpack.unpackb(data)
        return tuple(PortId(*map(int, port)) for port in former) if schema == OPENING.schema else ()
    except (ValueError, TypeError, msgpack.UnpackException):
        return ()


class OpeningMarks:
    """Marks that the store has, or is about to have, by their keys; at most one of each attachment."""

    def __init__(self) -> None:
        self._all: set[str] = set()
        self._confirmed: set[str] = set()

    def put(self, key: str) -> None:
        """Note a mark of a gate that switches have not confirmed."""
        self._all.add(key)
        self._confirmed.discard(key)

    def has(self, key: str) -> bool:
        """True if the store has this mark, or is about to."""
        return key in self._all

    def confirm(self, key: str) -> None:
        """Note that the switches have confirmed a gate: its mark may go."""
        self._confirmed.add(key)

    def forget(self, key: str) -> bool:
        """Forget a mark that is deleted with something else; True: there is one."""
        there = key in self._all
        self._all.discard(key)
        self._confirmed.discard(key)
        return there

    def take_confirmed(self) -> frozenset[str]:
        """Return and forget the marks that may go; the caller deletes them."""
        confirmed, self._confirmed = frozenset(self._confirmed), set()
        self._all -= confirmed
        return confirmed
