"""Metrics of the daemon for Prometheus."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.registry import Collector

from ryu_apps.station.hosted import HostedVsi

#: Verb and result of a call -> number of answers.
AnswerCounts = Counter[tuple[str, str]]


class DaemonMetrics(Collector):
    """Figures that a scrape reads: VSIs by state, uplinks, answers."""

    def __init__(
        self, vsis: Callable[[], list[HostedVsi]], uplinks: Callable[[], dict[str, bool]], answers: AnswerCounts
    ) -> None:
        """
        Args:
            vsis: returns every VSI.
            uplinks: returns whether each uplink has a link, by name.
            answers: counted elsewhere.
        """
        self._vsis, self._uplinks, self._answers = vsis, uplinks, answers

    def collect(self) -> Iterator[GaugeMetricFamily | CounterMetricFamily]:
        """The families of a scrape."""
        vsis = GaugeMetricFamily("evb_station_vsis", "VSIs by state.", labels=["uplink", "state"])
        for (uplink, state), number in Counter((vsi.uplink, vsi.state) for vsi in self._vsis()).items():
            vsis.add_metric([uplink, state], number)
        up = GaugeMetricFamily("evb_station_uplink_up", "1 if the uplink has a link.", labels=["uplink"])
        for uplink, is_up in self._uplinks().items():
            up.add_metric([uplink], is_up)
        calls = CounterMetricFamily("evb_station_calls", "Answered calls.", labels=["verb", "result"])
        for labels, number in self._answers.items():
            calls.add_metric(labels, number)
        yield from (vsis, up, calls)

    def serve(self, host: str, port: int) -> None:
        """Serve them over HTTP in a thread; OSError if the address cannot be used."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        start_http_server(port, host, registry)
