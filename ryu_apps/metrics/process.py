"""Metrics of the process: version, memory and time by ``/proc``, file descriptors, connections."""

from __future__ import annotations

import platform
from collections.abc import Iterator
from importlib.metadata import version

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.registry import Collector

from ryu_apps.listening.descriptors import DESCRIPTORS
from ryu_apps.version import VERSION


class BuildInfo(Collector):
    """Versions, as labels of a series that is always 1."""

    def collect(self) -> Iterator[Metric]:
        """The family."""
        versions = {"version": VERSION, "python": platform.python_version()}
        versions |= {package: version(package) for package in ("ryu", "eventlet")}
        yield InfoMetricFamily("evb_build", "Versions of evbridge and of what it runs on", versions)


class Descriptors(Collector):
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
