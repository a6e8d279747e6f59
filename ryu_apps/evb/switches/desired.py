"""Desired rules, groups and meters of each switch, computed from the fabric and the registry alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import NamedTuple

from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.features import SwitchFeatures, lacking
from ryu_apps.evb.flow.plan import RuleSet, merge, rule_set
from ryu_apps.evb.flow.portions import finish, in_parts
from ryu_apps.evb.flow.rule import (
    Group,
    GroupType,
    Meter,
    Rule,
)
from ryu_apps.evb.pipeline.appliance_ports import appliance_port_rules
from ryu_apps.evb.pipeline.appliance_probes import probe_meters, probe_rules
from ryu_apps.evb.pipeline.appliances import appliance_rules
from ryu_apps.evb.pipeline.bonds import follows, learnt_cookie
from ryu_apps.evb.pipeline.copies import limit_of_copies
from ryu_apps.evb.pipeline.guards import guards, plain_guards
from ryu_apps.evb.pipeline.infrastructure import infrastructure, port_groups, routed
from ryu_apps.evb.pipeline.load_balancers import balancer_meters, balancer_rules, clients, hosts_cookie
from ryu_apps.evb.pipeline.metered_gate import stops
from ryu_apps.evb.pipeline.mirrors import mirrors
from ryu_apps.evb.pipeline.proxies import appliances
from ryu_apps.evb.pipeline.punting import MORE_RULES, punting
from ryu_apps.evb.pipeline.tables import FLOOD_GROUP, CookieKind, Table, cookie
from ryu_apps.evb.pipeline.uplinks import uplinks
from ryu_apps.evb.pipeline.vsi_ports import vsi_port
from ryu_apps.evb.ports.bridge_port import BridgePort
from ryu_apps.evb.services.body import counters_of_vsi, meters_of_vsi
from ryu_apps.evb.switches.desired_state import DesiredState
from ryu_apps.evb.switches.samples import sample
from ryu_apps.evb.topology.fabric import Converge, Fabric
from ryu_apps.evb.topology.graph import Routes, TrunkGraph
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.vsi.copies import Copies
from ryu_apps.evb.vsi.gatekeeper import Gatekeeper
from ryu_apps.evb.vsi.in_flight import InFlight
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.lifecycle import Lifecycle
from ryu_apps.evb.vsi.registry import Attachment, Registry
from ryu_apps.evb.vsi.reservation import GROUPS, METERS, Amounts, in_tables

#: Rules that could be composed while the gates of a portion of VSIs, which are kept, are looked up.
_GATES_COMPOSED = 4


class _Base(NamedTuple):
    """The base of a switch, and from what it was composed beside the fabric.

    Composed again only if one of the two has changed: an audit compares it every few minutes, and each reading of the
    metrics counts it.  The rules are those that the bridge keeps as written to the switch, so they take no more memory.
    """

    routes: Routes
    vsi_ports: tuple[Interface, ...]
    change: RuleChange
    rules: RuleSet


class DesiredRules:
    """Read-only computation of the desired state from the parts that own it."""

    def __init__(
        self,
        fabric: Fabric,
        wiring: TrunkGraph,
        registry: Registry,
        gatekeeper: Gatekeeper,
        lifecycle: Lifecycle,
        in_flight: InFlight,
        copies: Copies,
        stations: Mapping[PortId, BridgePort],
    ) -> None:
        self._fabric, self._wiring, self._registry = fabric, wiring, registry
        self._gatekeeper, self._lifecycle, self._stations = gatekeeper, lifecycle, stations
        self._in_flight, self._copies = in_flight, copies
        self._hosts = _host_addresses(fabric)
        self._clients = clients(fabric)
        self._guards = RuleChange(add=tuple(guards(fabric)))
        self._stops = RuleChange(add=tuple(stops()))
        self._plain_guards = RuleChange(add=tuple(plain_guards(fabric)))
        self._of_balancers = RuleChange(
            add=tuple(balancer_rules(fabric.balancers)), meters=balancer_meters(fabric.balancers)
        )
        self._of_appliances = RuleChange(
            add=(*appliance_rules(fabric.appliances), *probe_rules(fabric.appliances)),
            meters=probe_meters(fabric.appliances),
        )
        self._bases: dict[int, _Base] = {}

    def base(self, dpid: int) -> RuleChange:
        """Return the rules, groups and meters of a switch that do not depend on stations and VSIs."""
        return self._base(dpid).change

    def _base(self, dpid: int) -> _Base:
        routes, vsi_ports = self._wiring.routes, tuple(self._gatekeeper.vsi_ports.interfaces(dpid))
        base = self._bases.get(dpid)
        if base is None or base.routes is not routes or base.vsi_ports != vsi_ports:
            change = self._compose_base(dpid, vsi_ports)
            base = self._bases[dpid] = _Base(routes, vsi_ports, change, rule_set(change.add))
        return base

    def _compose_base(self, dpid: int, vsi_ports: tuple[Interface, ...]) -> RuleChange:
        switch = self._fabric.switches[dpid]
        common = infrastructure(switch, self._wiring, self._hosts, self._clients)
        guarded, proxied = self._guards if switch.extended else self._plain_guards, appliances(self._fabric, dpid)
        # The configuration has no load balancers beside switches without extensions.
        copies = RuleChange(add=tuple(mirrors(self._fabric, dpid, self._wiring)))
        out = RuleChange(add=tuple(uplinks(self._fabric, dpid, self._wiring)))
        inspecting = RuleChange(add=tuple(appliance_port_rules(self._fabric, dpid, self._wiring)))
        metered = RuleChange() if switch.gate is GateMode.RULES or not switch.extended else self._stops
        copied = self._fabric.converge is Converge.COPY and switch.extended
        copying = limit_of_copies() if copied else RuleChange()
        edges = map(vsi_port, vsi_ports)
        return merge(
            *(common, guarded, proxied, self._of_balancers, self._of_appliances, inspecting, copies, out),
            *(metered, copying, *edges),
        )

    def routed(self, dpid: int) -> RuleChange:
        """Return the part of :meth:`base` that depends on the routes in force."""
        return routed(self._fabric.switches[dpid], self._wiring)

    def __call__(self, dpid: int, before: DesiredState | None = None) -> DesiredState:
        """Return the desired state of a switch; ``before`` is an earlier one, of which own rules are taken over."""
        return finish(self.in_steps(dpid, before))

    def in_steps(self, dpid: int, before: DesiredState | None = None) -> Generator[int, None, DesiredState]:
        """Compose the desired state of a switch; yields, after each step, the number of rules composed in it.

        Between two steps VSIs may come and go.  Which of them are in the state is then open.
        """
        _, _, base, of_base = self._base(dpid)
        rules: RuleSet = of_base | rule_set(self._punting_of_stations(dpid))
        yield len(rules)
        for body in [body for body in self._lifecycle.installer.bodies.values() if body.dpid == dpid]:
            for part in in_parts(body.block):
                rules.update((rule.key, rule) for rule in part)
                yield len(part)
        meters, counters = list(base.meters), list[Meter]()
        held = list(self._held(dpid))
        known = before.own if before is not None else {}
        composed: dict[object, tuple[object, tuple[Rule, ...]]] = {}
        for attachment, program in held:
            basis = self._lifecycle.installer.basis(attachment.port, program)
            found, own = known.get(program, (None, ()))
            if found != basis:
                own = self._lifecycle.installer.own_rules(attachment.port, program)
            composed[program] = basis, own
            rules.update((rule.key, rule) for rule in own)
            meters += self._meters_of(attachment, program)
            counters += counters_of_vsi(program.vsi_type, program.binding)
            yield len(own)
        for some in in_parts(list(self._registry)):
            for vsi in some:
                if gate := vsi.gates.get(dpid):
                    rules.update(gate)
            yield _GATES_COMPOSED
        rules.update(self._gatekeeper.flood_rules(dpid))
        return DesiredState(
            rules,
            self._groups(dpid, base),
            tuple(meters),
            frozenset(self._state_cookies(dpid, (program for _, program in held))),
            tuple(counters),
            self._lifecycle.counters.kept(dpid) | self._lifecycle.installer.idle_meters.kept(dpid),
            composed,
        )

    def meters(self, dpid: int) -> tuple[Meter, ...]:
        """Return the desired meters of a switch that may drop a frame, without composing its rules."""
        of_vsis = (self._meters_of(attachment, program) for attachment, program in self._held(dpid))
        return *self.base(dpid).meters, *(meter for meters in of_vsis for meter in meters)

    def _meters_of(self, attachment: Attachment, program: Installation) -> tuple[Meter, ...]:
        of_gate = self._gatekeeper.staged.meters(attachment, program)
        return *of_gate, *meters_of_vsi(program.vsi_type, program.binding)

    def groups(self, dpid: int) -> tuple[Group, ...]:
        """Return the desired groups of a switch, without composing its rules."""
        return self._groups(dpid, self.base(dpid))

    def _groups(self, dpid: int, base: RuleChange) -> tuple[Group, ...]:
        groups = {group.group_id: group for group in (*base.groups, *self._relay_groups(dpid))}
        of_appliances = self._gatekeeper.steering.groups(dpid)
        return *groups.values(), *self._gatekeeper.pools.groups(), *of_appliances, *self._gatekeeper.floods.groups(dpid)

    def learns(self, dpid: int) -> frozenset[int]:
        """Return the cookies of rules that a switch may write by itself now."""
        return frozenset(self._state_cookies(dpid, (program for _, program in self._held(dpid))))

    def unsuitable(self, dpid: int, features: SwitchFeatures) -> str | None:
        """Return what a switch lacks for its rules and those of VSIs; None: nothing that it tells of."""
        base, interfaces = self.base(dpid), self._fabric.switches[dpid].interfaces.values()
        samples = (rule for interface in interfaces for rule in sample(interface))
        flooded = self._gatekeeper.flood_rules(dpid).values()
        groups = (*base.groups, Group(FLOOD_GROUP, GroupType.ALL, ()))
        return lacking(features, (*base.add, *samples, *flooded), groups, len(base.meters))

    def budgeted(self, dpid: int) -> Amounts:
        """Return the most rules, meters and groups of a switch that do not depend on VSIs."""
        base = self.base(dpid)
        tables = Counter[int](rule.table for rule in base.add)
        tables[Table.ADMIT] += MORE_RULES * sum(port.dpid == dpid for port in self._stations)
        interfaces = self._fabric.switches[dpid].interfaces.values()
        tables[Table.BOND_LINK] += sum(len(interface.links) for interface in interfaces if follows(interface))
        flooded = self._gatekeeper.floods.of_hosts.get(dpid, RuleChange())
        tables.update(rule.table for rule in flooded.add)
        groups = len(base.groups) + len(flooded.groups) + sum(1 for _ in self._gatekeeper.pools.groups())
        groups += sum(1 for _ in self._gatekeeper.steering.groups(dpid))
        return in_tables(tables) + Counter({METERS: len(base.meters), GROUPS: groups})

    def counts(self) -> Counter[int]:
        """Return the number of desired rules of each switch, without composing those of VSIs."""
        found = Counter({dpid: len(self.base(dpid).add) for dpid in self._fabric.switches})
        for port, station in self._stations.items():
            found[port.dpid] += 0 if station.known is None else MORE_RULES
        for body in self._lifecycle.installer.bodies.values():
            found[body.dpid] += len(body.block)
        for vsi in self._registry:
            for port, attachment in vsi.attachments.items():
                found[port.dpid] += sum(program.own for program in attachment.holding.programs)
            found.update({dpid: len(gate) for dpid, gate in vsi.gates.items()})
        found.update({dpid: len(self._gatekeeper.flood_rules(dpid)) for dpid in self._fabric.switches})
        return found

    def _held(self, dpid: int) -> Iterator[tuple[Attachment, Installation]]:
        """Yield the programs that a switch holds or is about to hold."""
        for attachment in self._registry.attachments():
            if attachment.port.dpid == dpid:
                yield from ((attachment, program) for program in attachment.holding.programs)

    def _state_cookies(self, dpid: int, programs: Iterable[Installation]) -> Iterator[int]:
        left = [vsi.left.program for vsi in self._registry if vsi.left is not None and vsi.left.dpid == dpid]
        for program in (*programs, *left):
            yield cookie(CookieKind.STATE, program.binding.vsi_index, program.binding.generation)
        yield from map(hosts_cookie, self._fabric.balancers)
        yield from self._learnt_of_bonds(dpid)
        yield from self._in_flight.cookies(dpid)
        yield from self._copies.cookies(dpid)

    def _learnt_of_bonds(self, dpid: int) -> Iterator[int]:
        """Yield the cookies of rules that a switch learns for bonds."""
        interfaces = self._fabric.switches[dpid].interfaces.values()
        return (learnt_cookie(interface) for interface in interfaces if follows(interface))

    def _punting_of_stations(self, dpid: int) -> Iterator[Rule]:
        """Punting rules of ports whose station is known; they replace those of the base."""
        for port, station in self._stations.items():
            if port.dpid == dpid and station.known is not None:
                yield from punting(station.interface, station.known)

    def _relay_groups(self, dpid: int) -> list[Group]:
        return [
            group
            for port, station in self._stations.items()
            if port.dpid == dpid and station.relay
            for group in port_groups(station.interface, reflective_relay=True)
        ]


def _host_addresses(fabric: Fabric) -> dict[tuple[int, int], tuple[int, int]]:
    """Configured end systems: ``(vid, mac) -> (dpid, port_no)``."""
    return {
        (vid, mac): (port.dpid, port.port_no)
        for port in fabric.ports(Role.HOST)
        if (interface := fabric.interface(port))
        for vid in interface.vids
        for mac in interface.macs
    }
