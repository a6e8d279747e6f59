"""Bridge side of EVB for a whole fabric: events in, effects out.

The engine decides nothing: the table of events hands each event to the component that it belongs to, and the sink has
the effects, in order.
"""

from __future__ import annotations

from collections.abc import Mapping

from ryu_apps.evb.bridge.components import Components
from ryu_apps.evb.bridge.event_table import EventTable
from ryu_apps.evb.bridge.handlers import EventHandlers
from ryu_apps.evb.bridge.restart import Restart
from ryu_apps.evb.bridge.starting_engine import StartingEngine
from ryu_apps.evb.events.effect import Effect
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.switch import FrameReceived
from ryu_apps.evb.generation import Life
from ryu_apps.evb.model import AN_HOUR, Retention
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.record_kinds import ATTACHMENT, by_kind
from ryu_apps.evb.snooping.settings import USUAL, Snooping
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.bodies import CompiledTypes
from ryu_apps.evb.vsi_types.managers import ALL_LOCAL, VsiManagers

#: A life that no other one is compared with.
_ONLY = Life(1, True, {})


class Engine(Components):
    """The bridge side of EVB for a whole fabric.

    Its components are read by queries, and written only here.

    Attributes:
        snooper, fragments, translator, neighbours, foreign_frames, fencing: handlers of events, read by queries.
    """

    def __init__(
        self,
        fabric: Fabric,
        policies: PolicySet,
        records: Mapping[str, bytes] | None = None,
        now: float = 0.0,
        first_sequence: int = 1,
        snooping: Snooping = USUAL,
        statistics_interval: float = 1.0,
        managers: VsiManagers = ALL_LOCAL,
        forward_in_flight: int = 0,
        statistics_retention: Retention = AN_HOUR,
        life: Life = _ONLY,
        ready: CompiledTypes | None = None,
        alone: bool = True,
        follows: bool = False,
        secret: bytes = b"",
    ) -> None:
        """
        Args:
            fabric: switches and what is configured at their ports.
            policies: the VSI types of the local directory.
            records: as saved before the controller was restarted; None if that is not known.  Rules that no record
                explains are removed at once, or after a grace period if records are missing
                (:mod:`ryu_apps.evb.switches.recovery`).
            now: monotonic seconds; counts only with records.
            first_sequence: number of the first ECPDU of every port; best drawn at random.
            snooping: the multicast queriers.
            statistics_interval: seconds between readings of all counters.
            managers: where the VSI types of VSI managers are.
            forward_in_flight: seconds for which the switch that a VSI has left passes on what was under way to it.
            statistics_retention: how long the counts of VSIs that are gone are kept.
            life: generation under which it is MASTER of the switches, or that of the bridge whose standby it is.
            ready: VSI types that were compiled before.
            alone: there are no other pods.
            follows: another bridge serves the switches; :meth:`follow` and :meth:`lead` bring the attachments.
            secret: 16 random octets, of which the numbers of probes of appliances are made.
        """
        super().__init__(
            *(fabric, policies, records, first_sequence, managers, forward_in_flight, statistics_retention),
            *(ready, alone),
        )
        handlers = EventHandlers(self, snooping, statistics_interval, life, secret, alone)
        self.snooper, self.fragments, self.translator = handlers.snooper, handlers.fragments, handlers.translator
        self.neighbours, self.foreign_frames = handlers.links.neighbours, handlers.vsi_ports.foreign
        self.fencing, self._switches = handlers.fencing, handlers.switches
        self._express, self._timers = handlers.express, handlers.timers
        self._open_gates = self.lifecycle.open_gates
        self._hand = EventTable(self, handlers).hand
        self._restart = Restart(self)
        self._restart.foundations(records or {}, now)
        if not follows:
            self._restart.follow(by_kind(records or {})[ATTACHMENT], now)
            self._restart.dependents(records, now)
        # Not before: what is taken up again after a restart has not changed.
        self.steering.noticed = self.effects.put
        self._timers.plan_statistics(now)

    def follow(self, changes: Mapping[str, bytes | None], now: float = 0.0) -> None:
        """Take up records of attachments that have changed (None: gone), while another bridge serves the switches."""
        self._restart.follow(changes, now)
        self.effects.take()

    def lead(self, records: Mapping[str, bytes], life: Life, now: float) -> None:
        """Begin to serve the switches, from records whose foundations and attachments this engine has followed."""
        self._restart.begin(now)
        self._restart.dependents(records, now)
        self.fencing.begin(life)
        self._timers.plan_statistics(now)

    def succeed(self, starting: StartingEngine) -> None:
        """Go on from the engine that has served stations while policies were read; before a switch has connected."""
        self.fencing.go_on(starting.fencing)
        self._switches.receive(starting.frames)

    @property
    def not_restored(self) -> Mapping[str, str]:
        """Keys of records of VSIs that could not be used, and why."""
        return self._restart.restorer.left_out

    @property
    def policies(self) -> PolicySet:
        """The VSI types of the local directory."""
        return self.types.local

    @property
    def deadline(self) -> float | None:
        """Time at which to feed :class:`TimerExpired`, monotonic seconds; None: no timer runs."""
        return self._timers.deadline

    @property
    def has_more(self) -> bool:
        """True if a part of what the last event has caused was left to a :class:`TimerExpired` that is due at once."""
        return self.lifecycle.groups.deadline is not None

    @property
    def expiry(self) -> float | None:
        """Time at which a VSI expires or a decision is overdue; frames that have arrived have to be read before it."""
        return self.associations.deadline

    @property
    def is_settled(self) -> bool:
        """True if neither a switch nor the store nor a station owes an answer."""
        return not len(self.tokens) and not any(station.is_sending for station in self.stations.values())

    def is_busy(self, port: PortId) -> bool:
        """True if so many requests of a port wait for switches that its frames should wait, too."""
        return self.associations.backlog.is_busy(port)

    def ahead(self, event: FrameReceived, now: float) -> list[Effect]:
        """Return the changes that a frame is certain to lead to; they are to be sent before it is fed.

        :meth:`feed` has to follow at once, with the same event, and returns all that is left to be done about it.
        """
        self.effects.now = now
        return self.effects.take() if self._express.ahead(event, now) else []

    def feed(self, event: Event, now: float) -> list[Effect]:
        """Take one event, return what is to be done about it, in order; what :attr:`has_rest` says has to follow."""
        self.effects.now = now
        if self._open_gates.new:
            self._hand(None, now)
        self._express.foreseen.clear()
        self._hand(event, now)
        return self.effects.take()

    @property
    def has_rest(self) -> bool:
        """True if an Associate is answered by what :meth:`feed` has returned; :meth:`rest` has to follow at once."""
        return bool(self._open_gates.new)

    def rest(self, now: float) -> list[Effect]:
        """Return what else is to be done about the last event: no station waits for it."""
        self.effects.now = now
        self._hand(None, now)
        return self.effects.take()
