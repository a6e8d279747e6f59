"""Components of the bridge: what it knows of switches, stations, VSIs and VSI types, built in the order of their needs.

They put effects into one sink, in order, and find the owner of an answer in one table of tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

from ryu_apps.evb.bridge.chores import Agenda
from ryu_apps.evb.bridge.comparisons import Comparisons
from ryu_apps.evb.bridge.migrations import Migrations
from ryu_apps.evb.bridge.other_pods import OtherPods
from ryu_apps.evb.bridge.requests import Associations
from ryu_apps.evb.bridge.state_imports import StateImports
from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.vsis import VsiGone
from ryu_apps.evb.events.effect import Apply, Effect, Save
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.model import Retention
from ryu_apps.evb.pipeline.bonds import controller_group
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.ports.bridge_port import BridgePort, bridge_mac
from ryu_apps.evb.switches.bringup import Bringup
from ryu_apps.evb.switches.desired import DesiredRules
from ryu_apps.evb.switches.recovery import Recovery
from ryu_apps.evb.switches.rerouting import Rerouting
from ryu_apps.evb.tokens import TokenTable
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.vswitches import VswitchIndex
from ryu_apps.evb.vsi.announcer import Announcer
from ryu_apps.evb.vsi.bandwidth import BandwidthReservations
from ryu_apps.evb.vsi.bodies import CompiledTypes, Epochs
from ryu_apps.evb.vsi.copies import Copies
from ryu_apps.evb.vsi.gatekeeper import Gatekeeper
from ryu_apps.evb.vsi.in_flight import InFlight
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.registry import Attachment, Registry
from ryu_apps.evb.vsi.reservation import Reservations
from ryu_apps.evb.vsi.set_members import SetMembers
from ryu_apps.evb.vsi.steering import detour_of
from ryu_apps.evb.vsi.unclaimed_floods import UnclaimedFloods
from ryu_apps.evb.vsi.vsi_port_table import VsiPortTable
from ryu_apps.evb.vsi_types.database import TypeDatabase
from ryu_apps.evb.vsi_types.managers import VsiManagers
from ryu_apps.evb.wire.vdp import Association, ManagerId


class Components:
    """Components that know and decide; those that events are handed to use them.

    Attributes:
        fabric: as given.
        tokens, effects, agenda: owners of answers, what goes out, deadlines of ports and switches.
        registry, ledger, migrations, set_members, vsi_ports, vswitches: VSIs and what they have.
        epochs: compiled VSI types.
        types: the VSI types of all managers.
        wiring, rewiring: the trunks in use, and failed links.
        pools, steering, floods: load balancers, appliances, broadcasts of rules without a record.
        in_flight, copies: frames of VSIs that move.
        lifecycle, counters: what VSIs have in the switches, and what it counts.
        stations: the station ports.
        wanted: desired state of each switch.
        bringup, recovery, comparisons: from "connected" to "holds what it should".
        associations: what stations request.
        imports, pods: state from elsewhere.
        send: sends an association TLV to the station at a port.
    """

    def __init__(
        self,
        fabric: Fabric,
        policies: PolicySet,
        records: Mapping[str, bytes] | None,
        first_sequence: int,
        managers: VsiManagers,
        forward_in_flight: int,
        statistics_retention: Retention,
        ready: CompiledTypes | None,
        alone: bool,
    ) -> None:
        """
        Args:
            all: as of :class:`~ryu_apps.evb.bridge.engine.Engine`.
        """
        self.fabric = fabric
        self.tokens = tokens = TokenTable()
        self.effects = effects = EffectSink(self._passing)
        self.agenda: Agenda = Agenda()
        self.send: Callable[[PortId, ManagerId, Association, float], None] = lambda *_: None
        self.registry, self.migrations, self.epochs = Registry(), Migrations(), Epochs(ready)
        self.vsi_ports, self.vswitches = VsiPortTable(fabric), VswitchIndex(fabric.vswitches)
        gatekeeper = self._gatekeeper(forward_in_flight)
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
        self.counters = self.lifecycle.counters
        if fabric.vswitches:
            self.counters.group_of = self._vswitch_of
        pending, ended = self.lifecycle.pending, self.lifecycle.installer.ended
        self.floods = UnclaimedFloods(gatekeeper, self.registry, pending, ended)
        self.types = TypeDatabase(policies, managers, self.registry, tokens, effects)
        self.stations = {port: self._station(port, first_sequence) for port in fabric.ports(Role.STATION)}
        self._build_switches(gatekeeper, records)
        self._build_requests(alone)
        self.comparisons = tokens.otherwise = Comparisons(
            self.wanted, self.bringup, self.recovery, self.associations, pending.up, tokens, effects, self.agenda
        )
        self.rewiring.refused = self.comparisons.compare
        self.lifecycle.answers.refused = self.lifecycle.groups.refused = self.comparisons.refused

    def _gatekeeper(self, forward_in_flight: int) -> Gatekeeper:
        """Build the keeper of all gates, and what gates depend on."""
        fabric = self.fabric
        self.wiring = TrunkGraph(fabric)
        self.ledger = Reservations(BandwidthReservations(fabric, self.wiring))
        self.in_flight = InFlight(forward_in_flight, self.ledger, partial(detour_of, fabric, self.wiring))
        self.set_members = SetMembers(self.ledger, fabric.switches)
        self.copies = Copies(fabric, self.wiring, self.ledger, self.in_flight)
        gatekeeper = Gatekeeper(fabric, self.wiring, self.in_flight, self.copies, self.set_members, self.vsi_ports)
        self.pools, self.steering = gatekeeper.pools, gatekeeper.steering
        return gatekeeper

    def _build_switches(self, gatekeeper: Gatekeeper, records: Mapping[str, bytes] | None) -> None:
        """Build what knows and mends the rules of switches."""
        fabric, lifecycle = self.fabric, self.lifecycle
        self.wanted = DesiredRules(
            *(fabric, self.wiring, self.registry, gatekeeper, lifecycle), self.in_flight, self.copies, self.stations
        )
        self.bringup = Bringup(self.wanted, self.tokens, lifecycle.installer.ended)
        self.rewiring = Rerouting(
            fabric, self.wiring, self.wanted.routed, self._rewire, self.tokens, self.effects, lifecycle.up
        )
        self.recovery = Recovery(fabric.switches, records, complete=True)

    def _build_requests(self, alone: bool) -> None:
        """Build what takes requests of stations, and of other pods."""
        self.associations = Associations(
            self.registry,
            self.lifecycle,
            self.stations,
            self.types,
            self.fabric,
            self.migrations,
            self.tokens,
            self.effects,
            self.bringup.lives_elsewhere,
            lambda port, manager_id, tlv, now: self.send(port, manager_id, tlv, now),
        )
        self.imports = StateImports(self.registry, self.lifecycle)
        self.pods = OtherPods(self.registry, self.lifecycle, self.associations, self.tokens, self.effects, alone)

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

    def _vswitch_of(self, attachment: Attachment) -> str:
        """Return the name of the vSwitch of a VSI at a port; empty: it is in none."""
        found = self.vswitches.of(attachment.port.dpid, (binding.vid for binding in attachment.bindings))
        return next((vswitch.name for vswitch in found), "")

    def _rewire(self) -> dict[int, RuleChange]:
        """Return the changes of each switch that follow from new routes because of VSIs."""
        self.copies.end_all()
        return self.lifecycle.groups.rewire()

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
                self.migrations.observe(effect, self.effects.now)
                if isinstance(effect, VsiGone):
                    self.pods.gone(effect)
        return effect
