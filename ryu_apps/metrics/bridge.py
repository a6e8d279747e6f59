"""All metrics of one bridge: counters of log events, and what other collectors read."""

from __future__ import annotations

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Histogram, ProcessCollector, disable_created_metrics
from prometheus_client.registry import Collector

from ryu_apps.evb.alarm_table import TABLE
from ryu_apps.evb.alarms import Alarms
from ryu_apps.evb.bridge.queries import BridgeQueries
from ryu_apps.evb.cluster.outputs import ClaimReason
from ryu_apps.evb.event_catalogue.base import LogEvent, VsiEvent
from ryu_apps.evb.event_catalogue.bridge import AlarmRaised
from ryu_apps.evb.event_catalogue.cluster import LeadBegun
from ryu_apps.evb.event_catalogue.switches import SwitchTakenOver
from ryu_apps.evb.event_catalogue.vsis import (
    BodyStaged,
    BodyStaging,
    UnsolicitedDeassociate,
    VdpAnswered,
    VdpRequested,
    VsiGone,
)
from ryu_apps.evb.protocol import vdp_bridge
from ryu_apps.evb.topology.switch import Switch
from ryu_apps.evb.wire.status import ResponseStatus, VdpError
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.metrics.alarms import AlarmMetrics
from ryu_apps.metrics.engine import EngineMetrics
from ryu_apps.metrics.exposition import Exposition, exposition, with_old_names
from ryu_apps.metrics.labels import DP, dp_labels
from ryu_apps.metrics.process import BuildInfo, Descriptors
from ryu_apps.metrics.stopwatch import Place, Stopwatch

# Of each counter and histogram the time of its creation: twice as many series, which no query here needs.
disable_created_metrics()

_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0)
#: Up to the time for which a station waits for an answer by default.
_LONG_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


class Metrics:
    """Counters that observe every log event, and further collectors.

    Attributes:
        loop_lag: seconds by which the thread of deadlines woke late.
        store_latency: seconds from a record handed to the store to its answer.
        store_errors: records that the store has not saved.
    """

    def __init__(self, queries: BridgeQueries, alarms: Alarms) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "evb_vdp_requests",
            "VDP requests by type and answer, without keep-alives",
            (*DP, "type", "reason"),
            registry=self._registry,
        )
        self._expired = Counter(
            "evb_keepalive_expired",
            "VSIs withdrawn because their station sent no keep-alive",
            DP,
            registry=self._registry,
        )
        self._alarms = Counter(
            "evb_alarms_raised", "Alarms that were raised", ("kind", "severity"), registry=self._registry
        )
        for row in TABLE:
            self._alarms.labels(row.kind, row.severity.value)
        self._staging = self._stopwatch("evb_stage_seconds", "From the first rule staged to all of them confirmed")
        self._activation = self._stopwatch("evb_activation_seconds", "From an Associate to its answer")
        self._take_overs = Counter(
            "evb_cluster_take_overs",
            "Times at which this member took the lead after another, by the reason of the claim",
            ("reason",),
            registry=self._registry,
        )
        self._switch_take_overs = Counter(
            "evb_switch_take_overs",
            "Times at which a newer generation was taken, since the switch knew a strange one",
            DP,
            registry=self._registry,
        )
        self.loop_lag = Histogram(
            "evb_event_loop_lag_seconds",
            "Time by which the thread of deadlines woke late",
            buckets=_LONG_BUCKETS,
            registry=self._registry,
        )
        self.store_latency = Histogram(
            "evb_store_seconds",
            "From a record handed to the store to its answer",
            buckets=_LONG_BUCKETS,
            registry=self._registry,
        )
        self.store_errors = Counter("evb_store_errors", "Records that the store has not saved", registry=self._registry)
        self._state = EngineMetrics(queries)
        for collector in (self._state, AlarmMetrics(alarms, self._state), BuildInfo(), Descriptors()):
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)
        self._begin_at_zero()

    @property
    def starting(self) -> bool:
        """True while policies are read: the engine that is shown knows no VSI and serves no switch."""
        return self._state.starting

    @starting.setter
    def starting(self, starting: bool) -> None:
        self._state.starting = starting

    def add(self, collector: Collector) -> None:
        """Show the families of a further collector, too."""
        self._registry.register(collector)

    def show(self, queries: BridgeQueries) -> None:
        """Read gauges from another engine; what was under way in the one before is not completed."""
        self._state.queries = queries
        for stopwatch in (self._staging, self._activation):
            stopwatch.forget_all()
        self._begin_at_zero()

    @property
    def _switches(self) -> Mapping[int, Switch]:
        return self._state.queries.fabric.switches

    def observe(self, happened: LogEvent, now: float) -> None:
        """Count a log event of ``now``, monotonic seconds."""
        match happened:
            case AlarmRaised(alarm=kind, severity=severity):
                self._alarms.labels(kind, severity.value).inc()
            case LeadBegun(before=before, reason=reason) if before:
                self._take_overs.labels(reason).inc()
            case SwitchTakenOver(dpid=dpid) if dpid in self._switches:
                self._switch_take_overs.labels(*dp_labels(self._switches[dpid])).inc()
            case VsiEvent() if happened.port.dpid in self._switches:
                self._observe_vsi(happened, now)

    def _observe_vsi(self, happened: VsiEvent, now: float) -> None:
        labels = dp_labels(self._switches[happened.port.dpid])
        place = Place(happened.vsi, happened.port)
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

    def exposition(self, accept: str = "") -> Exposition:
        """All metrics, freshly read a family at a time, in the format that an Accept header asks for."""
        return exposition(with_old_names(self._registry.collect()), accept)

    def _answered(
        self, mode: VdpMode, status: ResponseStatus, place: Place, labels: tuple[str, str], now: float
    ) -> None:
        self._requests.labels(*labels, mode.name.lower(), VdpError(status.error).name.lower()).inc()
        if not status.success:
            self._staging.forget(place)
        if mode is VdpMode.ASSOCIATE:
            if status.success:
                self._activation.stop(place, labels, now)
            self._activation.forget(place)

    def _begin_at_zero(self) -> None:
        for reason in (ClaimReason.LAPSED, ClaimReason.GONE):
            self._take_overs.labels(reason.value)
        for labels in map(dp_labels, self._switches.values()):
            self._expired.labels(*labels)
            self._switch_take_overs.labels(*labels)
            for mode in VdpMode:
                self._requests.labels(*labels, mode.name.lower(), VdpError.SUCCESS.name.lower())
            for stopwatch in (self._staging, self._activation):
                stopwatch.histogram.labels(*labels)

    def _stopwatch(self, name: str, documentation: str) -> Stopwatch:
        return Stopwatch(Histogram(name, documentation, DP, buckets=_BUCKETS, registry=self._registry))
