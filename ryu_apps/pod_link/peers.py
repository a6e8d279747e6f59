"""Other pods: requests to them, and those that have not answered last."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from ryu_apps.evb.config.bridge_config import Peer, PodMembership
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.pods import PodReached, PodUnreachable
from ryu_apps.evb.pods.state_document import VsiState
from ryu_apps.pod_client import UnreachableError
from ryu_apps.pod_link.interfaces import Asker

Answer = TypeVar("Answer")


class Peers:
    """Pods of the configuration.

    Attributes:
        unreachable: names of pods that have not answered last -> the reason.
    """

    def __init__(self, membership: PodMembership, asker: Asker, report: Callable[[LogEvent], None]) -> None:
        """
        Args:
            report: takes events.
        """
        self.unreachable: dict[str, str] = {}
        self._membership = membership
        self._asker = asker
        self._report = report

    def state(self, pod: str, vsi: str) -> VsiState | None:
        """Return the state of a VSI; None: the pod does not have it.

        Raises:
            UnreachableError: the pod does not answer.
        """
        return self._ask(pod, lambda peer: self._asker.state(peer, vsi))

    def hand_over(self, pod: str, vsi: str, generation: int) -> bool:
        """Have a pod shut the gate of a VSI; returns False if it says that the VSI was claimed again since.

        Raises:
            UnreachableError: it is not confirmed that the gate is shut.
        """
        name = self._membership.name
        return self._ask(pod, lambda peer: self._asker.hand_over(peer, vsi, name, generation))

    def leaders(self) -> dict[str, str]:
        """Return the URLs of the bridges that have answered last, by the names of their pods."""
        found = {name: self._asker.leader(peer) for name, peer in self._membership.peers.items()}
        return {name: url for name, url in found.items() if url is not None}

    def _ask(self, pod: str, ask: Callable[[Peer], Answer]) -> Answer:
        try:
            answer = ask(self._peer(pod))
        except UnreachableError as error:
            self.unreachable[pod] = str(error)
            self._report(PodUnreachable(pod, str(error)))
            raise
        if self.unreachable.pop(pod, None) is not None:
            self._report(PodReached(pod))
        return answer

    def _peer(self, pod: str) -> Peer:
        peer = self._membership.peers.get(pod)
        if peer is None:
            raise UnreachableError(f"pod {pod} is not among the peers of the configuration")
        return peer
