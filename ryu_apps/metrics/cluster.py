"""Metrics of a member of a cluster."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ryu_apps.evb.cluster.status import ClusterStatus


class ClusterMetrics(Collector):
    """The cluster as a member knows it, freshly read.

    Args:
        status: returns it for a time, monotonic seconds.
    """

    def __init__(self, status: Callable[[float], ClusterStatus]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """The families."""
        status = self._status(time.monotonic())
        yield GaugeMetricFamily("evb_cluster_leads", "This member leads the cluster", status.leads)
        # Rounded to the precision of a float: its low bits are drawn at random.
        yield GaugeMetricFamily("evb_cluster_generation", "Generation of the leader", status.generation)
        yield CounterMetricFamily("evb_cluster_leads_lost", "Leads that this member has lost", status.lost)
        yield GaugeMetricFamily("evb_cluster_silent_seconds", "Time since the lease was last renewed", status.silent)
        lag = GaugeMetricFamily("evb_cluster_lag_seconds", "Time by which a standby is behind", labels=("member",))
        for standby in status.standbys:
            if standby.lag is not None:
                lag.add_metric((standby.name,), standby.lag)
        yield lag
