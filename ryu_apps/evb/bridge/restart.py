"""From the records of an earlier life of the bridge, or of the bridge that it follows, back to its state.

Attachments depend on some records (:data:`FOUNDATIONS`), and others on attachments.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache, partial

from ryu_apps.evb.bridge.components import Components
from ryu_apps.evb.bridge.restore import Restorer
from ryu_apps.evb.events.effect import Save
from ryu_apps.evb.record_kinds import (
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
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.places import Place

#: Kinds of records on which the restoration of attachments depends.
FOUNDATIONS = (LINKS_DOWN, BALANCER, SILENT, INSTANCE_DOWN, VSI_TYPE)


class Restart:
    """Restores the state of the bridge, in three steps: foundations, attachments, dependents.

    Attributes:
        restorer: of attachments from their records.
    """

    def __init__(self, components: Components) -> None:
        self._components = components
        fabric, stations, vsi_ports = components.fabric, components.stations, components.vsi_ports

        @cache
        def place(port: PortId, vsi_port: str) -> Place | None:
            if vsi_port and port in stations:
                vsi_ports.assume(port.dpid, vsi_port)
            return Place.of(fabric, port, vsi_port) if port in stations else None

        lifecycle, types = components.lifecycle, components.types
        self.restorer = Restorer(components.registry, lifecycle, types, place, partial(unfit, fabric))

    def foundations(self, records: Mapping[str, bytes], now: float) -> None:
        """Restore what attachments depend on."""
        components, known = self._components, by_kind(records)
        components.rewiring.restore(known[LINKS_DOWN].get(LINKS_DOWN.key()))
        components.steering.restore_links(known[INSTANCE_DOWN], components.stations)
        unusable = *components.pools.restore(known[BALANCER]), *components.steering.restore(known[SILENT])
        if gone := dict.fromkeys(unusable):
            components.effects.put(Save(components.tokens.take(), gone))
        components.types.restore(known[VSI_TYPE], now)

    def follow(self, changes: Mapping[str, bytes | None], now: float) -> None:
        """Restore attachments from their records; those that have changed anew, and none from those that have gone."""
        for event in self.restorer.follow(changes, now):
            self._components.effects.put(event)

    def begin(self, now: float) -> None:
        """Restore what was left out of the attachments that were followed, and begin their times."""
        for event in self.restorer.begin(now):
            self._components.effects.put(event)

    def dependents(self, records: Mapping[str, bytes] | None, now: float) -> None:
        """Restore what depends on attachments, or on nothing."""
        components, known = self._components, by_kind(records or {})
        self._stations(known[RELAY], known[STATION])
        for failure in components.counters.restore(known[STATISTICS], known[SUMS], components.fabric.switches):
            components.effects.put(failure)
        lifecycle = components.lifecycle
        lifecycle.resumed(components.registry.attachments())
        lifecycle.interrupted.restore(known[OPENING], components.registry, components.fabric.switches, now)
        components.imports.resumed()
        components.recovery.restore(records, not self.restorer.left_out)
        lifecycle.installer.remember_ended(not components.recovery.over)
        lifecycle.installer.shared.others_use = components.recovery.in_grace
        components.associations.resume(known[DEPARTED], now)
        lifecycle.late.begin(components.fabric.switches, now)

    def _stations(self, relays: Mapping[str, bytes], stations: Mapping[str, bytes]) -> None:
        components = self._components
        for port, station in components.stations.items():
            if RELAY.key(port) in relays and not station.go_on_relaying():
                components.effects.put(Save(components.tokens.take(), {RELAY.key(port): None}))
            if mac := stations.get(STATION.key(port)):
                station.remember(int.from_bytes(mac))
