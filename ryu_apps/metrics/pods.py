"""Metrics of a pod."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ryu_apps.evb.pods.status import PodStatus


class PodMetrics(Collector):
    """The pod as its bridge knows it, freshly read.

    Args:
        status: returns it.
    """

    def __init__(self, status: Callable[[], PodStatus]) -> None:
        self._status = status

    def collect(self) -> Iterator[Metric]:
        """The families."""
        status = self._status()
        yield GaugeMetricFamily("evb_pod_directory", "The directory of pods answers", status.directory)
        yield GaugeMetricFamily("evb_pod_owned", "VSIs that this pod has according to the directory", status.owned)
        claims = CounterMetricFamily("evb_pod_claims", "Claims of VSIs and their ends", labels=("end",))
        for end, count in status.counters.items():
            claims.add_metric((end,), count)
        yield claims
        unreachable = GaugeMetricFamily("evb_pod_unreachable", "Another pod has not answered last", labels=("pod",))
        for pod in status.peers:
            unreachable.add_metric((pod,), pod in status.unreachable)
        yield unreachable
