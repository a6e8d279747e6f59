"""Events about pods: their directory, and VSIs that go from one to another."""

from __future__ import annotations

from ryu_apps.evb.event_catalogue.base import LogEvent, VsiEvent, event


@event("directory.lost")
class DirectoryLost(LogEvent):
    """The directory of pods does not answer: VSIs that this pod does not have cannot associate."""


@event("directory.found")
class DirectoryFound(LogEvent):
    """The directory of pods answers."""


@event("pod.unreachable")
class PodUnreachable(LogEvent):
    """Another pod was asked for a VSI that it has, and has not answered."""

    pod: str
    reason: str


@event("pod.reached")
class PodReached(LogEvent):
    """Another pod has answered."""

    pod: str


@event("vsi.taken")
class VsiTaken(VsiEvent):
    """A VSI was taken from a pod that cannot be reached; until it is, its switches may forward for the VM, too."""

    pod: str


@event("vsi.handed_over")
class VsiHandedOver(VsiEvent):
    """Another pod has a VSI that was active at the port."""

    pod: str
