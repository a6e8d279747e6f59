"""Bridge side of EVB for a whole fabric: events in, effects out.

The engine builds the components and hands each event to the one that it belongs to; it decides nothing.  Components put
effects into one sink, in order, and find the owner of an answer in one table of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial

from ryu_apps.evb.bridge.appliance_probes import ApplianceProbes
from ryu_apps.evb.bridge.balancer_events import BalancerEvents
from ryu_apps.evb.bridge.bond_links import BondLinks
from ryu_apps.evb.bridge.chores import Agenda
from ryu_apps.evb.bridge.comparisons import Comparisons
from ryu_apps.evb.bridge.express import Express
from ryu_apps.evb.bridge.fencing import Fencing
from ryu_apps.evb.bridge.icmp_translator import IcmpTranslator
from ryu_apps.evb.bridge.links import Links
from ryu_apps.evb.bridge.migrations import Migrations
from ryu_apps.evb.bridge.other_pods import OtherPods
from ryu_apps.evb.bridge.port_events import PortEvents
from ryu_apps.evb.bridge.repetitions import Repetitions
from ryu_apps.evb.bridge.requests import Associations
from ryu_apps.evb.bridge.restore import Restorer
from ryu_apps.evb.bridge.snooper import Snooper
from ryu_apps.evb.bridge.starting_engine import StartingEngine
from ryu_apps.evb.bridge.state_imports import StateImports
from ryu_apps.evb.bridge.store_events import StoreEvents
from ryu_apps.evb.bridge.switch_events import SwitchEvents
from ryu_apps.evb.bridge.timers import Timers
from ryu_apps.evb.bridge.vsi_port_events import VsiPortEvents
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.vsis import VsiGone
from ryu_apps.evb.events.effect import Apply, Effect, Save
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.events.other import (
    BackendJudged,
    HandOver,
    Missed,
    NotSaved,
    OperatorDeassociate,
    PoliciesLoaded,
    Saved,
    StateFetched,
    StateGiven,
    StateWanted,
    StatisticsPopulated,
    StatisticsWanted,
    TimerExpired,
    TypeFetched,
    VsiCleared,
)
from ryu_apps.evb.events.switch import (
    ChannelUp,
    Confirmed,
    FragmentsHandled,
    FrameReceived,
    FramesDropped,
    MetersRead,
    PortChanged,
    Rejected,
    RoleLost,
    RoleRefused,
    RoleShown,
    RulesRead,
    SwitchAltered,
    SwitchDown,
    SwitchRead,
    SwitchUp,
)
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.generation import Life
from ryu_apps.evb.model import AN_HOUR, Retention
from ryu_apps.evb.pipeline.bonds import controller_group
from ryu_apps.evb.pipeline.tables import Direction
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.ports.bridge_port import BridgePort, bridge_mac
from ryu_apps.evb.protocol.table import earliest
from ryu_apps.evb.record_kinds import (
    ATTACHMENT,
    BALANCER,
    DEPARTED,
    INSTANCE_DOWN,
    LINKS_DOWN,
    OPENING,
    RELAY,
    SILENT,
    STATION,
    STATISTICS,
    SUMS,
    VSI_TYPE,
    by_kind,
)
from ryu_apps.evb.services.appliance.claims import unfit
from ryu_apps.evb.snooping.settings import USUAL, Snooping
from ryu_apps.evb.switches.bringup import Bringup
from ryu_apps.evb.switches.desired import DesiredRules
from ryu_apps.evb.switches.fragment_handling import FragmentHandling
from ryu_apps.evb.switches.recovery import Recovery
from ryu_apps.evb.switches.rerouting import Rerouting
from ryu_apps.evb.tokens import TokenTable
from ryu_apps.evb.topology.fabric import Fabric, PortId, Role
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.topology.vswitches import VswitchIndex
from ryu_apps.evb.vsi.announcer import Announcer
from ryu_apps.evb.vsi.bandwidth import BandwidthReservations
from ryu_apps.evb.vsi.bodies import CompiledTypes, Epochs
from ryu_apps.evb.vsi.copies import Copies
from ryu_apps.evb.vsi.gatekeeper import Gatekeeper
from ryu_apps.evb.vsi.in_flight import InFlight
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.places import Place
from ryu_apps.evb.vsi.registry import Attachment, Registry
from ryu_apps.evb.vsi.reservation import Reservations
from ryu_apps.evb.vsi.set_members import SetMembers
from ryu_apps.evb.vsi.statistics.totals import CounterValue
from ryu_apps.evb.vsi.steering import detour_of
from ryu_apps.evb.vsi.steps import GateSwitch
from ryu_apps.evb.vsi.unclaimed_floods import UnclaimedFloods
from ryu_apps.evb.vsi.vsi_port_table import VsiPortTable
from ryu_apps.evb.vsi_types.database import TypeDatabase
from ryu_apps.evb.vsi_types.managers import ALL_LOCAL, VsiManagers

#: Kinds of records on which the restoration of attachments depends.
FOUNDATIONS = (LINKS_DOWN, BALANCER, SILENT, INSTANCE_DOWN, VSI_TYPE)
_UNASKED = "sent ahead of a request that has not led to it"
#: A life that no other one is compared with.
_ONLY = Life(1, True, {})


class Engine:
    """The bridge side of EVB for a whole fabric.

    Attributes:
        fabric: as given.
        types: the VSI types of all managers.
        registry, ledger, migrations, counters, stations, pools, wiring, rewiring, neighbours, fragments, translator,
            recovery, fencing, pods, imports, associations, bringup, snooper, lifecycle, comparisons, vsi_ports,
            foreign_frames: read by queries; written only here.
        wanted: desired state of each switch.
        epochs: compiled VSI types.
        restorer: of attachments from their records.
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
        tokens = self._tokens = TokenTable()
        effects = self._effects = EffectSink(self._passing)
        self._agenda: Agenda = Agenda()
        self._answered_by: int | None = None
        self.fabric, self._alone = fabric, alone
        self.registry, self.migrations, self.epochs = Registry(), Migrations(), Epochs(ready)
        self.wiring = TrunkGraph(fabric)
        self.ledger = Reservations(BandwidthReservations(fabric, self.wiring))
        self._in_flight = InFlight(forward_in_flight, self.ledger, partial(detour_of, fabric, self.wiring))
        self.set_members = SetMembers(self.ledger, fabric.switches)
        self.vsi_ports = VsiPortTable(fabric)
        self._copies = Copies(fabric, self.wiring, self.ledger, self._in_flight)
        gatekeeper = Gatekeeper(fabric, self.wiring, self._in_flight, self._copies, self.set_members, self.vsi_ports)
        self.pools, self.steering = gatekeeper.pools, gatekeeper.steering
        self.lifecycle = Lifecycle(
            tokens,
            effects,
            gatekeeper,
            self.ledger,
            self.epochs,
            Announcer(fabric),
            lambda attachment: self.types.documents(attachment),
            statistics_retention,
        )
        up, self.counters = self.lifecycle.up, self.lifecycle.counters
        self.vswitches = VswitchIndex(fabric.vswitches)
        if fabric.vswitches:
            self.counters.group_of = self._vswitch_of
        pending, ended = self.lifecycle.pending, self.lifecycle.installer.ended
        self._floods = UnclaimedFloods(gatekeeper, self.registry, pending, ended)
        self.types = TypeDatabase(policies, managers, self.registry, tokens, effects)
        self.stations = {port: self._station(port, first_sequence) for port in fabric.ports(Role.STATION)}
        self.wanted = DesiredRules(
            *(fabric, self.wiring, self.registry, gatekeeper, self.lifecycle),
            self._in_flight,
            self._copies,
            self.stations,
        )
        self.bringup = Bringup(self.wanted, tokens, self.lifecycle.installer.ended)
        self.rewiring = Rerouting(fabric, self.wiring, self.wanted.routed, self._rewire, tokens, effects, up)
        self.associations = Associations(
            self.registry,
            self.lifecycle,
            self.stations,
            self.types,
            fabric,
            self.migrations,
            tokens,
            effects,
            self.bringup.lives_elsewhere,
            lambda port, manager_id, tlv, now: self._ports.answer(port, manager_id, tlv, now),
        )
        self.restorer = self._restorer()
        self.imports = StateImports(self.registry, self.lifecycle)
        self.pods = OtherPods(self.registry, self.lifecycle, self.associations, tokens, effects, alone)
        self.recovery = Recovery(fabric.switches, records, complete=True)
        self._begin_restoration(records or {}, now)
        if not follows:
            for event in self.restorer.follow(by_kind(records or {})[ATTACHMENT], now):
                self._effects.put(event)
            self._end_restoration(records, now)
        self._probes = ApplianceProbes(
            fabric, self.steering, up, self.bringup.ready, secret, tokens, effects, self._agenda
        )
        self._build_handlers(snooping, statistics_interval, life)
        self._timers.plan_statistics(now)
        self._followers = self._in_flight, self.lifecycle.installer.idle_meters, self.lifecycle.refresh

    def _build_handlers(self, snooping: Snooping, statistics_interval: float, life: Life) -> None:
        """Build the components that events are handed to, and name the owners of answers that have none."""
        fabric, up = self.fabric, self.lifecycle.up
        tokens, effects, agenda = self._tokens, self._effects, self._agenda
        self.comparisons = Comparisons(
            self.wanted, self.bringup, self.recovery, self.associations, up, tokens, effects, agenda
        )
        self.snooper = Snooper(fabric, self.registry, self.lifecycle, snooping, effects)
        self.fragments = FragmentHandling()
        self.translator = IcmpTranslator(fabric, tokens, effects, self.comparisons.refused)
        self._links = Links(fabric, self.rewiring, self.bringup.ready, tokens, effects, agenda)
        self.neighbours = self._links.neighbours
        vsi_ports = VsiPortEvents(fabric, self.vsi_ports, self.registry, self.lifecycle, self.associations, effects)
        self.foreign_frames = vsi_ports.foreign
        self._ports = PortEvents(
            self.stations,
            self.bringup,
            self._links,
            self.associations,
            self.snooper,
            self.translator,
            up,
            Repetitions(self.registry),
            BondLinks(fabric),
            vsi_ports,
            self.steering,
            self._probes,
            tokens,
            effects,
            agenda,
        )
        self._switches = SwitchEvents(
            fabric,
            self.stations,
            self.lifecycle,
            self.ledger,
            self.wanted,
            self.bringup,
            self.recovery,
            self.comparisons,
            self._links,
            self._ports,
            self.associations,
            self.snooper,
            self._floods,
            tokens,
            effects,
            agenda,
        )
        proving = self.lifecycle.installer.gate_meters.to_prove
        self.fencing = Fencing(life, partial(self._switches.down, channel=False), tokens, effects, agenda, proving)
        self._balancers = BalancerEvents(self.pools, up, tokens, effects)
        # Not before: what is taken up again after a restart has not changed.
        self.steering.noticed = effects.put
        self._store = StoreEvents(self.types, self.lifecycle, self.associations, tokens, effects, agenda)
        self._timers = Timers(
            agenda,
            self._switches,
            self.fencing,
            self.comparisons,
            self._links,
            self._ports,
            self._store,
            self.associations,
            self.snooper,
            self.counters,
            self._in_flight,
            self._copies,
            self.lifecycle.installer.idle_meters,
            self.lifecycle.installer.gate_meters,
            self.lifecycle.groups,
            self.lifecycle.refresh,
            self.lifecycle.preparation,
            self.lifecycle,
            self.bringup,
            self._probes,
            effects,
            statistics_interval,
        )
        self._express = Express(
            self.registry, self.stations, self.bringup, self._links, self.associations, self.lifecycle, self._alone
        )
        tokens.otherwise = self.comparisons
        self.rewiring.refused = self.comparisons.compare
        self.lifecycle.answers.refused = self.lifecycle.groups.refused = self.comparisons.refused
        self.lifecycle.open_gates.opened = self._opened

    def _vswitch_of(self, attachment: Attachment) -> str:
        """Return the name of the vSwitch of a VSI at a port; empty: it is in none."""
        found = self.vswitches.of(attachment.port.dpid, (binding.vid for binding in attachment.bindings))
        return next((vswitch.name for vswitch in found), "")

    def _rewire(self) -> dict[int, RuleChange]:
        """Return the changes of each switch that follow from new routes because of VSIs."""
        self._copies.end_all()
        return self.lifecycle.groups.rewire()

    def _station(self, port: PortId, first_sequence: int) -> BridgePort:
        interface = self.fabric.interface(port)
        assert interface is not None
        foreign, groups = partial(self._not_a_station, port), self.fabric.has_groups(port)
        group = controller_group(interface)
        return BridgePort(port, interface, bridge_mac(port), first_sequence, foreign, groups, group)

    def _not_a_station(self, port: PortId, mac: int) -> str | None:
        """Return the owner of a MAC address that cannot become the station of a port; None: it can."""
        if self.registry.is_vm(mac):
            return "the address of a VM"
        for other, station in self.stations.items():
            if station.station == mac and other != port:
                return f"the station of port {other}"
        return None

    def _restorer(self) -> Restorer:
        @cache
        def place(port: PortId, vsi_port: str) -> Place | None:
            if vsi_port and port in self.stations:
                self.vsi_ports.assume(port.dpid, vsi_port)
            return Place.of(self.fabric, port, vsi_port) if port in self.stations else None

        return Restorer(self.registry, self.lifecycle, self.types, place, partial(unfit, self.fabric))

    def _begin_restoration(self, records: Mapping[str, bytes], now: float) -> None:
        """Restore what attachments depend on (:data:`FOUNDATIONS`)."""
        known = by_kind(records)
        self.rewiring.restore(known[LINKS_DOWN].get(LINKS_DOWN.key()))
        self.steering.restore_links(known[INSTANCE_DOWN], self.stations)
        unusable = *self.pools.restore(known[BALANCER]), *self.steering.restore(known[SILENT])
        if gone := dict.fromkeys(unusable):
            self._effects.put(Save(self._tokens.take(), gone))
        self.types.restore(known[VSI_TYPE], now)

    def _end_restoration(self, records: Mapping[str, bytes] | None, now: float) -> None:
        """Restore what depends on attachments, or on nothing."""
        known = by_kind(records or {})
        for port, station in self.stations.items():
            if RELAY.key(port) in known[RELAY] and not station.go_on_relaying():
                self._effects.put(Save(self._tokens.take(), {RELAY.key(port): None}))
            if mac := known[STATION].get(STATION.key(port)):
                station.remember(int.from_bytes(mac))
        for failure in self.counters.restore(known[STATISTICS], known[SUMS], self.fabric.switches):
            self._effects.put(failure)
        self.lifecycle.resumed(self.registry.attachments())
        self.lifecycle.interrupted.restore(known[OPENING], self.registry, self.fabric.switches, now)
        self.imports.resumed()
        self.recovery.restore(records, not self.not_restored)
        self.lifecycle.installer.remember_ended(not self.recovery.over)
        self.lifecycle.installer.shared.others_use = self.recovery.in_grace
        self.associations.resume(known[DEPARTED], now)
        self.lifecycle.late.begin(self.fabric.switches, now)

    def follow(self, changes: Mapping[str, bytes | None], now: float = 0.0) -> None:
        """Take up records of attachments that have changed (None: gone), while another bridge serves the switches."""
        for event in self.restorer.follow(changes, now):
            self._effects.put(event)
        self._effects.take()

    def lead(self, records: Mapping[str, bytes], life: Life, now: float) -> None:
        """Begin to serve the switches, from records whose foundations and attachments this engine has followed."""
        for event in self.restorer.begin(now):
            self._effects.put(event)
        self._end_restoration(records, now)
        self.fencing.begin(life)
        self._timers.plan_statistics(now)

    def succeed(self, starting: StartingEngine) -> None:
        """Go on from the engine that has served stations while policies were read; before a switch has connected."""
        self.fencing.go_on(starting.fencing)
        self._switches.receive(starting.frames)

    @property
    def not_restored(self) -> Mapping[str, str]:
        """Keys of records of VSIs that could not be used, and why."""
        return self.restorer.left_out

    @property
    def policies(self) -> PolicySet:
        """The VSI types of the local directory."""
        return self.types.local

    @property
    def deadline(self) -> float | None:
        """Time at which to feed :class:`TimerExpired`, monotonic seconds; None: no timer runs."""
        return earliest(
            self._agenda.deadline,
            self.associations.deadline,
            self.snooper.deadline,
            self._in_flight.deadline,
            self._copies.deadline,
            self.lifecycle.installer.idle_meters.deadline,
            self.lifecycle.installer.gate_meters.deadline,
            self.lifecycle.groups.deadline,
            self.lifecycle.refresh.deadline,
            self.lifecycle.preparation.deadline,
            self.lifecycle.late.deadline,
            self.lifecycle.grants.deadline,
        )

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
        return not len(self._tokens) and not any(station.is_sending for station in self.stations.values())

    def is_busy(self, port: PortId) -> bool:
        """True if so many requests of a port wait for switches that its frames should wait, too."""
        return self.associations.backlog.is_busy(port)

    def ahead(self, event: FrameReceived, now: float) -> list[Effect]:
        """Return the changes that a frame is certain to lead to; they are to be sent before it is fed.

        :meth:`feed` has to follow at once, with the same event, and returns all that is left to be done about it.
        """
        self._effects.now = now
        return self._effects.take() if self._express.ahead(event, now) else []

    def feed(self, event: Event, now: float) -> list[Effect]:
        """Take one event, return what is to be done about it, in order; what :attr:`has_rest` says has to follow."""
        self._effects.now = now
        if self.lifecycle.open_gates.new:
            self._handle(None, now)
        self._express.foreseen.clear()
        self._handle(event, now)
        return self._effects.take()

    @property
    def has_rest(self) -> bool:
        """True if an Associate is answered by what :meth:`feed` has returned; :meth:`rest` has to follow at once."""
        return bool(self.lifecycle.open_gates.new)

    def rest(self, now: float) -> list[Effect]:
        """Return what else is to be done about the last event: no station waits for it."""
        self._effects.now = now
        self._handle(None, now)
        return self._effects.take()

    def _go_on(self, dpid: int | None, now: float) -> None:
        """Process what the answer of a switch has ended (None: of the store); of an open gate the answer, at first."""
        if self.lifecycle.open_gates.new:
            self._answered_by = dpid
            self.associations.answer(now)
            return
        self.associations.proceed(now)
        if dpid is not None:
            self.comparisons.answered(dpid, now)

    def _handle(self, event: Event | None, now: float) -> None:
        """Hand an event to the component that it belongs to; None: what follows from the last one."""
        match event:
            case FrameReceived():
                self._ports.frame(event, now)
            case PortChanged():
                self._ports.changed(event, now)
            case FramesDropped():
                self._ports.dropped(event, now)
            case ChannelUp(dpid, kept):
                self._switches.channel(dpid, kept)
                self.fencing.up(dpid, now)
            case RoleShown() | RoleRefused() | RoleLost():
                self.fencing.role(event, now)
            case SwitchUp(dpid):
                if self.fencing.serves(dpid):
                    self._switches.up(event, now)
            case SwitchDown(dpid):
                self.fencing.down(dpid)
                self._switches.down(dpid, now)
            case SwitchAltered():
                self._switches.altered(event, now)
            case FragmentsHandled(dpid):
                for log_event in self.fragments.handled(event, self.bringup.ready(dpid)):
                    self._effects.put(log_event)
            case Confirmed(dpid, token):
                self.comparisons.audit.settled(dpid, token)
                self._tokens.confirm(dpid, token, now)
                self._go_on(dpid, now)
            case Rejected(dpid, token, reason):
                self.comparisons.audit.settled(dpid, token)
                self._tokens.reject(dpid, token, reason, now)
                self._go_on(dpid, now)
            case RulesRead(dpid, token, rules, more=True):
                self._tokens.show(dpid, token, rules, now)
            case RulesRead(dpid, token, omitted=True):
                self._tokens.omit(dpid, token, now)
            case RulesRead(dpid, token, rules):
                self._tokens.read(dpid, token, rules, now)
                self.associations.proceed(now)
            case SwitchRead(dpid, token, shown, meters):
                self.bringup.show_meters(dpid, meters)
                self._tokens.read_switch(dpid, token, shown, now)
                self.associations.proceed(now)
            case MetersRead(dpid, token, counts):
                self._tokens.read_meters(dpid, token, counts, now)
            case Saved(token):
                self._store.ended(token, None, now)
                self._go_on(None, now)
            case NotSaved(token, reason):
                self._store.ended(token, reason, now)
                self._go_on(None, now)
            case TypeFetched(token, offer):
                self.associations.fetched(token, offer, now)
            case VsiCleared():
                self.pods.cleared(event, now)
            case StateFetched():
                self.pods.fetched(event, now)
            case StateWanted():
                self.pods.wanted(event)
            case StateGiven(state):
                self.imports.given(state, now)
            case HandOver():
                self.pods.hand_over(event, now)
            case PoliciesLoaded(policies):
                self.types.load(policies)
                self.epochs.prepare(self.policies.types.values())
            case OperatorDeassociate(vsi):
                self.associations.deassociate(vsi, "taken off by the operator", now)
            case StatisticsWanted(vsi):
                self.counters.ask(vsi)
            case StatisticsPopulated(vsi, from_vm, to_vm):
                base = {Direction.FROM_VM: CounterValue(*from_vm), Direction.TO_VM: CounterValue(*to_vm)}
                self.counters.populate(self.registry.named(vsi), base)
            case BackendJudged():
                self._balancers.judge(event)
            case Missed(seconds):
                self._timers.missed(seconds, now)
            case TimerExpired(unread):
                self._timers.expired(now, unread)
                self._express.prepare(now)
            case None:
                answered, self._answered_by = self._answered_by, None
                self.lifecycle.open_gates.conclude(now)
                self._go_on(answered, now)
        if self.lifecycle.open_gates.new:
            return
        self._timers.plan_statistics(now)
        # After each event, so only what is new is worth a call.
        for follower in self._followers:
            if follower.new:
                follower.planned(now)
        self.lifecycle.groups.planned(now)
        self.lifecycle.preparation.planned(now)
        if self.lifecycle.pending.ahead:
            self._compare_unasked(now)

    def _compare_unasked(self, now: float) -> None:
        """Have switches compared that were sent a change which nothing has asked for in the end: it does not stay."""
        for dpid in self.lifecycle.pending.take_unasked():
            self.comparisons.refused(dpid, _UNASKED, now)

    def _passing(self, effect: Effect) -> Effect:
        """Show each effect to the components that follow what goes out, in the order in which it goes out."""
        match effect:
            case Apply(dpid, change=change):
                if (undisputed := self.bringup.undisputed(dpid, change)) is not change:
                    effect = replace(effect, change=undisputed)
                self.comparisons.audit.sent(effect)
            case Save():
                self.types.saving(effect)
            case LogEvent():
                self.migrations.observe(effect, self._effects.now)
                if isinstance(effect, VsiGone):
                    self.pods.gone(effect)
        return effect

    def _opened(self, gate_switch: GateSwitch, now: float) -> None:
        """Process an open gate, newly or at another port, that every switch has confirmed."""
        vsi = gate_switch.attachment.vsi
        self.associations.opened(gate_switch, now)
        self.imports.opened(vsi)
        self.snooper.activated(vsi, now)
        self._in_flight.confirmed(vsi, now)
