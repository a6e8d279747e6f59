"""One bridge, whole: events in, effects out.  The only wiring, and no decision of its own.

A frame goes: switch state -> station port (LLDP, ECP, VDP codecs and machines) -> VDP machine of
its VSI -> lifecycle -> changes for switches.  Confirmations go: lifecycle -> VDP machine -> station
port -> frame.  Knows no Ryu, no socket, no file and no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import Enum
from functools import partial

from ryu_apps.evb.bridge.icmp_translator import IcmpTranslator
from ryu_apps.evb.bridge.migrations import Migrations
from ryu_apps.evb.bridge.requests import Associations, Moving, SentAnswer
from ryu_apps.evb.bridge.requests import RequestOutput as AssociationOutput
from ryu_apps.evb.bridge.restore import restore
from ryu_apps.evb.bridge.snooper import Snooper
from ryu_apps.evb.bridge.snooper import SnooperOutput as SnooperOutput
from ryu_apps.evb.deadlines import DeadlineQueue
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.bridge import BackendChanged, FramesMissed, StoreFailed, StoreWorks
from ryu_apps.evb.event_catalogue.ports import PortDown, PortOverBudget, PortUp
from ryu_apps.evb.event_catalogue.switches import (
    LinksChanged,
    ReroutingFinished,
    RulesDrifted,
    RulesUnclaimed,
    SwitchChangedByOthers,
    SwitchConnected,
    SwitchDisconnected,
    SwitchReady,
    SwitchRefusedRules,
    SwitchUnwatched,
    TrunkDown,
    TrunkUp,
    UnclaimedRulesRemoved,
    UnknownSwitch,
)
from ryu_apps.evb.event_catalogue.vsis import VsiRestored
from ryu_apps.evb.events import (
    Apply,
    BackendJudged,
    Confirmed,
    Effect,
    Event,
    FetchType,
    FragmentsHandled,
    FrameReceived,
    FramesDropped,
    MetersRead,
    Missed,
    Mode,
    NotSaved,
    OperatorDeassociate,
    PoliciesLoaded,
    PortChanged,
    ReadMeters,
    ReadRules,
    Rejected,
    RulesRead,
    Save,
    Saved,
    SendFrame,
    StatisticsPopulated,
    StatisticsWanted,
    SwitchAltered,
    SwitchDown,
    SwitchUp,
    TimerExpired,
    TypeFetched,
)
from ryu_apps.evb.flow.plan import difference, rule_set
from ryu_apps.evb.flow.rule import Rule, RuleChange
from ryu_apps.evb.model import AN_HOUR, Retention
from ryu_apps.evb.pipeline.infrastructure import port_groups, routed, way_between
from ryu_apps.evb.pipeline.punting import punting, stations_punted
from ryu_apps.evb.pipeline.tables import CookieKind, Direction
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.ports.bridge_port import (
    AssociationReceived,
    BridgePort,
    DeassociateAcknowledged,
    Known,
    Relay,
    bridge_mac,
)
from ryu_apps.evb.ports.bridge_port import PortOutput as StationOutput
from ryu_apps.evb.protocol.evb import Agreed
from ryu_apps.evb.protocol.table import earliest
from ryu_apps.evb.record_kinds import (
    ATTACHMENT,
    BALANCER,
    DEPARTED,
    LINKS_DOWN,
    PROBE,
    RELAY,
    STATION,
    STATISTICS,
    VSI_TYPE,
    by_kind,
)
from ryu_apps.evb.snooping.settings import USUAL, Snooping
from ryu_apps.evb.switches.adjacency import INTERVAL as HELLO_INTERVAL
from ryu_apps.evb.switches.adjacency import Adjacencies
from ryu_apps.evb.switches.audit import INTERVAL as AUDIT_INTERVAL
from ryu_apps.evb.switches.audit import Audit
from ryu_apps.evb.switches.bringup import MAX_EARLY_FRAMES, Bringup, Readiness, SwitchState, owners
from ryu_apps.evb.switches.desired import DesiredRules
from ryu_apps.evb.switches.fragment_handling import FragmentHandling
from ryu_apps.evb.switches.recovery import Recovery
from ryu_apps.evb.switches.repairs import Repairs
from ryu_apps.evb.switches.rerouting import Rerouting
from ryu_apps.evb.topology.fabric import Fabric, Interface, PortId, Role
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.vsi.announcer import Announcer
from ryu_apps.evb.vsi.bodies import Epochs
from ryu_apps.evb.vsi.gatekeeper import Gatekeeper
from ryu_apps.evb.vsi.in_flight import InFlight
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.registry import Registry
from ryu_apps.evb.vsi.reservation import RuleBudget
from ryu_apps.evb.vsi.statistics.totals import CounterValue
from ryu_apps.evb.vsi.steps import Activated, LifecycleOutput, ResyncSwitch
from ryu_apps.evb.vsi_types.database import TypeDatabase
from ryu_apps.evb.vsi_types.managers import ALL_LOCAL, VsiManagers
from ryu_apps.evb.wire.membership import ETHERTYPE_VLAN

#: A bridge that does not know its past waits for the stations to claim what they still use: for the
#: longest keep-alive timeout and this many seconds.
_GRACE_MARGIN = 5.0
#: Seconds after which a store that refused is asked again.
_STORE_RETRY = 5.0
#: Seconds after which a switch that refused what it should hold is brought up once more.
_BRING_UP_RETRY = 5.0


#: Seconds of deafness after which VMs are asked anew what they listen to.
_ASK_AGAIN = 5.0

#: Where a frame says what it carries, and what it says there if it has a tag.
_ETHERTYPE, _TAGGED = slice(12, 14), ETHERTYPE_VLAN.to_bytes(2)

#: What is written to see whether the store works again; a page, for a full disk may take a small thing or a deletion.
_PROBE_RECORD = bytes(4096)


class Chore(Enum):
    """What the agenda holds besides ports; those about one switch go with its datapath id."""

    AUDIT = "compare a switch with what it should hold"
    STORE = "ask a store again that has refused"
    SWEEP = "sweep what nobody has claimed"
    BRING_UP = "bring a switch up once more"
    MEND = "compare a switch that somebody else has changed"
    COUNT = "ask for what has been counted"
    FORGET = "forget what was counted of VSIs that are gone"
    HELLO = "tell the neighbours of a switch that it is there"


class Engine:
    """The bridge side of EVB for a whole fabric.

    Attributes:
        fabric: as given.
        types: the VSI types of all managers.
        registry, ledger, migrations, counters, stations, pools, wiring, rewiring, neighbours, fragments, translator,
            recovery: read by those who show them; written only here.
        wanted: what each switch should hold.
        drifted: rules that audits have put right.
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
    ) -> None:
        """
        Args:
            fabric: switches and what is configured at their ports.
            policies: the VSI types of the local directory.
            records: what an earlier life of the bridge saved; None if that is not known.  Rules that no
                record explains are swept at once, or after a grace period if records are missing
                (:mod:`ryu_apps.evb.switches.recovery`).
            now: monotonic seconds; counts only with records.
            first_sequence: number of the first ECPDU of every port; best drawn at random.
            snooping: the multicast queriers.
            statistics_interval: seconds between readings of all counters.
            managers: where the VSI types of VSI managers are.
            forward_in_flight: seconds for which the switch that a VSI has left passes on what was under way to it.
            statistics_retention: how long what was counted of VSIs that are gone is remembered.
        """
        self.fabric = fabric
        self.registry = Registry()
        self.ledger = RuleBudget()
        self.migrations = Migrations()
        wiring = TrunkGraph(fabric)
        self._in_flight = InFlight(forward_in_flight, self.ledger, partial(way_between, wiring))
        gatekeeper = Gatekeeper(fabric, wiring, self._in_flight)
        self.pools = gatekeeper.pools
        self.epochs = Epochs()
        announcer = Announcer(fabric)
        self.lifecycle = Lifecycle(
            gatekeeper,
            self.ledger,
            self.epochs,
            announcer,
            lambda one: self.types.documents(one),
            statistics_retention,
        )
        self.types = TypeDatabase(policies, managers, self.registry, self.lifecycle.next_token)
        self.counters = self.lifecycle.counters
        self._statistics_interval, self._counting = statistics_interval, False
        self.stations = {port: self._station(port, first_sequence) for port in fabric.ports(Role.STATION)}
        self.wanted = DesiredRules(
            fabric, wiring, self.registry, gatekeeper, self.lifecycle, self._in_flight, self.stations
        )
        self.bringup = Bringup(self.wanted, self.lifecycle.next_token, self.lifecycle.installer.ended)
        self.wiring = wiring
        self.neighbours = Adjacencies(fabric)
        self.rewiring = Rerouting(
            fabric,
            wiring,
            lambda dpid: routed(dpid, wiring),
            gatekeeper.rewire,
            self.lifecycle.next_token,
            self.lifecycle.up,
        )
        self._agenda: DeadlineQueue[PortId | tuple[Chore, int]] = DeadlineQueue()
        self._grace = _GRACE_MARGIN + max(
            (station.evb.operational.keep_alive_timeout for station in self.stations.values()), default=0.0
        )
        self.associations = Associations(
            self.registry, self.lifecycle, self.stations, self.types, fabric, self.bringup.lives_elsewhere
        )
        self.snooper = Snooper(fabric, self.registry, self.lifecycle, snooping)
        self.fragments = FragmentHandling()
        self._repairs = Repairs()
        self._audit = Audit(self.wanted, self.lifecycle.next_token)
        self.drifted = 0
        self._listens_since: float | None = None
        self._store_failed = False
        self._probe: int | None = None
        self._effects: list[Effect] = []
        self.translator = IcmpTranslator(fabric, self.lifecycle.next_token)
        self._restore(records, now)
        self.epochs.prepare(policies.types.values())

    def _restore(self, records: Mapping[str, bytes] | None, now: float) -> None:
        def place(port: PortId) -> Interface | None:
            station = self.stations.get(port)
            return station.interface if station else None

        known = by_kind(records or {})
        for port, station in self.stations.items():
            station.relay = RELAY.key(port) in known[RELAY]
            if mac := known[STATION].get(STATION.key(port)):
                station.remember(int.from_bytes(mac))
        self._effects += self.counters.restore(known[STATISTICS], self.fabric.switches)
        self.rewiring.restore(known[LINKS_DOWN].get(LINKS_DOWN.key()))
        if gone := dict.fromkeys(self.pools.restore(known[BALANCER])):
            self._effects.append(Save(self.lifecycle.next_token(), gone))
        self._effects += self.types.restore(known[VSI_TYPE], now)
        told = list(restore(known[ATTACHMENT], self.registry, self.lifecycle, self.types, place, now))
        self._effects += told
        complete = all(isinstance(happened, VsiRestored) for happened in told)
        self.recovery = Recovery(self.fabric.switches, records, complete)
        self.lifecycle.installer.remember_ended(not self.recovery.over)
        self._associated(self.associations.resume(known[DEPARTED], now), now)

    @property
    def policies(self) -> PolicySet:
        """The VSI types of the local directory."""
        return self.types.local

    @property
    def deadline(self) -> float | None:
        """When to feed :class:`TimerExpired`, monotonic seconds; None: nothing is awaited."""
        return earliest(
            self._agenda.deadline, self.associations.deadline, self.snooper.deadline, self._in_flight.deadline
        )

    @property
    def expiry(self) -> float | None:
        """When the next VSI expires, or decision about one is overdue: before that, read what has arrived."""
        return self.associations.deadline

    def is_busy(self, port: PortId) -> bool:
        """Whether so much that a port has asked for waits for switches that its frames should wait, too."""
        return self.associations.backlog.is_busy(port)

    def feed(self, event: Event, now: float) -> list[Effect]:
        """Take one event, return what is to be done about it, in order."""
        match event:
            case FrameReceived():
                self._frame(event, now)
            case Confirmed(dpid, token):
                self._audit.settled(dpid, token)
                self._confirmed(dpid, token, now)
                self._compare_held(dpid, now)
            case Rejected(dpid, token, reason):
                self._audit.settled(dpid, token)
                self._rejected(dpid, token, reason, now)
                self._compare_held(dpid, now)
            case Saved(token):
                self._saved(token, None, now)
            case NotSaved(token, reason):
                self._saved(token, reason, now)
                self._agenda.set((Chore.STORE, 0), now + _STORE_RETRY)
            case RulesRead(dpid, token, rules):
                self._rules_read(dpid, token, rules, now)
            case FragmentsHandled(dpid):
                for told in self.fragments.handled(event, self.bringup.ready(dpid)):
                    self._note(told, now)
            case MetersRead(dpid, token, counts):
                self._outcomes(self.counters.read(dpid, token, counts, now), now)
            case SwitchUp():
                self._switch_up(event, now)
            case SwitchDown(dpid):
                self._switch_down(dpid, now)
            case SwitchAltered():
                self._switch_altered(event, now)
            case PortChanged(port, up):
                self._port_changed(port, up, now)
            case OperatorDeassociate(vsi):
                self._associated(self.associations.deassociate(vsi, "taken off by the operator", now), now)
            case StatisticsWanted(vsi):
                self._outcomes(self.counters.ask(vsi), now)
            case StatisticsPopulated(vsi, from_vm, to_vm):
                base = {Direction.FROM_VM: CounterValue(*from_vm), Direction.TO_VM: CounterValue(*to_vm)}
                self.counters.populate(self.registry.named(vsi), base)
            case BackendJudged():
                self._judge(event, now)
            case PoliciesLoaded(policies):
                self._note(self.types.load(policies), now)
                self.epochs.prepare(self.policies.types.values())
            case TypeFetched(token, offer):
                self._associated(self.associations.fetched(token, offer, now), now)
            case Missed(seconds):
                self._missed(seconds, now)
            case FramesDropped(port, frames):
                self._dropped(port, frames, now)
            case TimerExpired(unread):
                self._timers(now, unread)
        self._in_flight.sent(now)
        effects, self._effects = self._effects, []
        return effects

    def _saved(self, token: int, failure: str | None, now: float) -> None:
        self._told_of_store(token, failure, now)
        self.types.saved(token, failure, now)
        self.snooper.saved(token, now, stored=failure is None)
        self.associations.saved(token, failure)
        outcomes = self.counters.saved(token, failure)
        self._outcomes(self.lifecycle.saved(token, failure) if outcomes is None else outcomes, now)

    def _judge(self, event: BackendJudged, now: float) -> None:
        groups = self.pools.set_state(event.balancer, event.backend, event.up, event.weight)
        key, record = self.pools.record(event.balancer)
        self._effects.append(Save(self.lifecycle.next_token(), {key: record}))
        for dpid in sorted(self.lifecycle.up) if groups else ():
            self._apply(Apply(dpid, 0, RuleChange(groups=groups), Mode.BULK))
        member = self.pools.members[event.balancer][event.backend]
        weight, in_rotation = member.backend.weight, member.in_rotation
        self._note(BackendChanged(member.vsi, event.balancer, event.backend, member.up, weight, in_rotation), now)

    def _told_of_store(self, token: int, failure: str | None, now: float) -> None:
        if failure is not None:
            self._store_failed = True
            self._note(StoreFailed(failure), now)
        elif self._store_failed and token == self._probe:
            self._store_failed = False
            self._note(StoreWorks(), now)
            self._effects.append(Save(self.lifecycle.next_token(), {PROBE.key(): None}))

    def _try_store(self) -> None:
        """Write something, so that a store that works again is seen to although nothing else is to be written."""
        if self._store_failed:
            self._probe = self.lifecycle.next_token()
            self._effects.append(Save(self._probe, {PROBE.key(): _PROBE_RECORD}))

    # --- switches ---
    def _switch_up(self, event: SwitchUp, now: float) -> None:
        dpid = event.dpid
        switch = self.fabric.switches.get(dpid)
        if switch is None:
            self._note(UnknownSwitch(dpid), now)
            return
        self._switch_down(dpid, now)
        self._audit.reset(dpid)
        self._links(dpid, event.ports, now)
        budget = event.max_rules if switch.max_rules is None else switch.max_rules
        self.ledger.limit(dpid, budget, base=self.wanted.budgeted(dpid))
        self._outcomes(self.counters.returned(dpid, event.meters), now)
        if self.recovery.in_grace(dpid):
            self._go_on_relaying(dpid, event.relaying)
        self._effects.append(self.bringup.connected(dpid, event.ports, self.recovery.in_grace(dpid)))
        self.associations.restart_keep_alive(dpid, now)
        self._note(SwitchConnected(dpid), now)
        if not event.watched:
            self._note(SwitchUnwatched(dpid), now)

    def _go_on_relaying(self, dpid: int, ports: frozenset[int]) -> None:
        """Where no record says if reflective relay is on, it is as the switch has it, until the station says."""
        for port in (PortId(dpid, port_no) for port_no in sorted(ports)):
            if (station := self.stations.get(port)) and not station.relay:
                station.relay = True
                self._effects.append(Save(self.lifecycle.next_token(), {RELAY.key(port): b"on"}))

    def _links(self, dpid: int, ports: Mapping[int, bool], now: float) -> None:
        """Links between switches may be other ones than before."""
        changed = self.rewiring.heard(dpid, ports)
        for port in sorted(changed | {one for one in self.rewiring.down if one.dpid == dpid and one.port_no in ports}):
            self._note(TrunkDown(port) if port in self.rewiring.down else TrunkUp(port), now)
        if changed:
            self._effects.append(Save(self.lifecycle.next_token(), self.rewiring.record()))
            self._note(LinksChanged(dpid, tuple(sorted(self.rewiring.down))), now)
            self._reroute(now)

    def _reroute(self, now: float) -> None:
        for step in self.rewiring.advance():
            self._apply(step)
        if self.rewiring.finished():
            self._note(ReroutingFinished(), now)

    def _switch_down(self, dpid: int, now: float) -> None:
        self.lifecycle.up.discard(dpid)
        if self.bringup.gone(dpid) is None:
            return
        self.associations.away(dpid, now)
        self.recovery.cancel_grace(dpid)
        self._repairs.forget(dpid)
        self._note(SwitchDisconnected(dpid), now)
        self._outcomes(self.counters.away(dpid), now)
        for port, station in self.stations.items():
            if port.dpid == dpid:
                self._station_outputs(port, station.unheard(now), now)

    def _rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        if self.bringup.awaits(dpid, token):
            self._note(SwitchRefusedRules(dpid, reason), now)
            altered = self.bringup.switches[dpid].altered
            due = self._repairs.plan(dpid, now, certain=True) if altered else now + _BRING_UP_RETRY
            self._agenda.set((Chore.BRING_UP, dpid), due)
            return
        if self.rewiring.settled(token):
            self._compare(dpid, now)
            self._reroute(now)
            return
        if not self.counters.lost(token):
            self._outcomes(self.lifecycle.rejected(dpid, token, reason), now)

    def _bring_up_again(self, dpid: int, now: float) -> None:
        state = self.bringup.switches.get(dpid)
        if state is not None and state.readiness is Readiness.INSTALLING:
            if state.altered:
                self._repairs.begin(dpid, now)
            self._begin_bringup(dpid)

    def _compare(self, dpid: int, now: float) -> None:
        """Bring a switch up once more; what it is to be told meanwhile is part of the comparison."""
        if self.bringup.ready(dpid):
            self._suspend(dpid, now)
            self._compare_held(dpid, now)

    def _suspend(self, dpid: int, until: float) -> None:
        """A switch is not what it should be, and is told nothing step by step until it has been compared."""
        self.lifecycle.up.discard(dpid)
        self.bringup.hold(dpid, until)

    def _compare_held(self, dpid: int, now: float) -> None:
        """Only when nothing is under way: what was sent earlier may arrive later than what a comparison asks for."""
        if self.bringup.held(dpid, now) and not self._audit.busy(dpid):
            self._begin_bringup(dpid)

    def _begin_bringup(self, dpid: int) -> None:
        state = self.bringup.switches[dpid]
        self._effects.append(self.bringup.connected(dpid, state.ports, self.recovery.in_grace(dpid), state.early))

    def _switch_altered(self, event: SwitchAltered, now: float) -> None:
        """Somebody else deletes or alters what a switch holds; its stations may have spoken in vain."""
        dpid = event.dpid
        state = self.bringup.switches.get(dpid)
        if state is None:
            return
        self._outcomes(self.counters.returned(dpid, event.meters), now)
        if event.certain:
            self.associations.restart_keep_alive(dpid, now)
        if state.readiness is Readiness.INSTALLING:
            state.altered = True
        elif state.readiness is Readiness.READY:
            due = self._repairs.plan(dpid, now, event.certain)
            self._agenda.set((Chore.MEND, dpid), due)
            if due <= now:
                self._mend(dpid, now)
            elif event.certain:
                self._note(SwitchChangedByOthers(dpid), now)
                self._suspend(dpid, due)

    def _mend(self, dpid: int, now: float) -> None:
        """Bring back whatever somebody else has changed: rules, groups and meters."""
        self._agenda.set((Chore.MEND, dpid), None)
        self._repairs.begin(dpid, now)
        if self.bringup.ready(dpid):
            self._note(SwitchChangedByOthers(dpid), now)
            self._compare(dpid, now)
        else:
            self._compare_held(dpid, now)

    def _mended(self, state: SwitchState, now: float) -> None:
        """A switch that somebody else had changed is as it should be."""
        self._drifted(state.dpid, state.added, state.removed, now)
        self.associations.restart_keep_alive(state.dpid, now)
        for port, station in self.stations.items():
            if port.dpid == state.dpid and station.up:
                self._associated(self.associations.repeat_keep_alive_answers(port, now), now)

    def _rules_read(self, dpid: int, token: int, rules: tuple[Rule, ...], now: float) -> None:
        translated = self.translator.read(token, rules)
        if translated is not None:
            self._effects += translated
            return
        drift = self._audit.compare(dpid, token, rules)
        if drift is not None:
            self._repair(dpid, drift, now)
            return
        self._outcomes(self.lifecycle.read(token, rules), now)
        for index in (
            owners(rules, CookieKind.VSI_BODY) | owners(rules, CookieKind.GATE) | owners(rules, CookieKind.STATE)
        ):
            self.lifecycle.installer.indices.reserve(index)
        if self.recovery.in_grace(dpid):
            self._recognize_stations(dpid, rules)
        install = self.bringup.read(dpid, token, rules)
        if install is not None:
            self._apply(install)

    def _recognize_stations(self, dpid: int, rules: tuple[Rule, ...]) -> None:
        """What the bridge has forgotten its switch has not: which stations come first at their ports."""
        for port_no, mac in stations_punted(rules):
            station = self.stations.get(port := PortId(dpid, port_no))
            if station is not None and station.known is None:
                station.remember(mac)
                self._effects.append(Save(self.lifecycle.next_token(), {STATION.key(port): mac.to_bytes(6)}))

    def _repair(self, dpid: int, drift: RuleChange, now: float) -> None:
        if drift and self.bringup.ready(dpid):
            self._drifted(dpid, len(drift.add), len(drift.remove), now)
            self._apply(Apply(dpid, self.lifecycle.next_token(), drift, Mode.BULK))

    def _drifted(self, dpid: int, restored: int, removed: int, now: float) -> None:
        self.drifted += restored + removed
        self._note(RulesDrifted(dpid, restored, removed), now)

    def _begin_audit(self, dpid: int, now: float) -> None:
        if self.bringup.ready(dpid):
            question = None if self.bringup.switches[dpid].unclaimed else self._audit.ask(dpid)
            self._effects.extend([question] if question else [])
            self._agenda.set((Chore.AUDIT, dpid), now + AUDIT_INTERVAL)

    def _confirmed(self, dpid: int, token: int, now: float) -> None:
        if self.rewiring.settled(token):
            self._reroute(now)
            return
        match self.bringup.installed(dpid, token):
            case Apply() as more:
                self._apply(more)
            case SwitchState(altered=True):
                self._agenda.set((Chore.BRING_UP, dpid), self._repairs.plan(dpid, now, certain=True))
            case SwitchState() as state:
                self._switch_ready(state, now)
            case None:
                self._outcomes(self.lifecycle.confirmed(token), now)

    def _switch_ready(self, state: SwitchState, now: float) -> None:
        self.lifecycle.up.add(state.dpid)
        if self._listens_since is None:
            self._listens_since = now
        self._audit.reset(state.dpid)
        # One after the other: who compares thousands of rules does nothing else meanwhile.
        turn = self.wiring.numbers[state.dpid] / len(self.wiring.numbers)
        self._agenda.set((Chore.AUDIT, state.dpid), now + turn * AUDIT_INTERVAL)
        self._note(SwitchReady(state.dpid, len(state.written)), now)
        for port, station in self.stations.items():
            if port.dpid != state.dpid or station.up:
                continue
            if not state.ports.get(port.port_no):
                self._station_outputs(port, station.link(False, now), now)
            else:
                self._station_outputs(port, station.link(True, now), now)
                self._associated(self.associations.announce_moves(port, now), now)
                self._associated(self.associations.repeat_keep_alive_answers(port, now), now)
        if self._repairs.end(state.dpid, state.added + state.removed):
            self._mended(state, now)
        self._hello(state.dpid, now)
        self.snooper.heard_again(state.dpid, now)
        early, state.early = state.early, []
        for frame in early:
            self._frame(frame, now)
        if state.unclaimed:
            self._note(RulesUnclaimed(state.dpid, len(state.unclaimed)), now)
            self._agenda.set((Chore.SWEEP, state.dpid), self.recovery.begin_grace(state.dpid, now + self._grace))
        else:
            # A switch that holds nothing that no record explains has no past that a station could still claim.
            self._recovered(state.dpid)

    def _sweep_abandoned(self, dpid: int, now: float) -> None:
        """The stations of a switch have had their time; one that is just being brought up has it when it is ready."""
        if not self.bringup.ready(dpid):
            return
        if change := self.bringup.abandoned(dpid):
            self._note(UnclaimedRulesRemoved(dpid, len(change.remove)), now)
            self._apply(Apply(dpid, 0, change, Mode.BULK))
        self._recovered(dpid)

    def _recovered(self, dpid: int) -> None:
        """The past of a switch is known from now on: what it still held of released VSIs has gone."""
        self.associations.stale_rules.returned(dpid)
        if written := self.recovery.end_grace(dpid):
            self._effects.append(Save(self.lifecycle.next_token(), written))
        self.lifecycle.installer.remember_ended(not self.recovery.over)

    # --- stations ---
    def _station(self, port: PortId, first_sequence: int) -> BridgePort:
        interface = self.fabric.interface(port)
        assert interface is not None
        return BridgePort(port, interface, bridge_mac(port), first_sequence, partial(self._not_a_station, port))

    def _not_a_station(self, port: PortId, mac: int) -> str | None:
        """What has a MAC address with which nothing can become the station of a port; None: nothing."""
        if self.registry.is_vm(mac):
            return "the address of a VM"
        other = next((place for place, one in self.stations.items() if one.station == mac and place != port), None)
        return None if other is None else f"the station of port {other}"

    def _port_changed(self, port: PortId, up: bool, now: float) -> None:
        state = self.bringup.switches.get(port.dpid)
        if state is None or state.ports.get(port.port_no) == up:
            return
        state.ports[port.port_no] = up
        self._note(PortUp(port) if up else PortDown(port), now)
        self._links(port.dpid, {port.port_no: up}, now)
        station = self.stations.get(port)
        # A link that returns while the switch is brought up is told when it is ready.
        if station is not None and (state.readiness is Readiness.READY or (station.up and not up)):
            self._station_outputs(port, station.link(up, now), now)

    def _frame(self, event: FrameReceived, now: float) -> None:
        state = self.bringup.switches.get(event.port.dpid)
        station = self.stations.get(event.port)
        if state is None:
            return
        if state.readiness is not Readiness.READY:
            state.early.extend([event] if len(state.early) < MAX_EARLY_FRAMES else [])
        elif event.data[_ETHERTYPE] == _TAGGED and self.translator.wants(event.data):
            # By whatever port: a back end at another switch is heard by a trunk.
            self._effects += self.translator.frame(event.port, event.data)
        elif self.neighbours.is_trunk(event.port):
            self._heard(self.neighbours.frame(event.port, event.data, now), now)
        elif event.data[_ETHERTYPE] == _TAGGED:
            # Stations speak untagged; what comes from behind a gate has a tag.
            self._snooped(self.snooper.frame(event.port, event.data, now), now)
        elif station is not None:
            self._station_outputs(event.port, station.frame(event.data, now), now)

    def _heard(self, told: Iterable[LogEvent], now: float) -> None:
        """Ports towards other switches have heard something, or nothing any more."""
        for happened in told:
            self._note(happened, now)
        if self.rewiring.miswired != self.neighbours.miswired:
            self.rewiring.miswired = self.neighbours.miswired
            self._reroute(now)

    def _hello(self, dpid: int, now: float) -> None:
        if self.bringup.ready(dpid):
            self._effects += self.neighbours.hello(dpid)
            self._heard(self.neighbours.forget(now), now)
            self._agenda.set((Chore.HELLO, dpid), now + HELLO_INTERVAL)

    def _snooped(self, outputs: list[SnooperOutput], now: float) -> None:
        for output in outputs:
            if isinstance(output, SendFrame):
                self._effects.append(output)
            else:
                self._associated(self.associations.outcomes([output], now), now)

    def _station_outputs(self, port: PortId, outputs: list[StationOutput], now: float) -> None:
        for output in outputs:
            match output:
                case SendFrame():
                    self._effects.append(output)
                case LogEvent():
                    self._note(output, now)
                case AssociationReceived():
                    self._associated(self.associations.heard(port, output, now), now)
                case DeassociateAcknowledged(manager_id, association):
                    self._associated(self.associations.told(port, manager_id, association, now), now)
                case Relay(on):
                    self._relay(port, on)
                case Known():
                    self._known(port, output)
                case Agreed(operational):
                    self.associations.agreed(port, operational, now)
        self._agenda.set(port, self.stations[port].deadline)

    def _outcomes(self, outcomes: list[LifecycleOutput], now: float) -> None:
        self._associated(self.associations.outcomes(outcomes, now), now)

    def _associated(self, outputs: list[AssociationOutput], now: float) -> None:
        for output in outputs:
            match output:
                case Apply():
                    self._apply(output)
                case Save():
                    self.types.saving(output)
                    self._effects.append(output)
                case ReadRules() | ReadMeters() | FetchType() | SendFrame():
                    self._effects.append(output)
                case LogEvent():
                    self._note(output, now)
                case ResyncSwitch(dpid):
                    self._compare(dpid, now)
                case Activated(vsi):
                    self.snooper.activated(vsi, now)
                    self._in_flight.confirmed(vsi, now)
                case Moving(text, source, destination):
                    self.migrations.begin(text, source, destination)
                case SentAnswer(port, manager_id, tlv):
                    self._station_outputs(port, self.stations[port].answer(manager_id, tlv, now), now)
        if not self._counting and self.counters.wanted:
            self._counting = True
            self._agenda.set((Chore.COUNT, 0), now + self._statistics_interval)
        self._agenda.set((Chore.FORGET, 0), self.counters.accounts.deadline)

    def _relay(self, port: PortId, on: bool) -> None:
        self._effects.append(Save(self.lifecycle.next_token(), {RELAY.key(port): b"on" if on else None}))
        if port.dpid in self.lifecycle.up:
            groups = port_groups(self.stations[port].interface, on)
            self._apply(Apply(port.dpid, 0, RuleChange(groups=groups), Mode.BULK))

    def _known(self, port: PortId, known: Known) -> None:
        """From now on the switch lets this station through before everything else at its port, or none."""
        record = None if known.station is None else known.station.to_bytes(6)
        self._effects.append(Save(self.lifecycle.next_token(), {STATION.key(port): record}))
        if port.dpid in self.lifecycle.up:
            interface = self.stations[port].interface
            before, after = (rule_set(punting(interface, one)) for one in (known.before, known.station))
            self._apply(Apply(port.dpid, 0, difference(before, after), Mode.BULK))

    # --- time ---
    def _missed(self, seconds: float, now: float) -> None:
        """Deadlines for what others have to say run on time in which they could be heard."""
        self.associations.postpone(seconds)
        self.neighbours.postpone(seconds)
        for port, station in self.stations.items():
            station.postpone(seconds)
            self._agenda.set(port, station.deadline)
        for dpid in self.bringup.switches:
            if (until := self.recovery.postpone(dpid, seconds)) is not None:
                self._agenda.set((Chore.SWEEP, dpid), until)
            if self.bringup.ready(dpid) and seconds >= _ASK_AGAIN:
                self.snooper.heard_again(dpid, now)
        if self._listens_since is not None and now - seconds >= self._listens_since:
            self._note(FramesMissed(round(seconds, 3)), now)

    def _dropped(self, port: PortId, frames: int, now: float) -> None:
        if station := self.stations.get(port):
            station.counters["over_budget"] += frames
            self.associations.overheard(port, now)
        self._note(PortOverBudget(port, "over_budget", frames), now)

    def _timers(self, now: float, unread: frozenset[PortId]) -> None:
        for item in list(self._agenda.due(now)):
            if isinstance(item, PortId):
                self._station_outputs(item, self.stations[item].tick(now), now)
            else:
                self._do(*item, now)
        self._associated(self.associations.tick(now, unread), now)
        self._snooped(self.snooper.tick(now), now)
        self._in_flight.tick(now)

    def _do(self, chore: Chore, dpid: int, now: float) -> None:
        match chore:
            case Chore.AUDIT:
                self._begin_audit(dpid, now)
            case Chore.STORE:
                self._outcomes(self.lifecycle.delete_again(), now)
                self._associated(self.associations.save_again(), now)
                self._try_store()
            case Chore.SWEEP:
                self._sweep_abandoned(dpid, now)
            case Chore.BRING_UP:
                self._bring_up_again(dpid, now)
            case Chore.MEND:
                self._mend(dpid, now)
            case Chore.HELLO:
                self._hello(dpid, now)
            case Chore.COUNT:
                self._counting = False
                self._outcomes(self.counters.poll(now), now)
            case Chore.FORGET:
                self._outcomes(self.counters.expire(now), now)

    # --- small things ---
    def _apply(self, asked: Apply) -> None:
        asked = replace(asked, change=self.bringup.undisputed(asked.dpid, asked.change))
        self._audit.sent(asked)
        self._effects.append(asked)

    def _note(self, happened: LogEvent, now: float) -> None:
        self.migrations.observe(happened, now)
        self._effects.append(happened)
