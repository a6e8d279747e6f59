"""The times that two EVB TLVs agree on (802.1Q D.2.12 and clauses 41.5.5, 43.3.6).

Each exponent and the retry count is the larger of the two proposals, taken separately; every timer
follows from those four numbers.  Exponents count in units of 10 us.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ryu_apps.evb.topology.fabric import TimerLimits

__all__ = ["Operational", "Proposal", "agree"]

UNIT = 10e-6
"""Seconds; an exponent n stands for ``UNIT * 2**n``."""

MARGIN = 1.5
"""What the station's response wait and the bridge's keep-alive time leave for the other side."""


class Proposal(Protocol):
    """What both an EVB TLV and :class:`~ryu_apps.evb.topology.fabric.Timers` offer."""

    @property
    def r(self) -> int: ...
    @property
    def rte(self) -> int: ...
    @property
    def rwd(self) -> int: ...
    @property
    def rka(self) -> int: ...


@dataclass(frozen=True, slots=True)
class Operational:
    """The agreed numbers and, in seconds, the timers that follow from them.

    Attributes:
        r: ECP retries, 0..7.
        rte, rwd, rka: exponents of the ECP acknowledge timer, the resource wait delay and the
            reinit keep alive, 0..31.
    """

    r: int
    rte: int
    rwd: int
    rka: int

    @property
    def ack_timer(self) -> float:
        """How long the sender of an ECPDU waits for its acknowledgement."""
        return _seconds(self.rte)

    @property
    def transmissions(self) -> int:
        """How often an ECPDU is sent at most."""
        return 1 + self.r

    @property
    def resource_wait_delay(self) -> float:
        """How long the bridge may think about a request."""
        return _seconds(self.rwd)

    @property
    def response_wait(self) -> float:
        """How long the station waits for the answer to a request."""
        return MARGIN * (_seconds(self.rwd) + self._exchange)

    @property
    def reinit_keep_alive(self) -> float:
        """How long the station lets pass before it repeats a request."""
        return _seconds(self.rka)

    @property
    def keep_alive_timeout(self) -> float:
        """toutKA: how long the bridge keeps a VSI that is not repeated."""
        return MARGIN * (_seconds(self.rka) + self._exchange)

    @property
    def _exchange(self) -> float:
        return (1 + 2 * self.r) * _seconds(self.rte)


def agree(local: Proposal, remote: Proposal, limits: TimerLimits | None = None) -> Operational:
    """What is in force between two proposals: of each number the larger, of the remote one what the limits allow.

    A station may ask for timers of hours: a VSI that it has reserved, or that has died with it, would hold what it
    holds for as long.
    """
    return Operational(
        r=max(local.r, remote.r),
        rte=max(local.rte, remote.rte if limits is None else min(remote.rte, limits.rte)),
        rwd=max(local.rwd, remote.rwd if limits is None else min(remote.rwd, limits.rwd)),
        rka=max(local.rka, remote.rka if limits is None else min(remote.rka, limits.rka)),
    )


def _seconds(exponent: int) -> float:
    return UNIT * float(2**exponent)
