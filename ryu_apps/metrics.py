"""Prometheus metrics of one bridge: counters of log events, and gauges read from the engine.

Labels follow FAUCET's: ``dp_id`` in hexadecimal, ``dp_name``; durations are in seconds.  Every series
of a configured switch exists from the start, so that Prometheus sees the first increment.
"""

from __future__ import annotations

from collections import Counter as Tally
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from ryu_apps.evb.alarms import TABLE, Alarms
from ryu_apps.evb.bridge.queries import BridgeQueries, StationStatus
from ryu_apps.evb.event_catalogue.base import LogEvent, VsiEvent
from ryu_apps.evb.event_catalogue.bridge import AlarmRaised
from ryu_apps.evb.event_catalogue.vsis import (
    BodyStaged,
    BodyStaging,
    UnsolicitedDeassociate,
    VdpAnswered,
    VdpRequested,
    VsiGone,
)
from ryu_apps.evb.model import Phase
from ryu_apps.evb.protocol import vdp_bridge
from ryu_apps.evb.switches.mastership import MastershipState
from ryu_apps.evb.topology.fabric import PortId, Switch
from ryu_apps.evb.wire.status import ResponseStatus, VdpError
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.listening.descriptors import DESCRIPTORS

__all__ = ["CONTENT_TYPE", "Metrics"]

CONTENT_TYPE = CONTENT_TYPE_LATEST

_DP = ("dp_id", "dp_name")
_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
#: Reasons for which frames of a station are dropped; the keys of ``BridgePort.counters``.
_DROPS = ("malformed", "draft_ecp", "foreign", "not_the_station", "over_budget")


class _FamilyRegistry(NamedTuple):
    """A registry of one family."""

    family: Metric

    def collect(self) -> Iterator[Metric]:
        """The family."""
        yield self.family


class _Place(NamedTuple):
    """One VSI at one port."""

    vsi: str
    port: PortId


class Metrics:
    """Counters that observe every log event; :meth:`exposition` is the text that Prometheus reads."""

    def __init__(self, queries: BridgeQueries, alarms: Alarms) -> None:
        self._switches = queries.fabric.switches
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "evb_vdp_requests",
            "VDP requests by type and answer, without keep-alives",
            (*_DP, "type", "reason"),
            registry=self._registry,
        )
        self._expired = Counter(
            "evb_keepalive_expired",
            "VSIs withdrawn because their station sent no keep-alive",
            _DP,
            registry=self._registry,
        )
        self._alarms = Counter(
            "evb_alarms_raised", "Alarms that were raised", ("kind", "severity"), registry=self._registry
        )
        for row in TABLE:
            self._alarms.labels(row.kind, row.severity.value)
        self._staging = self._stopwatch("evb_stage_secs", "From the first rule staged to all of them confirmed")
        self._activation = self._stopwatch("evb_activation_secs", "From an Associate to its answer")
        self._state = _State(queries)
        self._registry.register(self._state)
        self._registry.register(_Alarms(alarms, self._switches))
        self._registry.register(_Descriptors())
        for switch in self._switches.values():
            self._begin_at_zero(_labels(switch))

    def add(self, collector: Collector) -> None:
        """Show the families of a further collector, too."""
        self._registry.register(collector)

    def show(self, queries: BridgeQueries) -> None:
        """Read gauges from another engine; what was under way in the one before is not completed."""
        self._state.queries = queries
        for stopwatch in (self._staging, self._activation):
            stopwatch.forget_all()

    def observe(self, happened: LogEvent, now: float) -> None:
        """Count a log event of ``now``, monotonic seconds."""
        match happened:
            case AlarmRaised(alarm=kind, severity=severity):
                self._alarms.labels(kind, severity.value).inc()
            case VsiEvent():
                self._observe_vsi(happened, now)

    def _observe_vsi(self, happened: VsiEvent, now: float) -> None:
        labels = _labels(self._switches[happened.port.dpid])
        place = _Place(happened.vsi, happened.port)
        match happened:
            case VdpRequested(mode=VdpMode.ASSOCIATE):
                self._activation.start(place, now)
            case VdpAnswered(mode=mode, status=status):
                self._answered(mode, status, place, labels, now)
            case BodyStaging():
                self._staging.start(place, now)
            case BodyStaged():
                self._staging.stop(place, labels, now)
            case UnsolicitedDeassociate(reason=vdp_bridge.LAPSED):
                self._expired.labels(*labels).inc()
            case VsiGone():
                self._staging.forget(place)
                self._activation.forget(place)

    def exposition(self) -> Iterator[bytes]:
        """All metrics in the text format whose content type is :data:`CONTENT_TYPE`, a family at a time."""
        for family in self._registry.collect():
            yield generate_latest(_FamilyRegistry(family))

    def _answered(
        self, mode: VdpMode, status: ResponseStatus, place: _Place, labels: tuple[str, str], now: float
    ) -> None:
        self._requests.labels(*labels, mode.name.lower(), VdpError(status.error).name.lower()).inc()
        if not status.success:
            self._staging.forget(place)
        if mode is VdpMode.ASSOCIATE:
            if status.success:
                self._activation.stop(place, labels, now)
            self._activation.forget(place)

    def _begin_at_zero(self, labels: tuple[str, str]) -> None:
        self._expired.labels(*labels)
        for mode in VdpMode:
            self._requests.labels(*labels, mode.name.lower(), VdpError.SUCCESS.name.lower())
        for stopwatch in (self._staging, self._activation):
            stopwatch.histogram.labels(*labels)

    def _stopwatch(self, name: str, documentation: str) -> _Stopwatch:
        return _Stopwatch(Histogram(name, documentation, _DP, buckets=_BUCKETS, registry=self._registry))


class _Stopwatch:
    """Durations of one kind of operation on a VSI at a port."""

    def __init__(self, histogram: Histogram) -> None:
        self.histogram = histogram
        self._began: dict[_Place, float] = {}

    def start(self, place: _Place, now: float) -> None:
        """Start, unless started already: the time of a repeated request counts from the first one."""
        self._began.setdefault(place, now)

    def stop(self, place: _Place, labels: tuple[str, str], now: float) -> None:
        """Observe the duration, if there is a start."""
        began = self._began.pop(place, None)
        if began is not None:
            self.histogram.labels(*labels).observe(now - began)

    def forget(self, place: _Place) -> None:
        """Drop the start: the operation will not be completed."""
        self._began.pop(place, None)

    def forget_all(self) -> None:
        """Drop all starts."""
        self._began.clear()


class _Descriptors(Collector):
    """File descriptors of the process, and connections that have not identified themselves yet."""

    def collect(self) -> Iterator[Metric]:
        """The families, freshly read."""
        yield GaugeMetricFamily("evb_descriptors_limit", "Limit of file descriptors", DESCRIPTORS.limit)
        yield GaugeMetricFamily("evb_descriptors", "File descriptors in use", DESCRIPTORS.in_use())
        waiting = GaugeMetricFamily("evb_connections", "Connections that count against a bound", labels=("server",))
        turned_away = CounterMetricFamily(
            "evb_connections_turned_away", "Connections closed or refused in favour of others", labels=("server",)
        )
        for server in DESCRIPTORS.servers:
            waiting.add_metric((server.name,), server.waiting)
            turned_away.add_metric((server.name,), server.turned_away)
        yield from (waiting, turned_away)


class _Alarms(Collector):
    """Alarms that are not cleared; a switch that is not configured has no name."""

    def __init__(self, alarms: Alarms, switches: Mapping[int, Switch]) -> None:
        self._alarms, self._switches = alarms, switches

    def collect(self) -> Iterator[Metric]:
        """One family, a series for each alarm."""
        labels = ("kind", "severity", *_DP, "port", "vsi", "about")
        family = GaugeMetricFamily("evb_alarm", "1 while the alarm is raised", labels=labels)
        for alarm in self._alarms:
            switch = self._switches.get(alarm.dpid) if alarm.dpid is not None else None
            where = ("" if alarm.dpid is None else hex(alarm.dpid), "" if switch is None else switch.name)
            port = "" if alarm.port is None else str(alarm.port.port_no)
            family.add_metric(
                (alarm.row.kind, alarm.row.severity.value, *where, port, alarm.vsi or "", alarm.subject), 1
            )
        yield family


class _State(Collector):
    """Gauges and counters that are read from the engine when Prometheus asks."""

    def __init__(self, queries: BridgeQueries) -> None:
        self.queries = queries

    def collect(self) -> Iterator[Metric]:
        """The families, freshly read."""
        queries = self.queries
        phases, stations = queries.phases(), queries.stations()
        agreed = Tally(station.port.dpid for station in stations if station.station is not None)
        vsis = GaugeMetricFamily("evb_vsi_state", "Attachments of VSIs to ports by phase", labels=(*_DP, "state"))
        promised = GaugeMetricFamily("evb_reservations", "Rules reserved for VSIs", labels=_DP)
        budgets = GaugeMetricFamily("evb_rule_budget", "Rules that may be reserved, if limited", labels=_DP)
        ready = GaugeMetricFamily("evb_switch_ready", "The switch holds what it should", labels=_DP)
        masters = GaugeMetricFamily("evb_switch_master", "The switch has granted the role MASTER", labels=_DP)
        agreements = GaugeMetricFamily("evb_stations", "Station ports with an EVB agreement", labels=_DP)
        for status in queries.switches():
            labels, dpid = _labels(status.switch), status.switch.dpid
            for phase in Phase:
                vsis.add_metric((*labels, phase.value), phases[dpid, phase])
            promised.add_metric(labels, status.used)
            ready.add_metric(labels, status.ready)
            masters.add_metric(labels, status.mastership is MastershipState.MASTER)
            agreements.add_metric(labels, agreed[dpid])
            if status.budget is not None:
                budgets.add_metric(labels, status.budget)
        yield from (vsis, promised, budgets, ready, masters, agreements, self._of_bonds())
        yield from (*self._of_stations(stations), *self._of_multicast(), *self._of_vsis(), self._of_managers())
        yield self._of_errors()
        superseded = queries.fencing.superseded
        yield GaugeMetricFamily("evb_superseded", "Another bridge is newer, and this one stands aside", superseded)

    def _of_bonds(self) -> Metric:
        family = GaugeMetricFamily("evb_bond_link_up", "A link of a bond is up", labels=(*_DP, "port", "link"))
        known = {status.switch.dpid: status.links for status in self.queries.switches()}
        for port, interface in self.queries.fabric.bonds():
            labels = (*_labels(self.queries.fabric.switches[port.dpid]), str(port.port_no))
            for link in interface.links:
                family.add_metric((*labels, str(link)), known[port.dpid].get(link, False))
        return family

    def _of_errors(self) -> Metric:
        family = CounterMetricFamily(
            "evb_icmp_errors",
            "ICMP errors about balanced connections, by outcome",
            labels=(*_DP, "outcome"),
        )
        for dpid, switch in self.queries.fabric.switches.items():
            for outcome, errors in self.queries.icmp_errors(dpid).items():
                family.add_metric((*_labels(switch), outcome), errors)
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
        members = GaugeMetricFamily("evb_multicast_memberships", "Groups that VSIs receive", labels=_DP)
        for dpid, switch in self.queries.fabric.switches.items():
            members.add_metric(_labels(switch), held[dpid])
        messages = CounterMetricFamily(
            "evb_multicast_messages", "Membership messages, received and ignored, by kind", labels=("what",)
        )
        for name, count in self.queries.membership_messages().items():
            messages.add_metric((name,), count)
        yield from (members, messages)

    def _of_vsis(self) -> Iterator[Metric]:
        """Counters with the VSI as label and no switch, so that a series continues after a migration."""
        families = [
            CounterMetricFamily(f"evb_vsi_{what}", f"{what.capitalize()} of a VSI{more}", labels=("vsi", "direction"))
            for what, more in (
                ("packets", " that passed"),
                ("octets", " that passed"),
                ("refused_packets", ", refused by its ACL"),
                ("refused_octets", ", refused by its ACL"),
                ("guarded_packets", ", dropped by guards"),
                ("guarded_octets", ", dropped by guards"),
            )
        ]
        for vsi, totals in self.queries.statistics.counted():
            for direction, counts in totals.items():
                for family, value in zip(families, (value for count in counts for value in count), strict=True):
                    family.add_metric((vsi, direction.name.lower()), value)
        yield from families

    def _of_stations(self, stations: list[StationStatus]) -> Iterator[Metric]:
        dropped = CounterMetricFamily(
            "evb_frames_dropped", "Frames of stations that were dropped", labels=(*_DP, "port", "reason")
        )
        ecp = CounterMetricFamily("evb_ecp_errors", "Errors on ECP channels", labels=(*_DP, "port", "reason"))
        for station in stations:
            labels = (*_labels(self.queries.fabric.switches[station.port.dpid]), str(station.port.port_no))
            for reason in _DROPS:
                dropped.add_metric((*labels, reason), station.dropped[reason])
            for reason, count in station.ecp.items():
                ecp.add_metric((*labels, reason), count)
        yield from (dropped, ecp)


def _labels(switch: Switch) -> tuple[str, str]:
    return hex(switch.dpid), switch.name
