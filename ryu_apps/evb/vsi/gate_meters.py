"""Meters of gates: which switches use them, and a pool of numbers for each switch.

A meter of a gate is never deleted: a cached flow that names a missing meter passes everything.  A number is used again
some time after the rules that named its meter are gone, and not while the switch may hold rules that no record
explains.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from dataclasses import dataclass, field

from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.model import GateMeter
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.registry import Attachment

#: Seconds from the removal of a number's rules until it is used again.  Open vSwitch looks at all of its cached flows
#: within a second or so, and ends one that no frame has met for ten.
REST = 30.0


@dataclass(slots=True)
class _Pool:
    """Numbers of one switch.

    Attributes:
        size: the highest that was ever used.
        used: those of programs.
        rested: those that may be used again.
        held: those that do not rest yet, for the switch is away and may have their rules.
    """

    size: int = 0
    used: set[int] = field(default_factory=set)
    rested: set[int] = field(default_factory=set)
    held: set[int] = field(default_factory=set)

    def use(self, number: int) -> None:
        # Those between: of programs that ended before the controller was restarted.
        self.held.update(range(self.size + 1, number))
        self.size = max(self.size, number)
        self.used.add(number)
        self.rested.discard(number)
        self.held.discard(number)


class GateMeters:
    """Numbers of the meters of all switches."""

    def __init__(self, fabric: Fabric) -> None:
        # Without the extensions there are rules alone.
        self._modes = {
            dpid: switch.gate if switch.extended else GateMode.RULES for dpid, switch in fabric.switches.items()
        }
        self._pools = {dpid: _Pool() for dpid in fabric.switches}
        self._proven: set[int] = set()
        self._away = set(fabric.switches)
        self._agenda: DeadlineQueue[tuple[int, int]] = DeadlineQueue()
        self._resting: set[tuple[int, int]] = set()

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`tick`, monotonic seconds; None: nothing rests."""
        return self._agenda.deadline

    @property
    def to_prove(self) -> frozenset[int]:
        """The switches that have to prove their meters each time they connect."""
        return frozenset(dpid for dpid, mode in self._modes.items() if mode is GateMode.AUTO)

    def prove(self, dpid: int, proven: bool) -> None:
        """Note if a switch that has to prove its meters has done so."""
        if proven and dpid in self.to_prove:
            self._proven.add(dpid)
        else:
            self._proven.discard(dpid)

    def used_at(self, dpid: int) -> bool:
        """True if gates of a switch are staged as meters."""
        return self._modes[dpid] is GateMode.METER or dpid in self._proven

    def size(self, dpid: int) -> int:
        """Return how many meters a switch has, or is to have, for gates."""
        return self._pools[dpid].size

    def take(self, attachment: Attachment, program: Installation) -> GateMeter | None:
        """Take a meter for a new program of an attachment; None: its gate has to be opened by rules alone."""
        dpid, vsi = attachment.port.dpid, attachment.vsi
        # What a switch that is away has of meters is not known.
        if not self.used_at(dpid) or dpid in self._away:
            return None
        # Of two programs at one port both would have the same rules; whole VIDs, and ports that may not be there yet,
        # have other ones.
        older = any(held is not program for held in attachment.holding.programs)
        binding = program.binding
        if older or binding.vsi_port or any(pair.mac is None for pair in binding.bindings):
            return None
        here = (other for other in vsi.attachments.values() if other.port.dpid == dpid)
        both = not any(_serves_both(held) for other in here for held in other.holding.programs)
        pool = self._pools[dpid]
        number = min(pool.rested, default=pool.size + 1)
        pool.use(number)
        return GateMeter(number, both)

    def untake(self, dpid: int, meter: GateMeter | None) -> None:
        """Give the meter of a program back that was never sent to the switch; None: it has none."""
        if meter is None:
            return
        pool = self._pools[dpid]
        pool.used.discard(meter.number)
        if meter.number == pool.size:
            pool.size -= 1
        else:
            pool.rested.add(meter.number)

    def resume(self, dpid: int, meter: GateMeter | None) -> GateMeter | None:
        """Return the meter that a program has had since before the controller was restarted; None: it has none now."""
        if meter is None or self._modes[dpid] is GateMode.RULES:
            return None
        self._pools[dpid].use(meter.number)
        return meter

    def retire(self, dpid: int, meter: GateMeter | None) -> None:
        """Forget the meter of a program that was taken up, while another bridge serves the switch; None: it has none.

        The switch may have it, so it is held until the switch shows its meters.
        """
        if meter is not None:
            pool = self._pools[dpid]
            pool.used.discard(meter.number)
            pool.held.add(meter.number)

    def give_back(self, dpid: int, meter: GateMeter | None, now: float) -> None:
        """Let the meter of a program rest whose rules are being removed; None: it has none."""
        if meter is None:
            return
        pool = self._pools[dpid]
        pool.used.discard(meter.number)
        if dpid in self._away:
            pool.held.add(meter.number)
        else:
            self._rest(dpid, meter.number, now)

    def shown(self, dpid: int, numbers: Iterable[int], now: float) -> None:
        """Note the meters that a switch has shown, which holds the rules that it should."""
        self._away.discard(dpid)
        pool = self._pools[dpid]
        known = pool.size
        pool.size = max((known, *numbers))
        for number in (*range(known + 1, pool.size + 1), *pool.held):
            self._rest(dpid, number, now)
        pool.held.clear()

    def away(self, dpid: int) -> None:
        """Note that a switch is away: it may have rules that it should not."""
        if dpid not in self._pools:
            return
        self._away.add(dpid)
        for key in [key for key in self._resting if key[0] == dpid]:
            self._pools[dpid].held.add(key[1])
            self._resting.discard(key)
            self._agenda.set(key, None)

    def tick(self, now: float, explained: Container[int]) -> None:
        """Let numbers be used again that have rested.

        Args:
            explained: switches that are ready and hold no rule without a record.
        """
        for dpid, number in list(self._agenda.due(now)):
            if dpid in explained:
                self._resting.discard((dpid, number))
                self._pools[dpid].rested.add(number)
            else:
                self._agenda.set((dpid, number), now + REST)

    def _rest(self, dpid: int, number: int, now: float) -> None:
        self._resting.add((dpid, number))
        self._agenda.set((dpid, number), now + REST)


def _serves_both(program: Installation) -> bool:
    return program.binding.gate_meter is not None and program.binding.gate_meter.both
