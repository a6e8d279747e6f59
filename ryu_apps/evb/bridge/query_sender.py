"""Frames of IGMP and MLD queries: to one VSI by its own address at its own port, or to all host ports of a VLAN."""

from __future__ import annotations

from collections.abc import Container, Iterator

from ryu_apps.evb.events.effect import SendFrame
from ryu_apps.evb.model import Binding
from ryu_apps.evb.pipeline.bonds import controller_group
from ryu_apps.evb.ports.bridge_port import bridge_mac
from ryu_apps.evb.services.body import multicast_of
from ryu_apps.evb.services.multicast.schema import MulticastPolicy
from ryu_apps.evb.snooping.messages import GroupQuery, query
from ryu_apps.evb.snooping.settings import Snooping
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Interface, Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.registry import Vsi
from ryu_apps.evb.vsi.vsi_port_table import VsiPortTable


class QuerySender:
    """Builder of the frames of queries."""

    def __init__(self, fabric: Fabric, vsi_ports: VsiPortTable, up: Container[int], settings: Snooping) -> None:
        """
        Args:
            up: switches that can be asked to send something.
        """
        self._fabric = fabric
        self._vsi_ports = vsi_ports
        self._up = up
        self._settings = settings

    def hosts(self, vid: int, asked: GroupQuery) -> Iterator[SendFrame]:
        """Yield a query for each host port of a VLAN."""
        for port in self._fabric.ports(Role.HOST):
            interface = self._fabric.interface(port)
            if interface is not None and vid in interface.vids:
                yield from self._frame(port, interface, None, vid, asked)

    def vsi(self, vsi: Vsi, binding: Binding, asked: GroupQuery) -> Iterator[SendFrame]:
        """Yield a query for one VSI by one of its addresses at its port; none if it is not active."""
        if vsi.owner is None or vsi.gate_program is None:
            return
        port = vsi.owner.port
        interface = self._vsi_ports.behind(port, vsi.gate_program.binding)
        if interface is not None:
            place = PortId(port.dpid, interface.port_no)
            yield from self._frame(place, interface, binding.mac, binding.vid, asked)

    def _frame(
        self, port: PortId, interface: Interface, mac: int | None, vid: int, asked: GroupQuery
    ) -> Iterator[SendFrame]:
        if port.dpid not in self._up:
            return
        there = self._fabric.switches[port.dpid].translation.local(vid) if interface.has_local_vids else vid
        tci = None if there == interface.native_vlan else there
        timers = self._settings.querying(vid).timers
        yield SendFrame(port, query(asked, timers, bridge_mac(port), mac, tci), controller_group(interface))


def multicast_at(vsi: Vsi) -> MulticastPolicy | None:
    """Return the multicast policy of an active VSI; None: it is not active, or has none."""
    program = vsi.gate_program
    return None if program is None else multicast_of(program.vsi_type, program.binding.bindings)
