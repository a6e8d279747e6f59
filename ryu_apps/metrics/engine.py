"""Gauges and counters that are read from the engine when Prometheus asks."""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ryu_apps.evb.bridge.queries import BridgeQueries, StationStatus
from ryu_apps.evb.model import Phase
from ryu_apps.evb.switches.mastership import MastershipState
from ryu_apps.metrics.labels import DP, dp_labels

#: Reasons for which frames of a station are dropped; the keys of ``BridgePort.counters``.
_DROPS = ("malformed", "draft_ecp", "foreign", "not_the_station", "over_budget")


class EngineMetrics(Collector):
    """Gauges and counters that are read from the engine when Prometheus asks.

    Attributes:
        queries: to the engine.
        starting: it serves no switch yet, so that there is nothing to be read from it.
    """

    def __init__(self, queries: BridgeQueries) -> None:
        self.queries = queries
        self.starting = False

    def collect(self) -> Iterator[Metric]:
        """The families, freshly read."""
        yield GaugeMetricFamily("evb_starting", "Policies are being read, and no VSI is known yet", self.starting)
        if not self.starting:
            yield from self._of_engine()

    def _of_engine(self) -> Iterator[Metric]:
        queries = self.queries
        phases, stations = queries.phases(), queries.stations()
        agreed = Tally(station.port.dpid for station in stations if station.station is not None)
        vsis = GaugeMetricFamily("evb_vsi_state", "Attachments of VSIs to ports by phase", labels=(*DP, "state"))
        promised = GaugeMetricFamily("evb_reservations", "Rules reserved for VSIs", labels=DP)
        budgets = GaugeMetricFamily("evb_rule_budget", "Rules that may be reserved, if limited", labels=DP)
        ready = GaugeMetricFamily("evb_switch_ready", "The switch holds what it should", labels=DP)
        masters = GaugeMetricFamily("evb_switch_master", "The switch has granted the role MASTER", labels=DP)
        agreements = GaugeMetricFamily("evb_stations", "Station ports with an EVB agreement", labels=DP)
        for status in queries.switches():
            labels, dpid = dp_labels(status.switch), status.switch.dpid
            for phase in Phase:
                vsis.add_metric((*labels, phase.value), phases[dpid, phase])
            promised.add_metric(labels, status.used)
            ready.add_metric(labels, status.ready)
            masters.add_metric(labels, status.mastership is MastershipState.MASTER)
            agreements.add_metric(labels, agreed[dpid])
            if status.budget is not None:
                budgets.add_metric(labels, status.budget)
        yield from (vsis, promised, budgets, ready, masters, agreements, self._of_bonds(), *self._of_links())
        yield from (*self._of_stations(stations), *self._of_multicast(), *self._of_vsis(), self._of_managers())
        yield from (self._of_errors(), *self._of_vswitches(), self._of_appliances())
        superseded = queries.fencing.superseded
        yield GaugeMetricFamily("evb_superseded", "Another bridge is newer, and this one stands aside", superseded)

    def _of_bonds(self) -> Metric:
        family = GaugeMetricFamily("evb_bond_link_up", "A link of a bond is up", labels=(*DP, "port", "link"))
        known = {status.switch.dpid: status.links for status in self.queries.switches()}
        for port, interface in self.queries.fabric.bonds():
            labels = (*dp_labels(self.queries.fabric.switches[port.dpid]), str(port.port_no))
            for link in interface.links:
                family.add_metric((*labels, str(link)), known[port.dpid].get(link, False))
        return family

    def _of_links(self) -> Iterator[Metric]:
        """Links between switches; a series for each end."""
        labels = (*DP, "port")
        up = GaugeMetricFamily("evb_link_up", "A link between two switches is up", labels=labels)
        miswired = GaugeMetricFamily(
            "evb_link_miswired", "A link between two switches leads to another port than configured", labels=labels
        )
        for link in self.queries.links():
            for port in link.ports:
                values = (*dp_labels(self.queries.fabric.switches[port.dpid]), str(port.port_no))
                up.add_metric(values, link.up)
                miswired.add_metric(values, link.miswired)
        yield from (up, miswired)

    def _of_vswitches(self) -> Iterator[Metric]:
        """VSIs and traffic of each vSwitch; none that might be less than before a restart."""
        vsis = GaugeMetricFamily(
            "evb_vswitch_vsis", "Attachments of VSIs to a vSwitch by phase", labels=("vswitch", "state")
        )
        packets, octets = (
            CounterMetricFamily(
                f"evb_vswitch_{what}", f"{words}, of VSIs while at a vSwitch", labels=("vswitch", "direction")
            )
            for what, words in (("packets", "Packets that passed"), ("bytes", "Bytes that passed"))
        )
        for status in self.queries.vswitches.all():
            name = status.vswitch.name
            for phase in Phase:
                vsis.add_metric((name, phase.value), status.phases.get(phase, 0))
            for direction, frames in status.totals.items() if status.complete else ():
                packets.add_metric((name, direction.name.lower()), frames.passed[0])
                octets.add_metric((name, direction.name.lower()), frames.passed[1])
        yield from (vsis, packets, octets)

    def _of_appliances(self) -> Metric:
        family = GaugeMetricFamily(
            "evb_appliance_instances", "Instances of an appliance that get traffic", labels=("appliance",)
        )
        for status in self.queries.appliances.all():
            family.add_metric((status.appliance.name,), len(status.in_use))
        return family

    def _of_errors(self) -> Metric:
        family = CounterMetricFamily(
            "evb_icmp_errors",
            "ICMP errors about balanced connections, by outcome",
            labels=(*DP, "outcome"),
        )
        for dpid, switch in self.queries.fabric.switches.items():
            for outcome, errors in self.queries.icmp_errors(dpid).items():
                family.add_metric((*dp_labels(switch), outcome), errors)
        return family

    def _of_managers(self) -> Metric:
        fetches = CounterMetricFamily(
            "evb_vsitype_fetches", "Requests to VSI managers, by outcome", labels=("url", "outcome")
        )
        for url, outcome, requests in self.queries.type_fetches():
            fetches.add_metric((url, outcome), requests)
        return fetches

    def _of_multicast(self) -> Iterator[Metric]:
        held = self.queries.memberships()
        members = GaugeMetricFamily("evb_multicast_memberships", "Groups that VSIs receive", labels=DP)
        for dpid, switch in self.queries.fabric.switches.items():
            members.add_metric(dp_labels(switch), held[dpid])
        messages = CounterMetricFamily(
            "evb_multicast_messages", "Membership messages, received and ignored, by kind", labels=("what",)
        )
        for name, count in self.queries.membership_messages().items():
            messages.add_metric((name,), count)
        yield from (members, messages)

    def _of_vsis(self) -> Iterator[Metric]:
        """Counters with the VSI as label and no switch, so that a series continues after a migration."""
        families: list[CounterMetricFamily | GaugeMetricFamily] = [
            CounterMetricFamily(f"evb_vsi_{what}", f"{what.capitalize()} of a VSI{more}", labels=("vsi", "direction"))
            for what, more in (
                ("packets", " that passed"),
                ("bytes", " that passed"),
                ("refused_packets", ", refused by its ACL"),
                ("refused_bytes", ", refused by its ACL"),
                ("guarded_packets", ", dropped by guards"),
                ("guarded_bytes", ", dropped by guards"),
            )
        ]
        families += [
            GaugeMetricFamily(
                f"evb_vsi_carried_{what}",
                f"{what.capitalize()} of a VSI that were given to this bridge",
                labels=("vsi", "direction"),
            )
            for what in ("packets", "bytes")
        ]
        ports = GaugeMetricFamily(
            "evb_vsi_port", "Port of a VSI with statistics", labels=(*DP, "port", "vsi", "extraction")
        )
        for counted in self.queries.statistics.counted():
            for direction, counts in counted.frames.items():
                values = (*(value for count in counts for value in count), *counted.base[direction])
                for family, value in zip(families, values, strict=True):
                    family.add_metric((counted.vsi, direction.name.lower()), value)
            switch = self.queries.fabric.switches.get(counted.port.dpid) if counted.port is not None else None
            if switch is not None and counted.port is not None:
                labels = (*dp_labels(switch), str(counted.port.port_no))
                ports.add_metric((*labels, counted.vsi, "nms" if counted.carried_by_nms else "controller"), 1)
        yield from (*families, ports)

    def _of_stations(self, stations: list[StationStatus]) -> Iterator[Metric]:
        dropped = CounterMetricFamily(
            "evb_frames_dropped", "Frames of stations that were dropped", labels=(*DP, "port", "reason")
        )
        ecp = CounterMetricFamily("evb_ecp_errors", "Errors on ECP channels", labels=(*DP, "port", "reason"))
        for station in stations:
            labels = (*dp_labels(self.queries.fabric.switches[station.port.dpid]), str(station.port.port_no))
            for reason in _DROPS:
                dropped.add_metric((*labels, reason), station.dropped[reason])
            for reason, count in station.ecp.items():
                ecp.add_metric((*labels, reason), count)
        yield from (dropped, ecp)
