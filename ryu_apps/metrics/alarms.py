"""Metrics of alarms."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ryu_apps.evb.alarms import Alarms
from ryu_apps.metrics.engine import EngineMetrics
from ryu_apps.metrics.labels import DP


class AlarmMetrics(Collector):
    """Alarms that are not cleared; a switch that is not configured has no name."""

    def __init__(self, alarms: Alarms, state: EngineMetrics) -> None:
        self._alarms, self._state = alarms, state

    def collect(self) -> Iterator[Metric]:
        """One family, a series for each alarm."""
        switches = self._state.queries.fabric.switches
        labels = ("kind", "severity", *DP, "port", "vsi", "about")
        family = GaugeMetricFamily("evb_alarm", "1 while the alarm is raised", labels=labels)
        for alarm in self._alarms:
            switch = switches.get(alarm.dpid) if alarm.dpid is not None else None
            where = ("" if alarm.dpid is None else hex(alarm.dpid), "" if switch is None else switch.name)
            port = "" if alarm.port is None else str(alarm.port.port_no)
            family.add_metric(
                (alarm.row.kind, alarm.row.severity.value, *where, port, alarm.vsi or "", alarm.subject), 1
            )
        yield family
