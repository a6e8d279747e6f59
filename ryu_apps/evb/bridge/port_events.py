"""Events of ports: frames, link states, and what the protocols of a station port lead to."""

from __future__ import annotations

import math
from collections.abc import Mapping

from ryu_apps.evb.bridge.appliance_probes import ApplianceProbes
from ryu_apps.evb.bridge.bond_links import BondLinks
from ryu_apps.evb.bridge.chores import Agenda
from ryu_apps.evb.bridge.icmp_translator import IcmpTranslator
from ryu_apps.evb.bridge.links import Links
from ryu_apps.evb.bridge.repetitions import Repetitions
from ryu_apps.evb.bridge.requests import Associations
from ryu_apps.evb.bridge.snooper import Snooper
from ryu_apps.evb.bridge.vsi_port_events import VsiPortEvents
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.ports import PortDown, PortOverBudget, PortUp
from ryu_apps.evb.events.effect import Apply, Hasten, Mode, Save, SendFrame
from ryu_apps.evb.events.switch import FrameReceived, FramesDropped, PortChanged, SwitchUp
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.plan import difference, rule_set
from ryu_apps.evb.pipeline.infrastructure import port_groups
from ryu_apps.evb.pipeline.punting import punting
from ryu_apps.evb.ports.bridge_port import BridgePort
from ryu_apps.evb.ports.outputs import (
    AnswerAcknowledged,
    AssociationReceived,
    DeassociateAcknowledged,
    Known,
    PortOutput,
    Relay,
)
from ryu_apps.evb.protocol.evb import Agreed
from ryu_apps.evb.record_kinds import RELAY, STATION
from ryu_apps.evb.switches.bringup import MAX_EARLY_FRAMES, Bringup, Readiness, SwitchState
from ryu_apps.evb.tokens import TokenTable
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.steering import Steering
from ryu_apps.evb.wire.membership import ETHERTYPE_VLAN
from ryu_apps.evb.wire.vdp import Association, ManagerId

#: The Ethertype of a frame, and that of a tagged one.
_ETHERTYPE, _TAGGED = slice(12, 14), ETHERTYPE_VLAN.to_bytes(2)
#: Seconds after a link went down in which a frame that the switch has received before may still arrive.
_UNDER_WAY = 1.0


class PortEvents:
    """Ports of all switches; the stations behind them, by port."""

    def __init__(
        self,
        stations: Mapping[PortId, BridgePort],
        bringup: Bringup,
        links: Links,
        requests: Associations,
        snooper: Snooper,
        translator: IcmpTranslator,
        up: set[int],
        repetitions: Repetitions,
        bonds: BondLinks,
        vsi_ports: VsiPortEvents,
        steering: Steering,
        probes: ApplianceProbes,
        tokens: TokenTable,
        effects: EffectSink,
        agenda: Agenda,
    ) -> None:
        self._stations = stations
        self._bringup = bringup
        self._links = links
        self._requests = requests
        self._snooper = snooper
        self._translator = translator
        self._up = up
        self._repetitions = repetitions
        self._bonds = bonds
        self.vsi_ports = vsi_ports
        self._steering = steering
        self._probes = probes
        self._tokens = tokens
        self._effects = effects
        self._agenda = agenda
        self._down_since: dict[PortId, float] = {}
        self._begun_early: set[PortId] = set()

    # --- events ---
    def frame(self, event: FrameReceived, now: float) -> None:
        """Hand a frame to the protocol that it belongs to."""
        port, data = event.port, event.data
        state = self._bringup.switches.get(port.dpid)
        station = self._stations.get(port)
        if state is None:
            return
        if state.readiness is not Readiness.READY and not self._may_answer_early(state, event):
            _keep(state, event)
            return
        if station is not None and (owner := self._compared_owner(event)) is not None:
            # Its gate there is shut, and that confirmed, before one is opened here.
            _keep(owner, event)
            self._effects.put(Hasten(owner.dpid))
            return
        if station is not None and station.interface.is_up(state.ports) is False:
            self._prove(port, now)
        if data[_ETHERTYPE] == _TAGGED and self._probes.wants(data):
            self._probes.frame(data)
        elif data[_ETHERTYPE] == _TAGGED and self._translator.wants(data):
            # From any port: errors about a back end at another switch come in by a trunk.
            self._translator.frame(port, data)
        elif self._links.neighbours.is_trunk(port):
            self._links.frame(port, data, now)
        elif data[_ETHERTYPE] == _TAGGED:
            # Stations send untagged; frames from behind a gate have a tag.
            self._snooper.frame(self.vsi_ports.station_port(port), data, now)
        elif station is not None:
            self._process(port, station.frame(data, now), now)
        else:
            self.vsi_ports.frame(port, data, now)

    def _may_answer_early(self, state: SwitchState, event: FrameReceived) -> bool:
        """Return True if a frame for a switch that is not ready needs nothing of it; a request that does hastens it."""
        if not state.taken_over or event.port not in self._begun_early:
            return False
        if self._repetitions.are_all(event.port, event.data):
            return True
        if not state.hastened and self._repetitions.asks(event.data):
            # Not for LLDP, which each station sends at once: all switches would be first.
            state.hastened = True
            self._effects.put(Hasten(state.dpid))
        return False

    def _compared_owner(self, event: FrameReceived) -> SwitchState | None:
        """Return another switch that has the gate of a VSI of a request, and is being compared; None: there is none."""
        if all(map(self._bringup.ready, self._bringup.switches)):
            return None
        there = (self._bringup.switches.get(dpid) for dpid in self._repetitions.owners(event.data))
        compared = (state for state in there if state is not None and state.readiness is not Readiness.READY)
        return next((state for state in compared if state.dpid != event.port.dpid), None)

    def states(self, event: SwitchUp) -> dict[int, bool]:
        """Return the link states of a switch that has connected: port number -> up."""
        return {
            port_no: self._bonds.is_up(PortId(event.dpid, port_no), up, port_no in event.live)
            for port_no, up in event.ports.items()
        }

    def changed(self, event: PortChanged, now: float) -> None:
        """Process a change of a link state."""
        link, up = event.port, self._bonds.is_up(event.port, event.up, event.live)
        state = self._bringup.switches.get(link.dpid)
        if state is None:
            return
        self.vsi_ports.changed(event, now)
        if state.ports.get(link.port_no) == up:
            return
        before = dict(state.ports)
        state.ports[link.port_no] = up
        self._effects.put(PortUp(link) if up else PortDown(link))
        self._links.changed(link.dpid, {link.port_no: up})
        self._report_bonds(link.dpid, state.ports)
        port = self._bonds.port_of(link)
        station = self._stations.get(port)
        if station is not None and station.interface.is_up(before) != station.interface.is_up(state.ports):
            self._station_link(port, state, now)
        elif port in self._steering.host_ports:
            self._steer(port, up)

    def _report_bonds(self, dpid: int, ports: Mapping[int, bool]) -> None:
        for event in self._bonds.changed(dpid, ports):
            self._effects.put(event)

    def _station_link(self, port: PortId, state: SwitchState, now: float) -> None:
        """Process the link state of a station port; of a bond, it has changed with its first or its last link."""
        station = self._stations[port]
        up = bool(station.interface.is_up(state.ports))
        if not up:
            self._down_since[port] = now
        self._steer(port, up)
        # A link that returns while its switch is brought up is processed when the switch is ready.
        if state.readiness is Readiness.READY or (station.up and not up):
            self._process(port, station.link(up, now), now)
            if up:
                # Moves from before a restart of the controller, when the link was down.
                self._requests.announce_moves(port, now)

    def _steer(self, port: PortId, up: bool) -> None:
        """Put the instances of appliances behind a port to use, or out of it."""
        for dpid, groups in sorted(self._steering.link(port, up).items()):
            if dpid in self._up:
                self._effects.put(Apply(dpid, 0, RuleChange(groups=groups), Mode.BULK))
        if record := self._steering.link_record(port):
            self._effects.put(Save(self._tokens.take(), record))

    def _prove(self, port: PortId, now: float) -> None:
        """Take a frame for a proof that the link is up, if it was sent after the switch has reported it down.

        Open vSwitch reports an internal port that is in another network namespace as down.
        """
        if port in self._stations and now >= self._down_since.get(port, -math.inf) + _UNDER_WAY:
            # With LACP a frame proves nothing: only an agreement counts.
            self.changed(PortChanged(port, True), now)

    def dropped(self, event: FramesDropped, now: float) -> None:
        """Process the loss of frames that a port has sent too fast."""
        port, frames = event.port, event.frames
        if station := self._stations.get(port):
            station.counters["over_budget"] += frames
            # Among them may have been keep-alives.
            self._requests.keep_alives.repeat_keep_alive_answers(port, now)
        self._effects.put(PortOverBudget(port, "over_budget", frames))

    def bring_up(self, dpid: int, ports: Mapping[int, bool], now: float) -> None:
        """Begin with the stations of a switch that has become ready."""
        self._probes.begin(now)
        self._report_bonds(dpid, ports)
        for port in sorted(self._steering.host_ports):
            if port.dpid == dpid:
                self._steer(port, ports.get(port.port_no, False))
        for port, station in self._stations.items():
            if port.dpid == dpid:
                self._steer(port, bool(station.interface.is_up(ports)))
            if port.dpid != dpid or (station.up and port not in self._begun_early):
                continue
            if not station.interface.is_up(ports):
                self._process(port, station.link(False, now), now)
            else:
                if not station.up:
                    self._process(port, station.link(True, now), now)
                self._requests.announce_moves(port, now)
                self._requests.keep_alives.repeat_keep_alive_answers(port, now)

        self._begun_early = {port for port in self._begun_early if port.dpid != dpid}

    def begin_early(self, dpid: int, ports: Mapping[int, bool], now: float) -> None:
        """Begin with the stations of a switch that has been heard before, and has yet to be compared."""
        for port, station in self._stations.items():
            if port.dpid == dpid and not station.up and station.interface.is_up(ports):
                self._begun_early.add(port)
                self._process(port, station.link(True, now), now)

    def away(self, dpid: int, now: float) -> None:
        """Note that the stations of a switch cannot be heard any more."""
        self._begun_early = {port for port in self._begun_early if port.dpid != dpid}
        for port, station in self._stations.items():
            if port.dpid == dpid:
                self._process(port, station.unheard(now), now)

    def tick(self, port: PortId, now: float) -> None:
        """Serve the deadlines of a station port."""
        self._process(port, self._stations[port].tick(now), now)

    def postpone(self, seconds: float) -> None:
        """Extend the deadlines of stations by a time in which none could be heard."""
        for port, station in self._stations.items():
            station.postpone(seconds)
            self._agenda.set(port, station.deadline)

    def answer(self, port: PortId, manager_id: ManagerId, tlv: Association, now: float) -> None:
        """Send an association TLV to the station at a port."""
        self._process(port, self._stations[port].answer(manager_id, tlv, now), now)

    # --- what the protocols lead to ---
    def _process(self, port: PortId, outputs: list[PortOutput], now: float) -> None:
        for output in outputs:
            match output:
                case SendFrame() | LogEvent():
                    self._effects.put(output)
                case AssociationReceived():
                    self._requests.heard(port, output, now)
                case DeassociateAcknowledged(manager_id, association):
                    self._requests.acknowledged(port, manager_id, association, now)
                case AnswerAcknowledged(association):
                    self._requests.keep_alives.answered(port, association.vsi_id, now)
                case Relay(on):
                    self._relay(port, on)
                case Known():
                    self._known(port, output)
                case Agreed(operational):
                    self._requests.keep_alives.agreed(port, operational, now)
        self._agenda.set(port, self._stations[port].deadline)

    def _relay(self, port: PortId, on: bool) -> None:
        self._effects.put(Save(self._tokens.take(), {RELAY.key(port): b"on" if on else None}))
        if port.dpid in self._up:
            groups = port_groups(self._stations[port].interface, on)
            self._effects.put(Apply(port.dpid, 0, RuleChange(groups=groups), Mode.BULK))

    def _known(self, port: PortId, known: Known) -> None:
        """Let the switch pass this station's frames before everything else at its port, or no station's."""
        record = None if known.station is None else known.station.to_bytes(6)
        self._effects.put(Save(self._tokens.take(), {STATION.key(port): record}))
        if port.dpid in self._up:
            interface = self._stations[port].interface
            before, after = (rule_set(punting(interface, station)) for station in (known.before, known.station))
            self._effects.put(Apply(port.dpid, 0, difference(before, after), Mode.BULK))


def _keep(state: SwitchState, event: FrameReceived) -> None:
    """Keep a frame until a switch is ready; beyond the bound it is lost, and a station repeats it."""
    if len(state.early) < MAX_EARLY_FRAMES:
        state.early.append(event)
