"""Events of switches: they connect, are brought up, become ready, disconnect.

A switch that may hold rules which no record explains keeps them for a grace time, in which stations associate again
what they still use.
"""

from __future__ import annotations

from collections.abc import Mapping

from ryu_apps.evb.bridge.chores import Agenda, Chore
from ryu_apps.evb.bridge.comparisons import Comparisons
from ryu_apps.evb.bridge.links import Links
from ryu_apps.evb.bridge.port_events import PortEvents
from ryu_apps.evb.bridge.requests import Associations
from ryu_apps.evb.bridge.snooper import Snooper
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.switches import (
    GatesUnproven,
    RulesUnclaimed,
    SwitchConnected,
    SwitchDisconnected,
    SwitchReady,
    SwitchRefusedRules,
    SwitchUnsuitable,
    SwitchUnwatched,
    UnclaimedRulesRemoved,
    UnknownSwitch,
)
from ryu_apps.evb.events.effect import Apply, Hasten, Mode, Save
from ryu_apps.evb.events.switch import FrameReceived, SwitchAltered, SwitchUp
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.flow.shown import ShownRules
from ryu_apps.evb.pipeline.metered_gate import gate_number
from ryu_apps.evb.pipeline.punting import stations_punted
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.ports.bridge_port import BridgePort
from ryu_apps.evb.record_kinds import RELAY, STATION
from ryu_apps.evb.switches.audit import INTERVAL
from ryu_apps.evb.switches.bringup import Bringup, Readiness, SwitchState
from ryu_apps.evb.switches.desired import DesiredRules
from ryu_apps.evb.switches.recovery import Recovery
from ryu_apps.evb.switches.shown_gates import owners
from ryu_apps.evb.tokens import TokenOwner, TokenTable
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.reservation import Reservations, budgets
from ryu_apps.evb.vsi.unclaimed_floods import UnclaimedFloods

#: A bridge that has lost its records waits for the stations to claim what they still use: for the longest keep-alive
#: timeout and this many seconds.
_GRACE_MARGIN = 5.0
#: Seconds after which a switch that has refused what it should hold is brought up once more.
_BRING_UP_RETRY = 5.0
#: Kinds of rules that bear the index of a program.
_OF_PROGRAMS = (CookieKind.VSI_BODY, CookieKind.GATE, CookieKind.STATE)


class SwitchEvents(TokenOwner):
    """Switches of a fabric, from connected to ready and back."""

    def __init__(
        self,
        fabric: Fabric,
        stations: Mapping[PortId, BridgePort],
        lifecycle: Lifecycle,
        ledger: Reservations,
        wanted: DesiredRules,
        bringup: Bringup,
        recovery: Recovery,
        comparisons: Comparisons,
        links: Links,
        ports: PortEvents,
        requests: Associations,
        snooper: Snooper,
        floods: UnclaimedFloods,
        tokens: TokenTable,
        effects: EffectSink,
        agenda: Agenda,
    ) -> None:
        self._fabric = fabric
        self._stations = stations
        self._lifecycle = lifecycle
        self._ledger = ledger
        self._wanted = wanted
        self._bringup = bringup
        self._recovery = recovery
        self._comparisons = comparisons
        self._links = links
        self._ports = ports
        self._requests = requests
        self._snooper = snooper
        self._floods = floods
        self._tokens = tokens
        self._effects = effects
        self._agenda = agenda
        dpids = sorted(fabric.switches)
        self._turns = {dpid: number / len(dpids) for number, dpid in enumerate(dpids, start=1)}
        self._grace = _GRACE_MARGIN + max(
            (station.evb.operational.keep_alive_timeout for station in stations.values()), default=0.0
        )
        self._listens_since: float | None = None
        self._kept: set[int] = set()
        self._received: dict[int, list[FrameReceived]] = {}
        bringup.owner = self

    # --- events ---
    def channel(self, dpid: int, kept: bool) -> None:
        """Note whether the channel of a switch was there before this engine."""
        (self._kept.add if kept else self._kept.discard)(dpid)

    def receive(self, frames: Mapping[int, list[FrameReceived]]) -> None:
        """Take over what another engine of this life has received and not answered, before switches connect."""
        self._received = dict(frames)

    def up(self, event: SwitchUp, now: float) -> None:
        """Begin to bring a switch up that has connected."""
        dpid = event.dpid
        switch = self._fabric.switches.get(dpid)
        if switch is None:
            self._effects.put(UnknownSwitch(dpid))
            return
        received = self._received.pop(dpid, None)
        self.down(dpid, now)
        if not switch.extended and (reason := self._wanted.unsuitable(dpid, event.features)):
            self._effects.put(SwitchUnsuitable(dpid, reason))
            return
        self._lifecycle.installer.gate_meters.prove(dpid, event.unproven is None)
        if event.unproven is not None:
            self._effects.put(GatesUnproven(dpid, event.unproven))
        self._comparisons.audit.reset(dpid)
        ports = self._ports.states(event)
        self._links.changed(dpid, ports)
        self._ports.vsi_ports.connected(dpid, event.names, now)
        self._ledger.limit(dpid, budgets(event.capacity, switch.max_rules), self._wanted.budgeted(dpid))
        self._ledger.bandwidth.measure(dpid, event.capacity.speeds)
        self._lifecycle.counters.returned(dpid, event.meters)
        if self._recovery.in_grace(dpid):
            self._go_on_relaying(dpid, event.relaying)
        self._effects.put(self._bringup.connected(dpid, ports, self._recovery.patience(dpid), received))
        self._requests.keep_alives.restart_keep_alive(dpid, now)
        if self._lifecycle.late.connected(dpid):
            self._effects.put(Hasten(dpid))
        # It has not restarted since it was another bridge's, which had the same records.
        self._bringup.switches[dpid].taken_over = taken_over = dpid in self._kept and self._recovery.over
        if taken_over or received is not None:
            self._ports.begin_early(dpid, ports, now)
        self._kept.discard(dpid)
        self._effects.put(SwitchConnected(dpid))
        if not event.watched and switch.extended:
            self._effects.put(SwitchUnwatched(dpid))

    def down(self, dpid: int, now: float, channel: bool = True) -> None:
        """Note that the channel of a switch is gone, or its mastership; it goes on forwarding.

        Args:
            channel: the channel is gone, which is logged here; False: the mastership alone.
        """
        self._received.pop(dpid, None)
        self._lifecycle.up.discard(dpid)
        self._lifecycle.installer.gate_meters.away(dpid)
        if self._bringup.gone(dpid) is None:
            return
        self._requests.keep_alives.away(dpid, now)
        self._lifecycle.late.away(dpid, now)
        self._recovery.cancel_grace(dpid)
        self._comparisons.repairs.forget(dpid)
        if channel:
            self._effects.put(SwitchDisconnected(dpid))
        self._lifecycle.counters.away(dpid)
        self._lifecycle.answers.compared(dpid)
        self._requests.proceed(now)
        self._ports.away(dpid, now)

    def altered(self, event: SwitchAltered, now: float) -> None:
        """Process a change by something else than this bridge."""
        if event.dpid in self._bringup.switches:
            self._lifecycle.counters.returned(event.dpid, event.meters)
            self._comparisons.altered(event, now)

    def missed(self, seconds: float, now: float) -> None:
        """Extend grace times by a time in which no station could be heard."""
        self._lifecycle.late.postpone(seconds)
        for dpid in self._bringup.switches:
            if (until := self._recovery.postpone(dpid, seconds)) is not None:
                self._agenda.set((Chore.SWEEP, dpid), until)

    def listened(self, since: float) -> bool:
        """True if switches could be heard at a time in the past."""
        return self._listens_since is not None and since >= self._listens_since

    # --- answers of switches that are brought up ---
    def switch_read(self, dpid: int, token: int, shown: ShownRules, now: float) -> None:
        """Write the difference between what a switch holds and what it should."""
        for index in owners(shown.cookies(), _OF_PROGRAMS):
            self._lifecycle.installer.indices.reserve(index)
        if self._recovery.in_grace(dpid):
            rules = tuple(shown.left())
            self._recognize_stations(dpid, rules)
            self._floods.read(dpid, rules)
        self._lifecycle.interrupted.shown(dpid, shown.cookies())
        install = self._bringup.read(dpid, token, shown)
        if install is not None:
            self._effects.put(install)

    def confirmed(self, dpid: int, token: int, now: float) -> None:
        """Write what has changed meanwhile, or note that the switch is ready."""
        match self._bringup.installed(dpid, token):
            case Apply() as more:
                self._effects.put(more)
            case SwitchState(altered=True):
                self._agenda.set((Chore.BRING_UP, dpid), self._comparisons.repairs.plan(dpid, now, certain=True))
            case SwitchState() as state:
                self._ready(state, now)

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        """Bring a switch up once more that has refused what it should hold."""
        if self._bringup.awaits(dpid, token):
            self._effects.put(SwitchRefusedRules(dpid, reason))
            altered = self._bringup.switches[dpid].altered
            again = self._comparisons.repairs.plan(dpid, now, certain=True) if altered else now + _BRING_UP_RETRY
            self._agenda.set((Chore.BRING_UP, dpid), again)

    def bring_up_again(self, dpid: int, now: float) -> None:
        """Read a switch once more that has refused a change, or was altered meanwhile."""
        state = self._bringup.switches.get(dpid)
        if state is not None and state.readiness is Readiness.INSTALLING:
            if state.altered:
                self._comparisons.repairs.begin(dpid, now)
            self._comparisons.begin(dpid)

    def _ready(self, state: SwitchState, now: float) -> None:
        dpid = state.dpid
        self._lifecycle.answers.switch_ready(dpid)
        numbers = (gate_number(meter.meter_id) for meter in state.meters or ())
        self._lifecycle.installer.gate_meters.shown(dpid, (number for number in numbers if number is not None), now)
        if self._listens_since is None:
            self._listens_since = now
        self._comparisons.audit.reset(dpid)
        # One after the other: a comparison of thousands of rules keeps everything else waiting.
        self._agenda.set((Chore.AUDIT, dpid), now + self._turns[dpid] * INTERVAL)
        self._effects.put(SwitchReady(dpid, self._bringup.forget(dpid)))
        self._ports.bring_up(dpid, state.ports, now)
        # Behind the links of its stations, which may be answered now.
        self._lifecycle.answers.go_on(dpid)
        self._lifecycle.open_gates.conclude(now)
        self._requests.proceed(now)
        if self._comparisons.end_repair(state):
            self.heard_again(dpid, now)
        self._links.hello(dpid, now)
        self._snooper.heard_again(dpid, now)
        self._lifecycle.refresh.ready(dpid, now)
        early, state.early = state.early, []
        for frame in early:
            self._ports.frame(frame, now)
        if state.unclaimed:
            self._effects.put(RulesUnclaimed(dpid, len(state.unclaimed)))
        if state.unclaimed and self._recovery.in_grace(dpid):
            self._agenda.set((Chore.SWEEP, dpid), self._recovery.begin_grace(dpid, now + self._grace))
        else:
            # All that the switch holds is explained by records, so it has no past that a station could still claim.
            self._recovered(dpid)

    def heard_again(self, dpid: int, now: float) -> None:
        """Answer keep-alives that stations have sent while a ready switch could not pass them on."""
        self._requests.keep_alives.restart_keep_alive(dpid, now)
        for port, station in self._stations.items():
            if port.dpid == dpid and station.up:
                self._requests.keep_alives.repeat_keep_alive_answers(port, now)

    # --- switches with a past that no record explains ---
    def _go_on_relaying(self, dpid: int, ports: frozenset[int]) -> None:
        """Keep reflective relay as the switch has it, since no record says it, until the station says it."""
        for port in (PortId(dpid, port_no) for port_no in sorted(ports)):
            if (station := self._stations.get(port)) and not station.relay and station.go_on_relaying():
                self._effects.put(Save(self._tokens.take(), {RELAY.key(port): b"on"}))

    def _recognize_stations(self, dpid: int, rules: tuple[Rule, ...]) -> None:
        """Restore the known stations of a switch from its rules, since their records are lost."""
        for port_no, mac in stations_punted(rules):
            station = self._stations.get(port := PortId(dpid, port_no))
            if station is not None and station.known is None:
                station.remember(mac)
                self._effects.put(Save(self._tokens.take(), {STATION.key(port): mac.to_bytes(6)}))

    def sweep_unclaimed(self, dpid: int, now: float) -> None:
        """Remove what no station has claimed in the grace time; a switch that is not ready is given more time."""
        if self._bringup.ready(dpid):
            # First: no copy leads into the body of a VSI whose gate is gone.
            self._floods.drop(dpid)
            self._abandon(dpid, self._recovery.is_last(dpid))
            self._recovered(dpid)

    def _abandon(self, dpid: int, last: bool) -> None:
        if change := self._bringup.abandoned(dpid, last):
            self._effects.put(UnclaimedRulesRemoved(dpid, len(change.remove)))
            self._effects.put(Apply(dpid, 0, change, Mode.BULK))
        if left := self._bringup.switches[dpid].unclaimed:
            self._effects.put(RulesUnclaimed(dpid, len(left)))

    def _recovered(self, dpid: int) -> None:
        """End the grace time of a switch: rules of released VSIs that it still held are gone."""
        self._requests.stale_rules.returned(dpid)
        if written := self._recovery.end_grace(dpid):
            self._effects.put(Save(self._tokens.take(), written))
        self._lifecycle.installer.shared.claimed(dpid)
        if self._recovery.over:
            for other in filter(self._bringup.ready, self._bringup.switches):
                self._abandon(other, last=True)
        self._lifecycle.installer.remember_ended(not self._recovery.over)
