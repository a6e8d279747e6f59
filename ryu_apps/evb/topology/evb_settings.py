"""EVB at a station port as its operator sets it: what the bridge proposes in its EVB TLV, and accepts (802.1Q D.2.12).

Plain data, standard library only, as :mod:`ryu_apps.evb.topology.fabric`.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class ReflectiveRelay(Enum):
    """Reflective relay at a station port (802.1Q 8.6.1): frames may leave by the port that they came in by."""

    AGREED = "agreed"
    """On if the station requests it (RRREQ in its EVB TLV): VEPA, else VEB."""
    ALWAYS = "always"
    """On, whatever the station requests: VEPA."""
    NEVER = "never"
    """Off, and the bridge reports that it cannot do it (RRCAP): VEB."""


@dataclass(frozen=True, slots=True)
class Timers:
    """Timers that a bridge port proposes in its EVB TLV (802.1Q D.2.12); exponents of 10 us * 2^n.

    Attributes:
        r: ECP retries, 0..7.
        rte: ECP acknowledge timer exponent, 0..31.
        rwd: resource wait delay exponent, 0..31; with the default a station waits 31.6 s for an answer.
        rka: reinit keep alive exponent, 0..31.
    """

    r: int = 3
    rte: int = 10
    rwd: int = 21
    rka: int = 20


@dataclass(frozen=True, slots=True)
class TimerLimits:
    """Upper limits of the timers that a station may propose; exponents of 10 us * 2^n, 0..31.

    Attributes:
        rte: as in :class:`Timers`; 10.5 s.
        rwd: 84 s.
        rka: 336 s.
    """

    rte: int = 20
    rwd: int = 23
    rka: int = 25
