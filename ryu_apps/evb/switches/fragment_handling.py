"""Handling of IP fragments by each switch: events about switches that hide the ports of first fragments.

Where they are hidden, types that name ports let no fragment of TCP and UDP pass (``services.fragments``), so hidden
ports never let a frame pass that would be denied.
"""

from __future__ import annotations

from collections.abc import Iterator

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.switches import FragmentHandlingReset, FragmentPortsHidden, FragmentPortsShown
from ryu_apps.evb.events.switch import FragmentsHandled


class FragmentHandling:
    """Fragment handling of the switches of a fabric.

    Attributes:
        hidden: datapath ids of switches that do not show the ports of first fragments.
    """

    def __init__(self) -> None:
        self.hidden: set[int] = set()

    def handled(self, report: FragmentsHandled, ready: bool) -> Iterator[LogEvent]:
        """Process a switch's report; ``ready``: it had been configured to show the ports before."""
        if not report.shown:
            if report.dpid not in self.hidden:
                self.hidden.add(report.dpid)
                yield FragmentPortsHidden(report.dpid)
            return
        if report.dpid in self.hidden:
            self.hidden.remove(report.dpid)
            yield FragmentPortsShown(report.dpid)
        if ready and not report.before:
            yield FragmentHandlingReset(report.dpid)
