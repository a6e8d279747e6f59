"""The table of events: the component that each event is handed to, and what follows every event.

The table decides nothing.  Of a gate that has opened the answer to the station comes first; what else follows is left
to the call with None.
"""

from __future__ import annotations

from ryu_apps.evb.bridge.components import Components
from ryu_apps.evb.bridge.handlers import EventHandlers
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
from ryu_apps.evb.pipeline.tables import Direction
from ryu_apps.evb.vsi.statistics.totals import CounterValue
from ryu_apps.evb.vsi.steps import GateSwitch

_UNASKED = "sent ahead of a request that has not led to it"


class EventTable:
    """Hands events to components, one at a time."""

    def __init__(self, components: Components, handlers: EventHandlers) -> None:
        lifecycle = components.lifecycle
        self._components = components
        self._handlers = handlers
        self._tokens, self._effects = components.tokens, components.effects
        self._comparisons, self._associations = components.comparisons, components.associations
        self._lifecycle, self._open_gates = lifecycle, lifecycle.open_gates
        self._followers = components.in_flight, lifecycle.installer.idle_meters, lifecycle.refresh
        self._answered_by: int | None = None
        self._open_gates.opened = self._opened

    def hand(self, event: Event | None, now: float) -> None:
        """Hand an event to the component that it belongs to; None: what follows from the last one."""
        match event:
            case FrameReceived():
                self._handlers.ports.frame(event, now)
            case Confirmed(dpid, token):
                self._comparisons.audit.settled(dpid, token)
                self._tokens.confirm(dpid, token, now)
                self._go_on(dpid, now)
            case Rejected(dpid, token, reason):
                self._comparisons.audit.settled(dpid, token)
                self._tokens.reject(dpid, token, reason, now)
                self._go_on(dpid, now)
            case Saved(token):
                self._handlers.store.ended(token, None, now)
                self._go_on(None, now)
            case NotSaved(token, reason):
                self._handlers.store.ended(token, reason, now)
                self._go_on(None, now)
            case TimerExpired(unread):
                self._handlers.timers.expired(now, unread)
                self._handlers.express.prepare(now)
            case None:
                answered, self._answered_by = self._answered_by, None
                self._open_gates.conclude(now)
                self._go_on(answered, now)
            case _:
                self._of_switch(event, now)
        if self._open_gates.new:
            return
        self._handlers.timers.plan_statistics(now)
        # After each event, so only what is new is worth a call.
        for follower in self._followers:
            if follower.new:
                follower.planned(now)
        self._lifecycle.groups.planned(now)
        self._lifecycle.preparation.planned(now)
        if self._lifecycle.pending.ahead:
            self._compare_unasked(now)

    def _of_switch(self, event: Event, now: float) -> None:
        """Hand on what a switch shows or reports."""
        components, handlers = self._components, self._handlers
        match event:
            case RulesRead(dpid, token, rules, more=True):
                self._tokens.show(dpid, token, rules, now)
            case RulesRead(dpid, token, omitted=True):
                self._tokens.omit(dpid, token, now)
            case RulesRead(dpid, token, rules):
                self._tokens.read(dpid, token, rules, now)
                self._associations.proceed(now)
            case SwitchRead(dpid, token, shown, meters):
                components.bringup.show_meters(dpid, meters)
                self._tokens.read_switch(dpid, token, shown, now)
                self._associations.proceed(now)
            case MetersRead(dpid, token, counts):
                self._tokens.read_meters(dpid, token, counts, now)
            case PortChanged():
                handlers.ports.changed(event, now)
            case FramesDropped():
                handlers.ports.dropped(event, now)
            case ChannelUp(dpid, kept):
                handlers.switches.channel(dpid, kept)
                handlers.fencing.up(dpid, now)
            case RoleShown() | RoleRefused() | RoleLost():
                handlers.fencing.role(event, now)
            case SwitchUp(dpid):
                if handlers.fencing.serves(dpid):
                    handlers.switches.up(event, now)
            case SwitchDown(dpid):
                handlers.fencing.down(dpid)
                handlers.switches.down(dpid, now)
            case SwitchAltered():
                handlers.switches.altered(event, now)
            case FragmentsHandled(dpid):
                for log_event in handlers.fragments.handled(event, components.bringup.ready(dpid)):
                    self._effects.put(log_event)
            case _:
                self._from_elsewhere(event, now)

    def _from_elsewhere(self, event: Event, now: float) -> None:
        """Hand on what VSI managers, other pods, operators and the clock report."""
        components = self._components
        match event:
            case TypeFetched(token, offer):
                self._associations.fetched(token, offer, now)
            case VsiCleared():
                components.pods.cleared(event, now)
            case StateFetched():
                components.pods.fetched(event, now)
            case StateWanted():
                components.pods.wanted(event)
            case StateGiven(state):
                components.imports.given(state, now)
            case HandOver():
                components.pods.hand_over(event, now)
            case PoliciesLoaded(policies):
                components.types.load(policies)
                components.epochs.prepare(components.types.local.types.values())
            case OperatorDeassociate(vsi):
                self._associations.deassociate(vsi, "taken off by the operator", now)
            case StatisticsWanted(vsi):
                components.counters.ask(vsi)
            case StatisticsPopulated(vsi, from_vm, to_vm):
                base = {Direction.FROM_VM: CounterValue(*from_vm), Direction.TO_VM: CounterValue(*to_vm)}
                components.counters.populate(components.registry.named(vsi), base)
            case BackendJudged():
                self._handlers.balancers.judge(event)
            case Missed(seconds):
                self._handlers.timers.missed(seconds, now)

    def _go_on(self, dpid: int | None, now: float) -> None:
        """Process what the answer of a switch has ended (None: of the store); of an open gate the answer, at first."""
        if self._open_gates.new:
            self._answered_by = dpid
            self._associations.answer(now)
            return
        self._associations.proceed(now)
        if dpid is not None:
            self._comparisons.answered(dpid, now)

    def _compare_unasked(self, now: float) -> None:
        """Have switches compared that were sent a change which nothing has asked for in the end: it does not stay."""
        self._associations.foresaw(None)
        for dpid in self._lifecycle.pending.take_unasked():
            self._comparisons.refused(dpid, _UNASKED, now)

    def _opened(self, gate_switch: GateSwitch, now: float) -> None:
        """Process an open gate, newly or at another port, that every switch has confirmed."""
        vsi = gate_switch.attachment.vsi
        self._associations.opened(gate_switch, now)
        self._components.imports.opened(vsi)
        self._handlers.snooper.activated(vsi, now)
        self._components.in_flight.confirmed(vsi, now)
