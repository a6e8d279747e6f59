"""Deadlines that have passed, and time in which nothing could be heard."""

from __future__ import annotations

from ryu_apps.evb.bridge.appliance_probes import ApplianceProbes
from ryu_apps.evb.bridge.chores import Agenda, Chore
from ryu_apps.evb.bridge.comparisons import Comparisons
from ryu_apps.evb.bridge.fencing import Fencing
from ryu_apps.evb.bridge.links import Links
from ryu_apps.evb.bridge.port_events import PortEvents
from ryu_apps.evb.bridge.requests import Associations
from ryu_apps.evb.bridge.snooper import Snooper
from ryu_apps.evb.bridge.store_events import StoreEvents
from ryu_apps.evb.bridge.switch_events import SwitchEvents
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.bridge import FramesMissed
from ryu_apps.evb.events.effect import Apply, Mode
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.protocol.table import earliest
from ryu_apps.evb.switches.bringup import Bringup
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.copies import Copies
from ryu_apps.evb.vsi.in_flight import InFlight
from ryu_apps.evb.vsi.lifecycle import Lifecycle

#: Seconds without hearing after which a switch may have dropped what it had for the controller: keep-alives are
#: answered, and VMs are asked again for their memberships.
_ASK_AGAIN = 5.0


class Timers:
    """The engine's agenda, and what is done when it is time."""

    def __init__(
        self,
        agenda: Agenda,
        switches: SwitchEvents,
        fencing: Fencing,
        comparisons: Comparisons,
        links: Links,
        ports: PortEvents,
        store: StoreEvents,
        requests: Associations,
        snooper: Snooper,
        lifecycle: Lifecycle,
        in_flight: InFlight,
        copies: Copies,
        bringup: Bringup,
        probes: ApplianceProbes,
        effects: EffectSink,
        statistics_interval: float,
    ) -> None:
        self._agenda = agenda
        self._switches = switches
        self._fencing = fencing
        self._comparisons = comparisons
        self._links = links
        self._ports = ports
        self._store = store
        self._requests = requests
        self._snooper = snooper
        self._lifecycle = lifecycle
        self._counters = lifecycle.counters
        self._in_flight = in_flight
        self._copies = copies
        self._idle_meters = lifecycle.installer.idle_meters
        self._bringup = bringup
        self._probes = probes
        self._effects = effects
        self._interval = statistics_interval
        self._counting = False
        self._forget_at: float | None = None

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`expired`, monotonic seconds; None: no timer runs."""
        lifecycle = self._lifecycle
        return earliest(
            self._agenda.deadline,
            self._requests.deadline,
            self._snooper.deadline,
            self._in_flight.deadline,
            self._copies.deadline,
            self._idle_meters.deadline,
            lifecycle.installer.gate_meters.deadline,
            lifecycle.groups.deadline,
            lifecycle.refresh.deadline,
            lifecycle.preparation.deadline,
            lifecycle.late.deadline,
            lifecycle.grants.deadline,
        )

    def expired(self, now: float, unread: frozenset[PortId]) -> None:
        """Serve the deadlines that have passed; ``unread``: ports of which frames wait to be read."""
        for item in list(self._agenda.due(now)):
            if isinstance(item, PortId):
                self._ports.tick(item, now)
            else:
                self._do(*item, now)
        self._lifecycle.groups.tick(now)
        self._lifecycle.refresh.tick(now)
        if (given_up := self._lifecycle.late.deadline) is not None and given_up <= now:
            self._lifecycle.answers.tick(now)
            self._lifecycle.open_gates.conclude(now)
            self._requests.proceed(now)
        self._requests.tick(now, unread)
        self._snooper.tick(now)
        self._in_flight.tick(now)
        self._copies.tick(now)
        self._delete_idle_meters(now)
        self._lifecycle.installer.gate_meters.tick(now, self._explained())
        self._lifecycle.preparation.tick(now)
        self._lifecycle.grants.tick(now)

    def _delete_idle_meters(self, now: float) -> None:
        """Delete rate limits that no cached flow uses any more; a switch that is away loses them when it is back."""
        for dpid, meter_id in self._idle_meters.due(now):
            if self._bringup.ready(dpid):
                self._effects.put(Apply(dpid, 0, RuleChange(delete_meters=(meter_id,)), Mode.BULK))

    def _explained(self) -> frozenset[int]:
        """Return the switches that are ready and hold no rule without a record."""
        switches = self._bringup.switches
        return frozenset(dpid for dpid, state in switches.items() if self._bringup.ready(dpid) and not state.unclaimed)

    def missed(self, seconds: float, now: float) -> None:
        """Extend deadlines for frames of stations and neighbours by a time in which none could be heard."""
        self._requests.keep_alives.postpone(seconds)
        self._links.neighbours.postpone(seconds)
        self._ports.postpone(seconds)
        self._probes.missed()
        self._switches.missed(seconds, now)
        for dpid in self._bringup.switches:
            if self._bringup.ready(dpid) and seconds >= _ASK_AGAIN:
                self._switches.heard_again(dpid, now)
                self._snooper.heard_again(dpid, now)
        if self._switches.listened(now - seconds):
            self._effects.put(FramesMissed(round(seconds, 3)))

    def plan_statistics(self, now: float) -> None:
        """Set the times of the next reading of counters, and of the next account that expires."""
        if not self._counting and self._counters.wanted:
            self._counting = True
            self._agenda.set((Chore.COUNT, 0), now + self._interval)
        # After each event, so only a new time is worth a call.
        if (forget_at := self._counters.accounts.deadline) != self._forget_at:
            self._forget_at = forget_at
            self._agenda.set((Chore.FORGET, 0), forget_at)

    def _do(self, chore: Chore, dpid: int, now: float) -> None:
        match chore:
            case Chore.AUDIT:
                self._comparisons.begin_audit(dpid, now)
            case Chore.COMPARE:
                self._comparisons.go_on(dpid, now)
            case Chore.STORE:
                self._store.try_again(now)
            case Chore.SWEEP:
                self._switches.sweep_unclaimed(dpid, now)
            case Chore.BRING_UP:
                self._switches.bring_up_again(dpid, now)
            case Chore.REPAIR:
                self._comparisons.repair(dpid, now)
            case Chore.ROLE:
                self._fencing.tick(dpid, now)
            case Chore.HELLO:
                self._links.hello(dpid, now)
            case Chore.PROBE:
                self._probes.tick(dpid, now)
            case Chore.COUNT:
                self._counting = False
                self._counters.poll(now)
                self.plan_statistics(now)
            case Chore.FORGET:
                self._forget_at = None
                self._counters.expire(now)
