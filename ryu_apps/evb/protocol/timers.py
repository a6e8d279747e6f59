"""Operational timers of an EVB agreement (802.1Q D.2.12 and clauses 41.5.5, 43.3.6).

Each exponent and the retry count is the larger of the two proposals, taken separately; all timers follow
from these four numbers.  An exponent n is 10 us * 2^n.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ryu_apps.evb.topology.evb_settings import TimerLimits

__all__ = ["Operational", "Proposal", "agree"]

UNIT = 10e-6
"""Seconds; an exponent n stands for ``UNIT * 2**n``."""

MARGIN = 1.5
"""Factor of the station's response wait and the bridge's keep-alive timeout over the other side's timer."""


class Proposal(Protocol):
    """Fields common to an EVB TLV and :class:`~ryu_apps.evb.topology.evb_settings.Timers`."""

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
    """The agreed numbers and, in seconds, the timers derived from them.

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
        """Seconds from an ECPDU to its retransmission."""
        return _seconds(self.rte)

    @property
    def transmissions(self) -> int:
        """Maximum number of transmissions of an ECPDU."""
        return 1 + self.r

    @property
    def resource_wait_delay(self) -> float:
        """Seconds in which the bridge must answer a request."""
        return _seconds(self.rwd)

    @property
    def response_wait(self) -> float:
        """Seconds for which the station waits for the answer to a request."""
        return MARGIN * (_seconds(self.rwd) + self._exchange)

    @property
    def reinit_keep_alive(self) -> float:
        """Seconds after which the station repeats a request as keep-alive."""
        return _seconds(self.rka)

    @property
    def keep_alive_timeout(self) -> float:
        """toutKA: seconds after which the bridge ends a VSI without keep-alive."""
        return MARGIN * (_seconds(self.rka) + self._exchange)

    @property
    def _exchange(self) -> float:
        return (1 + 2 * self.r) * _seconds(self.rte)


def agree(local: Proposal, remote: Proposal, limits: TimerLimits | None = None) -> Operational:
    """The larger of the two proposals for each number, after the limits are applied to the remote one.

    Without limits a station could propose timers of hours, and a VSI reserved by it, or left by a failed station,
    would occupy its resources as long.
    """
    return Operational(
        r=max(local.r, remote.r),
        rte=max(local.rte, remote.rte if limits is None else min(remote.rte, limits.rte)),
        rwd=max(local.rwd, remote.rwd if limits is None else min(remote.rwd, limits.rwd)),
        rka=max(local.rka, remote.rka if limits is None else min(remote.rka, limits.rka)),
    )


def _seconds(exponent: int) -> float:
    return UNIT * float(2**exponent)
