"""Switches that cannot be changed now and may have the gate of a VSI open: it is not opened elsewhere meanwhile.

A switch goes on forwarding while its channel is away: after a start or a take-over until it has connected and been
compared, and after each loss.  Most are back within seconds, so an Associate at another switch waits that long; a
switch that is away for longer is given up until it is back, since it may be dead, and its VMs have to go on elsewhere.
The module sends nothing: ``activation`` asks it, and ``step_answers`` goes on when it is time.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from typing import NamedTuple

from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.steps import GateSwitch
from ryu_apps.evb.wire.vsi_id import VsiId

#: Seconds for which a switch that is away is waited for: Open vSwitch tries again every 8 s at the latest.
PATIENCE = 10.0


class WaitingAssociate(NamedTuple):
    """An Associate whose gate is not opened yet; ``attempt`` is that of its machine."""

    attachment: Attachment
    attempt: int


class UnconfirmedShut(NamedTuple):
    """A change that was to shut a gate, and was lost with its switch: it may have been carried out or not."""

    token: int
    opening: GateSwitch


class LateSwitches:
    """The switches that are away, and what waits for them.

    Attributes:
        deadline: time at which a switch is given up, monotonic seconds; None: none is away.
    """

    def __init__(self, up: Collection[int]) -> None:
        """
        Args:
            up: datapath ids of the switches that may be changed step by step.
        """
        self.deadline: float | None = None
        self._up = up
        self._until: dict[int, float] = {}
        self._given_up: set[int] = set()
        self._doubtful: dict[int, dict[VsiId, PortId]] = {}
        self._waiting: dict[int, dict[Attachment, int]] = {}
        self._unconfirmed: dict[int, list[UnconfirmedShut]] = {}

    # --- switches ---
    def begin(self, dpids: Iterable[int], now: float) -> None:
        """Wait for all switches, none of which has connected yet: the bridge starts, or takes over."""
        for dpid in dpids:
            self.away(dpid, now)

    def away(self, dpid: int, now: float) -> None:
        """Note that a switch is away from now on."""
        self._given_up.discard(dpid)
        self._until[dpid] = now + PATIENCE
        self._plan()

    def connected(self, dpid: int) -> bool:
        """Note that a switch has connected, however long its comparison takes; True if something waits for it."""
        self._given_up.discard(dpid)
        self._until.pop(dpid, None)
        self._plan()
        return dpid in self._waiting or dpid in self._unconfirmed

    def ready(self, dpid: int) -> None:
        """Note that a switch has been compared: it has no gates but those that it should have."""
        self._doubtful.pop(dpid, None)

    def due(self, now: float) -> Iterator[int]:
        """Give up the switches that were away for too long; yields them."""
        for dpid in [dpid for dpid, until in self._until.items() if until <= now]:
            del self._until[dpid]
            self._given_up.add(dpid)
            self._plan()
            yield dpid

    def postpone(self, seconds: float) -> None:
        """Extend the patience by a time in which no switch could be heard."""
        self._until = {dpid: until + seconds for dpid, until in self._until.items()}
        self._plan()

    def _plan(self) -> None:
        # Not when it is asked for, which is after each event.
        self.deadline = min(self._until.values(), default=None)

    # --- gates ---
    def doubt(self, attachment: Attachment) -> None:
        """Note that the switch of an attachment may have its gate, which it should not have, until it is compared."""
        self._doubtful.setdefault(attachment.port.dpid, {})[attachment.vsi.vsi_id] = attachment.port

    def concerns(self, attachment: Attachment) -> bool:
        """Return True if the gate of a VSI may be open at a switch that cannot be changed now."""
        owner = attachment.vsi.owner
        return bool(self._doubtful) or (owner is not None and owner.port.dpid not in self._up)

    def holder(self, attachment: Attachment) -> PortId | None:
        """Return where else the gate of a VSI may be open, at a switch that is waited for; None: nowhere."""
        return next((port for port in self._places(attachment) if port.dpid not in self._given_up), None)

    def left(self, attachment: Attachment) -> list[PortId]:
        """Return where else the gate of a VSI may be open, at switches that are given up."""
        return [port for port in self._places(attachment) if port.dpid in self._given_up]

    def _places(self, attachment: Attachment) -> Iterator[PortId]:
        vsi = attachment.vsi
        if vsi.owner not in (None, attachment):
            yield from self._elsewhere(attachment, vsi.owner.port)
        for doubtful in self._doubtful.values():
            if (port := doubtful.get(vsi.vsi_id)) is not None:
                yield from self._elsewhere(attachment, port)

    def _elsewhere(self, attachment: Attachment, port: PortId) -> Iterator[PortId]:
        # A gate that moves within a switch moves in one change.
        if port.dpid != attachment.port.dpid and port.dpid not in self._up:
            yield port

    # --- what waits ---
    def wait(self, dpid: int, attachment: Attachment) -> None:
        """Let the newest Associate of an attachment wait for a switch."""
        self._waiting.setdefault(dpid, {})[attachment] = attachment.machine.attempt

    def hold(self, dpid: int, token: int, opening: GateSwitch) -> None:
        """Let a gate that is opened elsewhere wait for a switch that was to shut it, and was lost."""
        self._unconfirmed.setdefault(dpid, []).append(UnconfirmedShut(token, opening))

    def take(self, dpid: int) -> tuple[list[UnconfirmedShut], list[WaitingAssociate]]:
        """Remove and return what has waited for a switch that is ready, or given up."""
        waiting = self._waiting.pop(dpid, {})
        return self._unconfirmed.pop(dpid, []), [WaitingAssociate(*waits) for waits in waiting.items()]
