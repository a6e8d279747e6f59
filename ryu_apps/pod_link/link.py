"""The link of one bridge to the directory and to other pods, as the app has it."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

from ryu_apps.evb.config.bridge_config import PodMembership
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.events.effect import CallOffClaim, ClaimVsi, FetchState, ReleaseClaim
from ryu_apps.evb.pods.request_to_shut import RequestToShut
from ryu_apps.evb.pods.status import PodStatus
from ryu_apps.pod_link.claims import Claims
from ryu_apps.pod_link.holdings import Holdings
from ryu_apps.pod_link.interfaces import Asker, Deliver, OwnDirectory, Spawn
from ryu_apps.pod_link.peers import Peers
from ryu_apps.pod_link.presence import Presence
from ryu_apps.pod_link.states import StateRequests

PodEffect = ClaimVsi | CallOffClaim | ReleaseClaim | FetchState


class PodLink:
    """An adapter: effects of the engine become claims, look-ups and requests to other pods; answers become events."""

    def __init__(
        self,
        membership: PodMembership,
        directory: OwnDirectory,
        asker: Asker,
        spawn: Spawn,
        report: Callable[[LogEvent], None],
        active: Callable[[], Iterable[str]],
        clock: Callable[[], float] = time.time,
    ) -> None:
        """
        Args:
            spawn: calls a function beside what goes on.
            report: takes events.
            active: returns the VSIs that are active at a port here.
            clock: Unix time in seconds.
        """
        self.counters: Counter[str] = Counter()
        self._membership = membership
        self._directory = directory
        self._deliver: Deliver = lambda event: None
        self._presence = Presence(report)
        self._peers = Peers(membership, asker, report)
        self._states = StateRequests(membership.name, directory, self._peers, spawn)
        self._holdings = Holdings(membership.name, directory, active, clock, self.counters)
        self._claims = Claims(
            membership, directory, self._peers, self._holdings, self._states, spawn, clock, self.counters
        )

    def serve(self, life: int | None, deliver: Deliver) -> None:
        """Go on as another life of the pod's bridge.

        Args:
            life: its generation; None: another bridge of this pod leads.
            deliver: takes events for its engine.
        """
        self._deliver = deliver
        self._claims.serve(deliver)
        self._holdings.serve(life, deliver)

    def close(self) -> None:
        """End the connection to the directory."""
        self._directory.close()

    def status(self) -> PodStatus:
        """Return what this pod is and knows."""
        directory, own = self._directory, self._membership
        return PodStatus(
            own.name,
            own.on_unreachable,
            tuple(own.peers),
            {name: peer.urls for name, peer in own.peers.items()},
            self._peers.leaders(),
            directory.usable,
            len(directory.own),
            dict(self._peers.unreachable),
            dict(self.counters),
        )

    def perform(self, effect: PodEffect) -> None:
        """Carry out an effect of the engine that serves."""
        match effect:
            case ClaimVsi():
                self._claims.begin(effect)
            case CallOffClaim(token):
                self._claims.call_off(token)
            case ReleaseClaim(vsi):
                if not self._claims.is_claimed(vsi):
                    self._holdings.release(vsi)
            case FetchState():
                self._states.fetch(effect, self._deliver)

    def hand_over(self, vsi: str, pod: str, generation: int) -> RequestToShut:
        """Take a VSI off for another pod that has claimed it."""
        return self._claims.hand_over(vsi, pod, generation)

    def tick(self, now: float) -> None:
        """Do what has to be repeated; once a second."""
        self._presence.note(self._directory.usable, now)
        self._holdings.look(now, self._claims.is_claimed)
