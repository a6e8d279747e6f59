"""Two pods: bridges with fabrics of their own, one directory, and requests between them that may be lost."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ryu_apps.evb.config.bridge_config import Peer, PodMembership
from ryu_apps.evb.events.effect import CallOffClaim, ClaimVsi, Effect, FetchState, ReleaseClaim
from ryu_apps.evb.generation import Life
from ryu_apps.evb.pods.directory import DirectoryError, Ended, Found
from ryu_apps.evb.pods.owner import Owner
from ryu_apps.evb.pods.state_document import VsiState, read
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.pod_client import UnreachableError
from ryu_apps.pod_link.link import PodLink
from tests.worlds.bridge import POLICIES, PolicySet, Vm, World, two_switches
from tests.worlds.directory_model import DirectoryModel
from tests.worlds.rest import RestWorld

NAMES = ("a", "b")
Watcher = Callable[[frozenset[str] | None], None]


class PodView:
    """The directory as one pod sees it.

    Attributes:
        away: it does not answer this pod.
        lost: its answers to this pod are lost, and what was written stays.
        silent: it is connected and answers no look-up.
        held: calls that wait for :meth:`go_on`; None: they are made at once.
    """

    def __init__(self, model: DirectoryModel, pod: str) -> None:
        self.away = self.lost = self.silent = False
        self.held: list[Callable[[], None]] | None = None
        self._model = model
        self._pod = pod
        self._watchers: list[Watcher] = []
        #: As of the last :meth:`show`, so that it may be out of date.
        self.own: dict[str, Owner] = {}

    @property
    def usable(self) -> bool:
        """It answers."""
        return not self.away

    def watch(self, watcher: Watcher) -> None:
        """Tell of losses."""
        self._watchers.append(watcher)

    def show(self) -> None:
        """Show the pod what has changed."""
        if self.away:
            return
        now = {vsi: owner for vsi, owner in self._model.owners.items() if owner.pod == self._pod}
        gone, self.own = self.own.keys() - now.keys(), now
        for watcher in self._watchers:
            watcher(frozenset(gone))

    def close(self) -> None:
        """Do nothing: there is no connection."""

    def begin_life(self, pod: str, life: int, ended: Ended) -> None:
        """Begin a life."""
        self._do(lambda: self._model.begin_life(pod, life, ended))

    def find(self, vsi: str, found: Found, patience: float | None = None) -> None:
        """Look an owner up."""
        if self.silent:
            # The others wait for longer than the pod that asks.
            if patience is not None:
                found(DirectoryError())
            return
        self._do(lambda: self._model.find(vsi, found))

    def claim(self, vsi: str, owner: Owner, expected: int, ended: Ended) -> None:
        """Write an owner."""
        self._do(lambda: self._model.claim(vsi, owner, expected, ended))

    def give_back(self, vsi: str, claimed: Owner, owner: Owner, ended: Ended) -> None:
        """Write the former owner."""
        self._do(lambda: self._model.give_back(vsi, claimed, owner, ended))

    def release(self, vsi: str, owner: Owner, ended: Ended) -> None:
        """Remove an owner."""
        self._do(lambda: self._model.release(vsi, owner, ended))

    def go_on(self) -> None:
        """Make the call that has waited longest."""
        assert self.held is not None
        waiting, self.held = self.held, []
        self._carry_out(waiting[0])
        self.held = [*waiting[1:], *self.held]

    def _do(self, call: Callable[[], None]) -> None:
        if self.held is None:
            self._carry_out(call)
        else:
            self.held.append(call)

    def _carry_out(self, call: Callable[[], None]) -> None:
        self._model.away, self._model.lost = self.away, self.lost
        try:
            call()
        finally:
            self._model.away = self._model.lost = False


@dataclass
class PodWorld(RestWorld):
    """One pod; the others are asked by calling their REST views.

    Attributes:
        names: of all pods.
        reached: requests to it are answered; ``answers_lost``: they are carried out, and the answer is lost.
        spoil: changes the state of VSIs that it shows.
        stopped: calls wait in ``waiting`` until :meth:`go_on`.
        meanwhile: called once, when the other pod has answered a request and this one has not heard it.
        confirming_after: pauses of requests after which switches that are held confirm, and the store; None: never.
    """

    alone: bool = False
    name: str = "a"
    names: tuple[str, ...] = NAMES
    view: PodView = field(default_factory=lambda: PodView(DirectoryModel(), "a"))
    others: dict[str, PodWorld] = field(default_factory=dict)
    rule: str = "refuse"
    reached: bool = True
    answers_lost: bool = False
    spoil: Callable[[dict[str, Any]], object] = dict
    stopped: bool = False
    waiting: list[Callable[[], None]] = field(default_factory=list)
    meanwhile: Callable[[], object] | None = None
    confirming_after: int | None = None

    def __post_init__(self) -> None:
        self.life = Life(1, True, {})
        RestWorld.__post_init__(self)
        peers = {name: Peer((f"http://{name}/",)) for name in self.names if name != self.name}
        self.pods = self._new_link(peers)

    def _new_link(self, peers: dict[str, Peer]) -> PodLink:
        membership = PodMembership(self.name, (), peers, self.rule)
        link = PodLink(
            membership, self.view, _Asker(self), self._spawn, lambda event: None, self._active, lambda: self.now
        )
        link.serve(self.life.generation, self.feed)
        return link

    def _active(self) -> list[str]:
        return list(self.queries.pods.active())

    def _spawn(self, function: Callable[..., Any], *arguments: Any) -> None:
        if self.stopped:
            self.waiting.append(lambda: function(*arguments))
        else:
            function(*arguments)

    def _pause(self, seconds: float) -> None:
        RestWorld._pause(self, seconds)
        if self.confirming_after is not None and self.pauses >= self.confirming_after:
            self.release()
            self.store_answers()

    def go_on(self) -> None:
        """Make the calls that wait."""
        self.stopped = False
        while self.waiting:
            self.waiting.pop(0)()

    def restart_pod(self) -> None:
        """Start a new life of the bridge, with the records of its store."""
        self.life = Life(self.life.generation + 1, True, {})
        World.restart_controller(self)
        self.pods.serve(self.life.generation, self.feed)

    def _perform(self, effect: Effect) -> None:
        if isinstance(effect, ClaimVsi | CallOffClaim | ReleaseClaim | FetchState):
            self.pods.perform(effect)
        else:
            World._perform(self, effect)

    def has_gate(self, vm: Vm) -> bool:
        """A switch of the pod lets frames of a VM in."""
        vsi = self.engine.registry.vsi(vm.vsi_id)
        return vsi is not None and vsi.owner is not None

    def look(self, count: int = 3) -> None:
        """Let the pod look at the directory, some times."""
        for _ in range(count):
            self.advance(0.05)
            self.view.show()
            self.pods.tick(self.now)


class _Asker:
    """Requests of one pod to the others."""

    def __init__(self, world: PodWorld) -> None:
        self._world = world

    def leader(self, peer: Peer) -> str | None:
        """As :class:`~ryu_apps.pod_client.PodClient`."""
        return None

    def state(self, peer: Peer, vsi: str) -> VsiState | None:
        """As :class:`~ryu_apps.pod_client.PodClient`."""
        response = self._ask(peer, "GET", f"/evb/vsis/{vsi}/state")
        if response.status_code == 404:
            return None
        if response.status_code != 200:
            raise UnreachableError(response.text)
        document = response.json
        self._there(peer).spoil(document)
        return read(json.dumps(document).encode(), vsi)

    def hand_over(self, peer: Peer, vsi: str, pod: str, generation: int) -> bool:
        """As :class:`~ryu_apps.pod_client.PodClient`."""
        body = f'{{"pod": "{pod}", "generation": {generation}}}'.encode()
        response = self._ask(peer, "POST", f"/evb/vsis/{vsi}/handover", body)
        if response.status_code not in (200, 409):
            raise UnreachableError(response.text)
        return bool(response.status_code == 200)

    def _ask(self, peer: Peer, method: str, path: str, body: bytes = b"") -> Any:
        there = self._there(peer)
        if not there.reached:
            raise UnreachableError("not reached")
        response = there.request(path, method, body)
        if (meanwhile := self._world.meanwhile) is not None:
            self._world.meanwhile = None
            meanwhile()
        if there.answers_lost:
            raise UnreachableError("the answer is lost")
        return response

    def _there(self, peer: Peer) -> PodWorld:
        return self._world.others[peer.urls[0].removeprefix("http://").rstrip("/")]


def two_pods(
    rule: str = "refuse", policies: PolicySet = POLICIES, fabric: Fabric | None = None
) -> tuple[DirectoryModel, PodWorld, PodWorld]:
    """A directory, and two pods whose switches are connected."""
    model, worlds = several_pods(NAMES, rule, policies, fabric)
    return model, worlds["a"], worlds["b"]


def several_pods(
    names: tuple[str, ...], rule: str = "refuse", policies: PolicySet = POLICIES, fabric: Fabric | None = None
) -> tuple[DirectoryModel, dict[str, PodWorld]]:
    """A directory, and pods whose switches are connected."""
    model = DirectoryModel()
    worlds = {
        name: PodWorld(
            fabric=fabric or two_switches(),
            policies=policies,
            name=name,
            names=names,
            view=PodView(model, name),
            rule=rule,
        )
        for name in names
    }
    for world in worlds.values():
        world.others = worlds
        world.connect()
    return model, worlds
