"""Instances of appliances: which of them are in use, and where; the gates and detours that lead frames to them.

An instance is in use while its VSI is active, is of a type that may be one, the link of its port is up, and it is not
silent.  One at a host port needs no VSI.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from dataclasses import dataclass

import msgpack

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.bridge import ApplianceInstanceChanged
from ryu_apps.evb.flow.actions import Action, SetField
from ryu_apps.evb.flow.match import VLAN_PRESENT, Match
from ryu_apps.evb.flow.plan import RuleSet, rule_set
from ryu_apps.evb.flow.rule import Group, Rule
from ryu_apps.evb.pipeline.appliances import (
    FAILED,
    appliance_groups,
    leg_destinations,
    parts_of,
    passed_destinations,
)
from ryu_apps.evb.pipeline.gate import detour, to_vm_metadata
from ryu_apps.evb.pipeline.tables import ALL_METADATA, CookieKind, Direction, Priority, Table, cookie
from ryu_apps.evb.record_kinds import INSTANCE_DOWN, SILENT
from ryu_apps.evb.services.appliance.claims import appliance_of
from ryu_apps.evb.services.body import entry_of
from ryu_apps.evb.topology.appliance import Appliance, ApplianceInstance
from ryu_apps.evb.topology.appliance_ports import parts_at_hosts
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.topology.interface import Interface
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.installation import Installation


@dataclass(slots=True)
class PartPlace:
    """The place of a router, or of one leg of a bump in the wire.

    Attributes:
        vsi: canonical text of its active VSI; None: it is at a host port.
        port: that one, or that of its station.
        up: the link of that port is up.
    """

    vsi: str | None
    port: PortId
    up: bool = True


class Steering:
    """Instances of all appliances of a fabric.

    Attributes:
        places: appliance -> instance and VID -> where this part of it is; those of VMs without an active VSI are
            left out.
        host_ports: the host ports with parts of instances.
        noticed: called with the event of an instance that is put to use or out of it.
    """

    def __init__(self, fabric: Fabric, wiring: TrunkGraph) -> None:
        self._fabric = fabric
        self._wiring = wiring
        self.places: dict[str, dict[tuple[str, int], PartPlace]] = {
            found.name: {part: PartPlace(None, port) for part, port in parts_at_hosts(fabric, found).items()}
            for found in fabric.appliances
        }
        self.host_ports = frozenset(place.port for places in self.places.values() for place in places.values())
        self._down: set[PortId] = set()
        self._noted: set[PortId] = set()
        self._silent: dict[str, set[str]] = {found.name: set() for found in fabric.appliances}
        self.noticed: Callable[[LogEvent], None] = lambda event: None

    def place(self, vsi: str, port: PortId | None, program: Installation | None) -> dict[int, tuple[Group, ...]]:
        """Record that a VSI is active at a port by a program, None: at no port; returns changed groups by switch."""
        changed = [found for found in self._fabric.appliances if self._record(found, vsi, port, program)]
        return self._groups_of(changed)

    def concerns(self, vsi: str, program: Installation) -> bool:
        """True if a VSI is part of an instance, or may become one by a program."""
        known = any(place.vsi == vsi for places in self.places.values() for place in places.values())
        return known or any(_may_be(program, name) for name in self.places)

    def link(self, port: PortId, up: bool) -> dict[int, tuple[Group, ...]]:
        """Record the link state of a station port or a host port; returns the changed groups by switch."""
        (self._down.discard if up else self._down.add)(port)
        changed = [found for found in self._fabric.appliances if self._changed(found, port, up)]
        return self._groups_of(changed)

    def link_record(self, port: PortId) -> dict[str, bytes | None]:
        """Return the record of a port, if it has changed: the next controller has to know that an instance is down.

        Until that has heard all switches it leads nothing there.
        """
        there = (part for parts in self.places.values() for part in parts.values() if part.port == port)
        down = any(not part.up for part in there)
        if down is (port in self._noted):
            return {}
        (self._noted.add if down else self._noted.discard)(port)
        return {INSTANCE_DOWN.key(port): b"down" if down else None}

    def restore_links(self, records: Mapping[str, bytes], stations: Iterable[PortId]) -> None:
        """Restore the ports that were down; they may be host ports, or those of stations."""
        self._noted = {port for port in (*stations, *self.host_ports) if INSTANCE_DOWN.key(port) in records}
        for port in self._noted:
            self.link(port, False)

    # --- instances that do not answer ---
    def is_silent(self, appliance: str, instance: str) -> bool:
        """True if an instance has been judged not to answer."""
        return instance in self._silent[appliance]

    def judge(self, appliance: str, instance: str, silent: bool) -> dict[int, tuple[Group, ...]]:
        """Take an instance that does not answer out of use, or put it back; returns the changed groups by switch."""
        found = next(each for each in self._fabric.appliances if each.name == appliance)
        used, parts = self.in_use(found), self.places[appliance]
        (self._silent[appliance].add if silent else self._silent[appliance].discard)(instance)
        self._notice(found, used, {part: place for part, place in parts.items() if part[0] == instance})
        return self._groups_of([found])

    def record(self, appliance: str) -> tuple[str, bytes | None]:
        """Key and record of the silent instances of an appliance; None: there are none."""
        silent = sorted(self._silent[appliance])
        return SILENT.key(appliance), msgpack.packb(silent) if silent else None

    def restore(self, records: Mapping[str, bytes]) -> Iterator[str]:
        """Restore silent instances from their records; yields the keys of records that cannot be used."""
        probed = {found.name: found for found in self._fabric.appliances if found.probing is not None}
        for key, data in records.items():
            try:
                appliance, silent = probed[SILENT.subject_of(key)], set(msgpack.unpackb(data))
                self._silent[appliance.name] = silent & {instance.name for instance in appliance.instances}
            except (KeyError, ValueError, TypeError, msgpack.UnpackException):
                yield key

    # --- instances in use ---
    def groups(self, dpid: int) -> Iterator[Group]:
        """Yield all groups of a switch in their desired state."""
        if self._fabric.appliances:
            yield FAILED
        for appliance in self._fabric.appliances:
            yield from appliance_groups(self._wiring, dpid, appliance, self.in_use(appliance))

    def in_use(self, appliance: Appliance) -> dict[str, dict[Direction, int]]:
        """Return the instances that get traffic: name -> the switch where frames of each direction come to it."""
        found = {}
        for instance in appliance.instances:
            parts = self.parts(appliance, instance)
            if parts and all(part.up for part in parts) and not self.is_silent(appliance.name, instance.name):
                homes = [part.port.dpid for part in parts]
                found[instance.name] = {Direction.FROM_VM: homes[0], Direction.TO_VM: homes[-1]}
        return found

    def parts(self, appliance: Appliance, instance: ApplianceInstance) -> tuple[PartPlace, ...]:
        """Return the places of all parts of an instance, of a bump in the wire the inner one first; none: one lacks."""
        places = self.places[appliance.name]
        found = [places.get((instance.name, vid)) for vid in instance.legs or (appliance.vid,)]
        parts = tuple(part for part in found if part is not None)
        return parts if len(parts) == len(found) else ()

    def _record(self, appliance: Appliance, vsi: str, port: PortId | None, program: Installation | None) -> bool:
        places, used = self.places[appliance.name], self.in_use(appliance)
        before = {part: place for part, place in places.items() if place.vsi == vsi}
        after: dict[tuple[str, int], PartPlace] = {}
        if program is not None and port is not None and _may_be(program, appliance.name):
            parts = parts_of(appliance, program.binding.bindings)
            after = {(instance.name, vid): PartPlace(vsi, port, port not in self._down) for instance, vid in parts}
        if before == after:
            return False
        for part in before:
            del places[part]
        places.update(after)
        self._notice(appliance, used, {**before, **after})
        return True

    def _changed(self, appliance: Appliance, port: PortId, up: bool) -> bool:
        places, used = self.places[appliance.name], self.in_use(appliance)
        there = {part: place for part, place in places.items() if place.port == port and place.up != up}
        for place in there.values():
            place.up = up
        self._notice(appliance, used, there)
        return bool(there)

    def _notice(self, appliance: Appliance, before: Container[str], changed: dict[tuple[str, int], PartPlace]) -> None:
        used = self.in_use(appliance)
        named = {name: place for (name, _), place in changed.items()}
        for name, place in named.items():
            if (name in before) is not (name in used):
                noticed = place.port, place.vsi, appliance.name, name, name in used, len(used)
                self.noticed(ApplianceInstanceChanged(*noticed))

    def _groups_of(self, changed: list[Appliance]) -> dict[int, tuple[Group, ...]]:
        if not changed:
            return {}
        return {
            dpid: tuple(
                group for found in changed for group in appliance_groups(self._wiring, dpid, found, self.in_use(found))
            )
            for dpid in self._fabric.switches
        }


# --- gates ----------------------------------------------------------------------------------------
def steered_gate(fabric: Fabric, program: Installation, interface: Interface) -> RuleSet:
    """The part of the gate of a client or an instance at its own switch, for frames to and from appliances."""
    owner = _owner(program)
    written = to_vm_metadata(interface.port_no, program.binding.vsi_index, program.epoch), ALL_METADATA
    return rule_set(
        Rule(
            *(Table.FORWARD, Priority.EXACT, found, owner),
            apply=() if vid is None else (SetField("vlan_vid", VLAN_PRESENT | vid),),
            metadata=written,
            # Behind STEER: these frames have passed.
            goto=entry_of(program.vsi_type) if vid is None else Table.ACL_TO,
        )
        for found, vid in _destinations(fabric, program)
    )


def remote_steered_gate(fabric: Fabric, program: Installation, output: Action) -> RuleSet:
    """The same at any other switch: towards its own."""
    owner = _owner(program)
    return rule_set(
        Rule(Table.FORWARD, Priority.EXACT, found, owner, apply=(output,))
        for found, _ in _destinations(fabric, program)
    )


def detour_of(
    fabric: Fabric, wiring: TrunkGraph, dpid: int, target: int, program: Installation, seconds: int
) -> RuleSet:
    """The detour of a VSI, with that of frames from and to appliances."""
    more = tuple(found for found, _ in _destinations(fabric, program))
    return detour(fabric, wiring, dpid, target, program.binding, seconds, more)


def passed_frames(fabric: Fabric, program: Installation) -> tuple[tuple[Match, int], ...]:
    """Matches of frames for a client that have passed its appliance, and the VID that they get."""
    return tuple((found, vid) for found, vid in _destinations(fabric, program) if vid is not None)


def _destinations(fabric: Fabric, program: Installation) -> Iterator[tuple[Match, int | None]]:
    """Matches of frames for a VSI in VLANs of appliances, and the VID that they get; None: they keep theirs."""
    policy, bindings = appliance_of(program.vsi_type), program.binding.bindings
    if policy is None:
        return
    if policy.through:
        for vid in dict.fromkeys(binding.vid for binding in bindings):
            found = fabric.appliance(policy.through, vid)
            if found is not None:
                yield from ((matched, vid) for matched in passed_destinations(found, bindings))
        return
    for appliance in fabric.appliances:
        if appliance.name == policy.instance_of:
            yield from ((matched, None) for matched in leg_destinations(appliance, bindings))


def _may_be(program: Installation, name: str) -> bool:
    policy = appliance_of(program.vsi_type)
    return policy is not None and policy.instance_of == name


def _owner(program: Installation) -> int:
    return cookie(CookieKind.GATE, program.binding.vsi_index, program.binding.generation)
