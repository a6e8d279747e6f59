"""Interfaces to the parts of a link: the directory as one pod sees it, requests to other pods, and events."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ryu_apps.evb.config.bridge_config import Peer
from ryu_apps.evb.events.event import Event
from ryu_apps.evb.pods.directory import Directory
from ryu_apps.evb.pods.owner import Owner
from ryu_apps.evb.pods.state_document import VsiState

Deliver = Callable[[Event], None]
#: Calls a function beside what goes on.
Spawn = Callable[..., object]


class OwnDirectory(Directory, Protocol):
    """The directory as this pod sees it.

    Attributes:
        own: VSI -> owner, of those that this pod has.
        usable: it is connected.
    """

    @property
    def own(self) -> dict[str, Owner]: ...
    @property
    def usable(self) -> bool: ...

    def watch(self, watcher: Callable[[frozenset[str] | None], None]) -> None:
        """Call a function with VSIs that the pod has lost; None: all is shown anew."""

    def close(self) -> None:
        """End the connection."""


class Asker(Protocol):
    """Requests to other pods; see :class:`~ryu_apps.pod_client.PodClient`."""

    def state(self, peer: Peer, vsi: str) -> VsiState | None: ...
    def hand_over(self, peer: Peer, vsi: str, pod: str, generation: int) -> bool: ...
    def leader(self, peer: Peer) -> str | None: ...
