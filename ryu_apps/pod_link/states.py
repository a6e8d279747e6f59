"""State of VSIs that other pods have: at which of them it is, and the requests for it."""

from __future__ import annotations

from ryu_apps.evb.events.effect import FetchState
from ryu_apps.evb.events.other import StateFetched
from ryu_apps.evb.pods.directory import DirectoryError
from ryu_apps.evb.pods.owner import Owner, formers
from ryu_apps.pod_client import UnreachableError
from ryu_apps.pod_link.interfaces import Deliver, OwnDirectory, Spawn
from ryu_apps.pod_link.peers import Peers

#: VSIs whose former pods are remembered.
_MOST_SOURCES = 10_000


class StateRequests:
    """Requests for the state of VSIs."""

    def __init__(self, pod: str, directory: OwnDirectory, peers: Peers, spawn: Spawn) -> None:
        self._pod = pod
        self._directory = directory
        self._peers = peers
        self._spawn = spawn
        self._sources: dict[str, tuple[str, ...]] = {}

    def fetch(self, effect: FetchState, deliver: Deliver) -> None:
        """Fetch the state of a VSI from the pod that has it, or had it: the latest of them that knows it."""
        if effect.final:
            self._spawn(self._fetch_from, effect, self._sources.get(effect.vsi, ()), None, deliver)
            return

        def found(owner: Owner | DirectoryError | None) -> None:
            if isinstance(owner, DirectoryError):
                deliver(StateFetched(effect.token, failure=str(owner)))
                return
            generation = 0 if owner is None else owner.generation
            sources = formers(owner, self._pod)
            if sources:
                self.note_sources(effect.vsi, sources)
                self._spawn(self._fetch_from, effect, sources, generation, deliver)
            else:
                deliver(StateFetched(effect.token, owner=generation))

        self._directory.find(effect.vsi, found)

    def note_sources(self, vsi: str, pods: tuple[str, ...]) -> None:
        """Note the pods that had a VSI, the latest one last."""
        self._sources.pop(vsi, None)
        self._sources[vsi] = pods
        if len(self._sources) > _MOST_SOURCES:
            del self._sources[next(iter(self._sources))]

    def _fetch_from(self, effect: FetchState, pods: tuple[str, ...], generation: int | None, deliver: Deliver) -> None:
        state = None
        for pod in reversed(pods):
            try:
                state = self._peers.state(pod, effect.vsi)
            except UnreachableError as error:
                deliver(StateFetched(effect.token, owner=generation, failure=f"pod {pod}: {error}"))
                return
            if state is not None:
                break
        deliver(StateFetched(effect.token, state, generation))
