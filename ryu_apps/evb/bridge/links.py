"""Links between switches: their states, their cabling, and the routes over them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from ryu_apps.evb.bridge.chores import Agenda, Chore
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.switches import LinksChanged, TrunkDown, TrunkUp
from ryu_apps.evb.events.effect import Save
from ryu_apps.evb.switches.adjacency import INTERVAL, Adjacencies
from ryu_apps.evb.switches.rerouting import Rerouting
from ryu_apps.evb.tokens import TokenTable
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId


class Links:
    """Links of a fabric.

    Attributes:
        neighbours: ports at the other ends, as far as LLDP shows.
    """

    def __init__(
        self,
        fabric: Fabric,
        rerouting: Rerouting,
        ready: Callable[[int], bool],
        tokens: TokenTable,
        effects: EffectSink,
        agenda: Agenda,
    ) -> None:
        """
        Args:
            ready: True for a switch that holds what it should.
        """
        self.neighbours = Adjacencies(fabric)
        self._rerouting = rerouting
        self._ready = ready
        self._tokens = tokens
        self._effects = effects
        self._agenda = agenda

    def changed(self, dpid: int, ports: Mapping[int, bool]) -> None:
        """Process the states of some ports of a switch; True: the link is up."""
        down = self._rerouting.down
        changed = self._rerouting.heard(dpid, ports)
        still_down = {port for port in down if port.dpid == dpid and port.port_no in ports}
        for port in sorted(changed | still_down):
            self._effects.put(TrunkDown(port) if port in down else TrunkUp(port))
        if changed:
            self._effects.put(Save(self._tokens.take(), self._rerouting.record()))
            self._effects.put(LinksChanged(dpid, tuple(sorted(down))))
            self._rerouting.advance()

    def frame(self, port: PortId, data: bytes, now: float) -> None:
        """Process a frame from a port towards another switch."""
        self._heard(self.neighbours.frame(port, data, now))

    def hello(self, dpid: int, now: float) -> None:
        """Send LLDPDUs to the neighbours of a switch, and forget those of ports that have sent none."""
        if self._ready(dpid):
            for frame in self.neighbours.hello(dpid):
                self._effects.put(frame)
            self._heard(self.neighbours.forget(now))
            self._agenda.set((Chore.HELLO, dpid), now + INTERVAL)

    def _heard(self, events: Iterable[LogEvent]) -> None:
        for event in events:
            self._effects.put(event)
        if self._rerouting.miswired != self.neighbours.miswired:
            self._rerouting.miswired = self.neighbours.miswired
            self._rerouting.advance()
