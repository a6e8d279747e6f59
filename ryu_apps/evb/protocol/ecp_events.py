"""Events and outputs of an ECP endpoint, and the errors that it counts."""

from __future__ import annotations

from dataclasses import dataclass

from ryu_apps.evb.protocol.table import Tick
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.wire.ecp import Ecpdu


# --- events ---
@dataclass(frozen=True, slots=True)
class Received:
    """An ECPDU came in."""

    ecpdu: Ecpdu


@dataclass(frozen=True, slots=True)
class Submit:
    """The upper layer submits a payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Reset:
    """The other end may have lost its state: link down or up, LLDP shutdown, neighbour aged out."""


@dataclass(frozen=True, slots=True)
class Reconfigure:
    """The agreed timers changed; a running timer keeps its deadline."""

    operational: Operational


EcpEvent = Received | Submit | Reset | Reconfigure | Tick


# --- outputs ---
@dataclass(frozen=True, slots=True)
class Transmit:
    """Send this ECPDU now."""

    ecpdu: Ecpdu


@dataclass(frozen=True, slots=True)
class Deliver:
    """A payload for the upper layer; the duplicate test has found no repetition."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Acknowledged:
    """The station has acknowledged this payload."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Undelivered:
    """This payload was not acknowledged, was dropped by a reset, or found the queue full."""

    payload: bytes


EcpOutput = Transmit | Deliver | Acknowledged | Undelivered


@dataclass(slots=True)
class EcpCounters:
    """Counters of errors at this endpoint since its creation.

    Attributes:
        duplicates: requests acknowledged again and not delivered.
        retransmissions: own requests sent again.
        failures: payloads given up for want of an acknowledgement.
        refused: payloads that found the queue full.
        malformed: ECPDUs of another version or subtype.
        stray: acknowledgements of no outstanding ECPDU.
    """

    duplicates: int = 0
    retransmissions: int = 0
    failures: int = 0
    refused: int = 0
    malformed: int = 0
    stray: int = 0
