"""Durations of operations on VSIs, as histograms."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client import Histogram

from ryu_apps.evb.topology.port_id import PortId


class Place(NamedTuple):
    """One VSI at one port."""

    vsi: str
    port: PortId


class Stopwatch:
    """Durations of one kind of operation on a VSI at a port."""

    def __init__(self, histogram: Histogram) -> None:
        self.histogram = histogram
        self._began: dict[Place, float] = {}

    def start(self, place: Place, now: float) -> None:
        """Start, unless started already: the time of a repeated request counts from the first one."""
        self._began.setdefault(place, now)

    def stop(self, place: Place, labels: tuple[str, str], now: float) -> None:
        """Observe the duration, if there is a start."""
        began = self._began.pop(place, None)
        if began is not None:
            self.histogram.labels(*labels).observe(now - began)

    def forget(self, place: Place) -> None:
        """Drop the start: the operation will not be completed."""
        self._began.pop(place, None)

    def forget_all(self) -> None:
        """Drop all starts."""
        self._began.clear()
