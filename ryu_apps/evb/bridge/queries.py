"""Questions about a running bridge, answered with frozen values: what REST and metrics read of the engine.

Each answer is complete between two events.  Values hold no reference to what the engine changes, so a long answer
may be written slice by slice while the engine goes on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import NamedTuple, TypeVar

from ryu_apps.evb.bridge.appliance_queries import ApplianceQueries
from ryu_apps.evb.bridge.balancer_queries import BalancerQueries
from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.bridge.icmp_translator import OUTCOMES as ICMP_OUTCOMES
from ryu_apps.evb.bridge.multicast_queries import MulticastQueries
from ryu_apps.evb.bridge.pod_queries import PodQueries
from ryu_apps.evb.bridge.set_queries import SetQueries
from ryu_apps.evb.bridge.snooper import COUNTERS as MEMBERSHIP_COUNTERS
from ryu_apps.evb.bridge.statistics_queries import StatisticsQueries
from ryu_apps.evb.bridge.type_queries import TypeQueries
from ryu_apps.evb.bridge.vsi_queries import VsiQueries
from ryu_apps.evb.bridge.vswitch_queries import VswitchQueries
from ryu_apps.evb.model import Phase
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.policy.offer import HttpSource
from ryu_apps.evb.ports.bridge_port import BridgePort
from ryu_apps.evb.protocol.evb import EvbState
from ryu_apps.evb.protocol.timers import Operational
from ryu_apps.evb.protocol.vdp_bridge import VsiState
from ryu_apps.evb.switches.bringup import SwitchState
from ryu_apps.evb.switches.mastership import MastershipState
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode, Switch
from ryu_apps.evb.vsi.bandwidth import PortBandwidth
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.reservation import GROUPS, METERS, RULES, Owner, ResourceKind, SwitchResource
from ryu_apps.evb.vsi.reservation import ReservedAmount as ReservedAmount
from ryu_apps.evb.vsi_types.database import OUTCOMES as FETCH_OUTCOMES

Amount = TypeVar("Amount")


class SwitchStatus(NamedTuple):
    """One configured switch.

    Attributes:
        readiness: of its rules; None: it is not connected.
        links: port number -> link is up, as far as is known.
        budget: rules that may be reserved for VSIs; None: no limit.
        used: rules that are reserved.
        ready: it holds the rules that it should.
        fragments_hidden: it does not show the ports of first fragments.
        vsi_ports: those that are there.
        foreign: name of a VSI port -> frames of its VM that spoke as a station does, and were dropped.
        mastership: role of this bridge there.
        gate: what opens the gates of VSIs that are staged now.
    """

    switch: Switch
    readiness: str | None
    links: Mapping[int, bool]
    budget: int | None
    used: int
    ready: bool
    fragments_hidden: bool
    vsi_ports: tuple[Interface, ...]
    foreign: Mapping[str, int]
    mastership: MastershipState
    gate: GateMode


class FencingStatus(NamedTuple):
    """This bridge among those that connect to the same switches.

    Attributes:
        generation: of this bridge.
        superseded: another one is newer, and this one stands aside at all switches.
        newest: generation of that one; None: none, or not known.
        standby: this bridge is a member of a cluster that another one leads; not superseded by a stranger.
    """

    generation: int
    superseded: bool
    newest: int | None
    standby: bool


class LinkStatus(NamedTuple):
    """A link between two switches.

    Attributes:
        ports: both ends.
        up: neither end is down.
        heard: the port that each end has heard by LLDP; None: none.
        miswired: either end has heard a port that is not its peer.
        in_tree: frames are flooded along it.
    """

    ports: tuple[PortId, PortId]
    up: bool
    heard: tuple[PortId | None, PortId | None]
    miswired: bool
    in_tree: bool


@dataclass(frozen=True, slots=True)
class StationStatus:
    """One station port.

    Attributes:
        link_up: None: not known.
        evb: state of the EVB agreement, or the reason why there can be none.
        station: MAC address of the station; None: none has agreed.
        timers: the agreed values.
        reflective_relay: it is on.
        groups: the station announces the groups of its VSIs.
        ecp: errors of its ECP channels, by name.
        dropped: frames that were dropped, by reason.
    """

    port: PortId
    interface: Interface
    link_up: bool | None
    evb: str
    station: int | None
    timers: Operational
    reflective_relay: bool
    groups: bool
    ecp: Mapping[str, int]
    dropped: Counter[str]


class ReservationHolder(NamedTuple):
    """A VSI at a port for which rules are reserved; times are monotonic seconds.

    Attributes:
        staged: rules of state and multicast groups that are in the switch, by service; None: its gate is open.
        refreshed: when that state was last read and written; None: not by this process.
    """

    vsi: str
    port: PortId
    phase: Phase
    since: float
    expires: float | None
    staged: Mapping[str, int] | None
    refreshed: float | None


class SwitchResources(NamedTuple):
    """Budgets of a switch, and what is reserved of them.

    Attributes:
        tables: name of a table with reserved rules -> its rules.
        bandwidth: the ports with their minimum rates.
    """

    meters: ReservedAmount
    groups: ReservedAmount
    tables: Mapping[str, ReservedAmount]
    bandwidth: list[PortBandwidth]


class Reservation(NamedTuple):
    """Resources of a switch that are reserved for a VSI, a type or a detour.

    Attributes:
        tables: name of a table -> its part of the rules.
        bandwidth: port number -> kbit/s sent and received.
    """

    owner: Owner
    rules: int
    meters: int
    groups: int
    tables: Mapping[str, int]
    bandwidth: Mapping[int, tuple[int, int]]
    holders: tuple[ReservationHolder, ...]


class FetchCount(NamedTuple):
    """Requests to a VSI manager that ended in the same way."""

    url: str
    outcome: str
    requests: int


class BridgeQueries:
    """The questions; none changes anything, waits, or depends on the time.

    Attributes:
        vsis, types, statistics, multicast, balancers, appliances, sets, vswitches: those about VSIs, VSI types,
            statistics, multicast groups, load balancers, appliances, sets of addresses, and vSwitches.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.vsis = VsiQueries(engine)
        self.types = TypeQueries(engine)
        self.statistics = StatisticsQueries(engine)
        self.multicast = MulticastQueries(engine)
        self.balancers = BalancerQueries(engine)
        self.appliances = ApplianceQueries(engine)
        self.sets = SetQueries(engine)
        self.pods = PodQueries(engine)
        self.vswitches = VswitchQueries(engine, self.statistics)
        self.imports = engine.imports

    @property
    def fabric(self) -> Fabric:
        """The configured switches, ports and links."""
        return self._engine.fabric

    # --- switches and links ---
    def switches(self) -> list[SwitchStatus]:
        """Return all configured switches, in the order of the configuration."""
        return [self._switch(switch) for switch in self.fabric.switches.values()]

    def _switch(self, switch: Switch) -> SwitchStatus:
        engine, dpid = self._engine, switch.dpid
        state = engine.bringup.switches.get(dpid)
        return SwitchStatus(
            switch,
            state.readiness.value if state else None,
            dict(state.ports) if state else {},
            engine.ledger.budget(dpid),
            engine.ledger.used(dpid),
            engine.bringup.ready(dpid),
            dpid in engine.fragments.hidden,
            tuple(engine.vsi_ports.interfaces(dpid)),
            {name: frames for (where, name), frames in engine.foreign_frames.items() if where == dpid},
            at.state if (at := engine.fencing.switches.get(dpid)) else MastershipState.ABSENT,
            GateMode.METER if engine.lifecycle.installer.gate_meters.used_at(dpid) else GateMode.RULES,
        )

    @property
    def fencing(self) -> FencingStatus:
        """This bridge among those that connect to the same switches."""
        fencing = self._engine.fencing
        superseded = fencing.superseded and not fencing.standby
        return FencingStatus(fencing.generation, superseded, fencing.newest, fencing.standby)

    def desired_rules(self) -> Mapping[int, int]:
        """Return the number of rules that each switch should hold, by datapath id."""
        return self._engine.wanted.counts()

    def links(self) -> Iterator[LinkStatus]:
        """Return the links between switches, each once."""
        for port in self.fabric.ports(Role.TRUNK):
            interface = self.fabric.interface(port)
            if interface is not None and interface.peer is not None and port < interface.peer:
                yield self._link(port, interface.peer)

    def _link(self, port: PortId, peer: PortId) -> LinkStatus:
        engine = self._engine
        return LinkStatus(
            (port, peer),
            engine.rewiring.down.isdisjoint((port, peer)),
            (self._heard(port), self._heard(peer)),
            not engine.neighbours.miswired.isdisjoint((port, peer)),
            frozenset((port.dpid, peer.dpid)) in engine.wiring.routes.tree,
        )

    def _heard(self, port: PortId) -> PortId | None:
        heard = self._engine.neighbours.heard.get(port)
        return None if heard is None else heard.peer

    # --- stations ---
    def stations(self) -> list[StationStatus]:
        """Return all station ports, in the order of the configuration."""
        return [self._station(station) for station in self._engine.stations.values()]

    def _station(self, bridge_port: BridgePort) -> StationStatus:
        switch = self._engine.bringup.switches.get(bridge_port.port.dpid)
        evb = bridge_port.evb
        return StationStatus(
            bridge_port.port,
            bridge_port.interface,
            bridge_port.interface.is_up(switch.ports) if switch else None,
            _evb_text(bridge_port, switch),
            bridge_port.station,
            evb.operational,
            bridge_port.relay,
            evb.agreed.groups if evb.agreed else False,
            asdict(bridge_port.ecp.counters),
            Counter(bridge_port.counters),
        )

    # --- VSIs ---
    def phases(self) -> Counter[tuple[int, Phase]]:
        """Return the number of VSIs at ports by datapath id and phase; a VSI that moves is counted at both ports."""
        return Counter((attachment.port.dpid, attachment.phase) for attachment in self._engine.registry.attachments())

    def resources(self, dpid: int) -> SwitchResources:
        """Return the budgets of a switch and what is reserved of them."""
        ledger, none = self._engine.ledger, ReservedAmount(None, 0, 0)
        amounts = ledger.amounts(dpid)
        used = {name: amount for name, amount in _by_table(amounts).items() if amount.used}
        ports = ledger.bandwidth.ports(dpid)
        return SwitchResources(amounts.get(METERS, none), amounts.get(GROUPS, none), used, ports)

    def reservations(self, dpid: int) -> list[Reservation]:
        """Return what is reserved on a switch for VSIs."""
        holders: dict[Owner, list[ReservationHolder]] = {}
        for attachment in self._engine.registry.attachments():
            for program in attachment.holding.programs if attachment.port.dpid == dpid else ():
                # The rules of a type are reserved once, for all VSIs of the type together; floods for those of a VID.
                index, vids = program.binding.vsi_index, {binding.vid for binding in program.binding.bindings}
                floods = (("flood", vid) for vid in vids)
                for owner in (("vsi", index), ("member", index), ("type", program.epoch), *floods):
                    holders.setdefault(owner, []).append(self._holder(attachment, program))
        ledger = self._engine.ledger
        return [
            Reservation(
                (kind, number),
                amounts.get(RULES, 0),
                amounts.get(METERS, 0),
                amounts.get(GROUPS, 0),
                _by_table(amounts),
                ledger.bandwidth.of(dpid, number) if kind == "vsi" else {},
                tuple(holders.get((kind, number), ())),
            )
            for (kind, number), amounts in ledger.reservations(dpid).items()
        ]

    def _holder(self, attachment: Attachment, program: Installation) -> ReservationHolder:
        machine, groups = attachment.machine, self._engine.lifecycle.groups.count(program)
        expires = machine.deadline if machine.state is VsiState.HELD else None
        closed = program.phase in (Phase.STAGING, Phase.STAGED)
        staged = {**program.carried, **({"multicast": groups} if groups else {})} if closed else None
        place = attachment.text, attachment.port, attachment.phase, attachment.since, expires
        return ReservationHolder(*place, staged, program.refreshed if closed else None)

    # --- counters ---
    def icmp_errors(self, dpid: int) -> dict[str, int]:
        """Return the ICMP errors about balanced connections that a switch has sent up, by outcome."""
        counted = self._engine.translator.counted
        return {outcome: counted[dpid, outcome] for outcome in ICMP_OUTCOMES}

    def type_fetches(self) -> Iterator[FetchCount]:
        """Return the requests to VSI managers, by URL and outcome."""
        types = self._engine.types
        sources = types.managers.listed.values()
        for url in dict.fromkeys(source.url for source in sources if isinstance(source, HttpSource)):
            for outcome in FETCH_OUTCOMES:
                yield FetchCount(url, outcome, types.fetches[url, outcome])

    def memberships(self) -> Counter[int]:
        """Return the number of multicast groups that VSIs receive, by datapath id of their switch."""
        held: Counter[int] = Counter()
        for vsi in self._engine.registry:
            if vsi.owner is not None:
                held[vsi.owner.port.dpid] += len(self._engine.snooper.subscriptions(vsi))
        return held

    def membership_messages(self) -> dict[str, int]:
        """Return the membership messages, and those that were not taken, by name."""
        return {name: self._engine.snooper.counters[name] for name in MEMBERSHIP_COUNTERS}


def _evb_text(bridge_port: BridgePort, switch: SwitchState | None) -> str:
    # Before its switch is ready, frames of a port are not looked at, so there can be no agreement.
    if bridge_port.evb.state is not EvbState.DOWN:
        return str(bridge_port.evb.state.value)
    if switch is None:
        return "switch disconnected"
    return "switch not ready" if switch.ports.get(bridge_port.port.port_no) else EvbState.DOWN.value


def _by_table(amounts: Mapping[SwitchResource, Amount]) -> dict[str, Amount]:
    """Amounts of rules by name of the table."""
    return {
        Table(resource.number).name: amount
        for resource, amount in amounts.items()
        if resource.kind is ResourceKind.TABLE
    }
