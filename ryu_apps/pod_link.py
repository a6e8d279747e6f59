"""This bridge as a pod: the engine on one side, the directory and the other pods on the other.

An adapter: effects of the engine become claims (a pure table), look-ups and requests to other pods; answers become
events.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from ryu_apps.evb.config.bridge_config import Peer, PodMembership
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.pods import DirectoryFound, DirectoryLost, PodReached, PodUnreachable
from ryu_apps.evb.events import (
    CallOffClaim,
    ClaimVsi,
    Event,
    FetchState,
    HandOver,
    ReleaseClaim,
    StateFetched,
    VsiCleared,
)
from ryu_apps.evb.pods.claim import (
    AskToShut,
    Claim,
    ClaimInput,
    ClaimOutput,
    ClaimState,
    Clear,
    GiveBack,
    LookUp,
    OnUnreachable,
    Refusal,
    Refuse,
    Release,
    WriteClaim,
)
from ryu_apps.evb.pods.directory import Directory, DirectoryError, Ended, OvertakenError
from ryu_apps.evb.pods.owner import Owner, following
from ryu_apps.evb.pods.state_document import VsiState
from ryu_apps.evb.pods.status import PodStatus
from ryu_apps.pod_client import UnreachableError

PodEffect = ClaimVsi | CallOffClaim | ReleaseClaim | FetchState
Deliver = Callable[[Event], None]

#: VSIs whose former pod is remembered, and claims to undo that wait for the directory.
_MOST_SOURCES, _MOST_UNDONE = 10_000, 1000
#: Seconds without the directory after which an alarm is raised.
_SILENT = 2.0


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


@dataclass(eq=False)
class _Running:
    """A claim, and where its end is told."""

    vsi: str
    claim: Claim
    token: int
    deliver: Deliver


class PodLink:
    """The link of one bridge to the directory and to other pods."""

    def __init__(
        self,
        membership: PodMembership,
        directory: OwnDirectory,
        asker: Asker,
        spawn: Callable[..., object],
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
        self._membership = membership
        self._directory = directory
        self._asker = asker
        self._spawn = spawn
        self._tell = report
        self._active = active
        self._clock = clock
        self._life: int | None = None
        self._begun = False
        self._running: dict[int, _Running] = {}
        self._held: dict[str, Owner] = {}
        self._superseded: dict[str, int] = {}
        self._sources: dict[str, str] = {}
        self._lost: set[str] = set()
        self._undone: list[Callable[[], None]] = []
        self._unreachable: dict[str, str] = {}
        self._silent_since: float | None = None
        self._missing = False
        self._deliver: Deliver = lambda event: None
        self.counters: Counter[str] = Counter()
        directory.watch(self._changed)

    def serve(self, life: int | None, deliver: Deliver) -> None:
        """Go on as another life of the pod's bridge.

        Args:
            life: its generation; None: another bridge of this pod leads.
            deliver: takes events for its engine.
        """
        self._life, self._deliver, self._begun = life, deliver, False
        self._running.clear()
        self._held.clear()
        self._lost.clear()
        self._undone.clear()
        self._begin_life()

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
            directory.usable,
            len(directory.own),
            dict(self._unreachable),
            dict(self.counters),
        )

    # --- the engine ---
    def perform(self, effect: PodEffect) -> None:
        """Carry out an effect of the engine that serves."""
        match effect:
            case ClaimVsi():
                self._claim(effect)
            case CallOffClaim(token):
                if (running := self._running.get(token)) is not None:
                    running.claim.called_off = True
            case ReleaseClaim(vsi):
                self._release(vsi)
            case FetchState():
                self._fetch(effect)

    def _claim(self, effect: ClaimVsi) -> None:
        if self._life is None:
            return
        rule = OnUnreachable(self._membership.on_unreachable)
        milliseconds = int(self._clock() * 1000)
        claim = Claim(self._membership.name, self._life, effect.announced, effect.free_hand, rule, milliseconds)
        running = self._running[effect.token] = _Running(effect.vsi, claim, effect.token, self._deliver)
        self._do(running, claim.begin())

    def _do(self, running: _Running, outputs: Iterable[ClaimOutput]) -> None:
        vsi, claim = running.vsi, running.claim
        for output in outputs:
            match output:
                case LookUp():
                    self._directory.find(vsi, lambda owner: self._do(running, _found(claim, owner)))
                case WriteClaim(owner, expected):
                    self._directory.claim(vsi, owner, expected, lambda error: self._do(running, _written(claim, error)))
                case AskToShut(pod, generation):
                    self._spawn(self._ask_to_shut, running, pod, generation)
                case Clear():
                    self._clear(running, output)
                case Refuse(reason, pod):
                    self._end(running, VsiCleared(running.token, _refusal(reason, pod), pod), reason.name.lower())
                case GiveBack(claimed, owner):
                    self._undo(partial(self._directory.give_back, vsi, claimed, owner))
                case Release(owner):
                    self._undo(partial(self._directory.release, vsi, owner))
        if claim.called_off and claim.state in (ClaimState.CLEARED, ClaimState.ENDED):
            self._running.pop(running.token, None)

    def _clear(self, running: _Running, output: Clear) -> None:
        vsi = running.vsi
        if self._superseded.get(vsi, 0) > output.owner.generation:
            # Another pod has claimed it since, and was told that no gate is open here.
            self._end(running, VsiCleared(running.token, Refusal.OVERTAKEN.value), "overtaken")
            return
        self._held[vsi] = output.owner
        if output.before:
            self._note_source(vsi, output.before)
        cleared = VsiCleared(running.token, None, output.before, output.taken)
        self._end(running, cleared, "taken" if output.taken else "cleared")

    def _end(self, running: _Running, event: VsiCleared, counted: str) -> None:
        self.counters[counted] += 1
        self._running.pop(running.token, None)
        if not any(other.vsi == running.vsi for other in self._running.values()):
            self._superseded.pop(running.vsi, None)
        running.deliver(event)

    def _ask_to_shut(self, running: _Running, pod: str, generation: int) -> None:
        try:
            shut = self._asker.hand_over(self._peer(pod), running.vsi, self._membership.name, generation)
        except UnreachableError as error:
            self._missed(pod, str(error))
            given = ClaimInput.UNREACHABLE
        else:
            self._reached(pod)
            given = ClaimInput.SHUT if shut else ClaimInput.SUPERSEDED
        self._do(running, running.claim.shut(given))

    def _release(self, vsi: str) -> None:
        if any(running.vsi == vsi for running in self._running.values()):
            return
        owner = self._held.pop(vsi, None) or self._directory.own.get(vsi)
        if owner is not None and self._life is not None:
            self._undo(partial(self._directory.release, vsi, owner._replace(life=self._life)))

    def _undo(self, write: Callable[[Ended], None]) -> None:
        """Write what undoes a claim, again and again until the directory has answered."""

        def ended(error: DirectoryError | None) -> None:
            again = error is not None and not isinstance(error, OvertakenError)
            if again and len(self._undone) < _MOST_UNDONE:
                self._undone.append(lambda: write(ended))

        write(ended)

    # --- state ---
    def _fetch(self, effect: FetchState) -> None:
        deliver = self._deliver
        source = self._sources.get(effect.vsi, "")
        if effect.final:
            self._spawn(self._fetch_from, effect, source, None, deliver)
            return

        def found(owner: Owner | DirectoryError | None) -> None:
            if isinstance(owner, DirectoryError):
                deliver(StateFetched(effect.token, failure=str(owner)))
            elif owner is None or owner.pod == self._membership.name:
                deliver(StateFetched(effect.token, owner=0 if owner is None else owner.generation))
            else:
                self._note_source(effect.vsi, owner.pod)
                self._spawn(self._fetch_from, effect, owner.pod, owner.generation, deliver)

        self._directory.find(effect.vsi, found)

    def _fetch_from(self, effect: FetchState, pod: str, generation: int | None, deliver: Deliver) -> None:
        try:
            state = self._asker.state(self._peer(pod), effect.vsi)
        except UnreachableError as error:
            self._missed(pod, str(error))
            deliver(StateFetched(effect.token, owner=generation, failure=f"pod {pod}: {error}"))
            return
        self._reached(pod)
        deliver(StateFetched(effect.token, state, generation))

    def _note_source(self, vsi: str, pod: str) -> None:
        self._sources.pop(vsi, None)
        self._sources[vsi] = pod
        if len(self._sources) > _MOST_SOURCES:
            del self._sources[next(iter(self._sources))]

    # --- other pods ---
    def hand_over(self, vsi: str, pod: str, generation: int) -> bool:
        """Take a VSI off for another pod; returns False if this one has claimed it later."""
        held = [owner for owner in (self._held.get(vsi), self._directory.own.get(vsi)) if owner is not None]
        if any(owner.generation >= generation for owner in held):
            return False
        self.counters["handed_over"] += 1
        self._held.pop(vsi, None)
        if any(running.vsi == vsi for running in self._running.values()):
            self._superseded[vsi] = generation
        self._deliver(HandOver(vsi, pod))
        return True

    def _peer(self, pod: str) -> Peer:
        peer = self._membership.peers.get(pod)
        if peer is None:
            raise UnreachableError(f"pod {pod} is not among the peers of the configuration")
        return peer

    def _missed(self, pod: str, reason: str) -> None:
        self._unreachable[pod] = reason
        self._tell(PodUnreachable(pod, reason))

    def _reached(self, pod: str) -> None:
        if self._unreachable.pop(pod, None) is not None:
            self._tell(PodReached(pod))

    # --- the directory ---
    def _begin_life(self) -> None:
        life = self._life
        if life is None:
            return

        def ended(error: DirectoryError | None) -> None:
            if error is None and self._life == life:
                self._begun = True
                self._compare()

        self._directory.begin_life(self._membership.name, life, ended)

    def _changed(self, gone: frozenset[str] | None) -> None:
        if gone is None:
            self._compare()
        else:
            self._lost |= gone

    def _compare(self) -> None:
        """Look up the owners of all active VSIs that this pod does not have according to the directory."""
        if self._begun:
            own = self._directory.own
            self._lost |= {vsi for vsi in self._active() if vsi not in own}

    def tick(self, now: float) -> None:
        """Do what has to be repeated; once a second."""
        self._watch_directory(now)
        if not self._directory.usable or self._life is None:
            return
        if not self._begun:
            self._begin_life()
        undone, self._undone = self._undone, []
        for write in undone:
            write()
        lost, active = self._lost, set(self._active())
        self._lost = set()
        for vsi in lost & active:
            self._directory.find(vsi, partial(self._settle, vsi))

    def _settle(self, vsi: str, owner: Owner | DirectoryError | None) -> None:
        """Act on the owner of an active VSI that is another one, or none."""
        assert self._life is not None
        if isinstance(owner, DirectoryError):
            self._lost.add(vsi)
        elif owner is None:
            mine = Owner(self._membership.name, self._life, following(0, int(self._clock() * 1000)))
            self._directory.claim(vsi, mine, 0, lambda error: self._lost.add(vsi) if error is not None else None)
        elif owner.pod == self._membership.name:
            return
        elif owner.firm:
            self._held.pop(vsi, None)
            self.counters["lost"] += 1
            self._deliver(HandOver(vsi, owner.pod))
        else:
            # Its pod will ask for it, or give it back.
            self._lost.add(vsi)

    def _watch_directory(self, now: float) -> None:
        if self._directory.usable:
            self._silent_since = None
            if self._missing:
                self._missing = False
                self._tell(DirectoryFound())
            return
        if self._silent_since is None:
            self._silent_since = now
        elif now >= self._silent_since + _SILENT and not self._missing:
            self._missing = True
            self._tell(DirectoryLost())


def _found(claim: Claim, owner: Owner | DirectoryError | None) -> list[ClaimOutput]:
    return claim.silent() if isinstance(owner, DirectoryError) else claim.found(owner)


def _written(claim: Claim, error: DirectoryError | None) -> list[ClaimOutput]:
    if error is None:
        return claim.written(ClaimInput.CONFIRMED)
    return claim.written(ClaimInput.OVERTAKEN if isinstance(error, OvertakenError) else ClaimInput.SILENT)


def _refusal(reason: Refusal, pod: str) -> str:
    return f"{reason.value}: {pod}" if pod else reason.value
