"""Claims of VSIs that are under way, and requests of other pods to shut a gate."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from ryu_apps.evb.config.bridge_config import PodMembership
from ryu_apps.evb.events.effect import ClaimVsi
from ryu_apps.evb.events.other import HandOver, VsiCleared
from ryu_apps.evb.pods.claim import (
    AskToShut,
    Claim,
    ClaimInput,
    ClaimOutput,
    ClaimState,
    Clear,
    GiveBack,
    LookUp,
    MakeFirm,
    OnUnreachable,
    Refusal,
    Refuse,
    Release,
    WriteClaim,
)
from ryu_apps.evb.pods.directory import DirectoryError, OvertakenError
from ryu_apps.evb.pods.owner import Owner
from ryu_apps.evb.pods.request_to_shut import RequestToShut
from ryu_apps.pod_client import UnreachableError
from ryu_apps.pod_link.holdings import Holdings
from ryu_apps.pod_link.interfaces import Deliver, OwnDirectory, Spawn
from ryu_apps.pod_link.peers import Peers
from ryu_apps.pod_link.states import StateRequests

#: Seconds for the directory while another pod waits: its request is answered within one, by the switches, too.
_SOON = 0.3


@dataclass(eq=False)
class _Running:
    """A claim, and where its end is told."""

    vsi: str
    claim: Claim
    token: int
    deliver: Deliver


class Claims:
    """All claims of this pod that are under way."""

    def __init__(
        self,
        membership: PodMembership,
        directory: OwnDirectory,
        peers: Peers,
        holdings: Holdings,
        states: StateRequests,
        spawn: Spawn,
        clock: Callable[[], float],
        counters: Counter[str],
    ) -> None:
        self._membership = membership
        self._directory = directory
        self._peers = peers
        self._holdings = holdings
        self._states = states
        self._spawn = spawn
        self._clock = clock
        self._counters = counters
        self._running: dict[int, _Running] = {}
        self._superseded: dict[str, int] = {}
        self._deliver: Deliver = lambda event: None

    def serve(self, deliver: Deliver) -> None:
        """Go on as another life, without claims."""
        self._deliver = deliver
        self._running.clear()
        self._superseded.clear()

    def is_claimed(self, vsi: str) -> bool:
        """True while a claim of a VSI is under way."""
        return any(running.vsi == vsi for running in self._running.values())

    def begin(self, effect: ClaimVsi) -> None:
        """Claim a VSI for an Associate."""
        life = self._holdings.life
        if life is None:
            return
        rule = OnUnreachable(self._membership.on_unreachable)
        milliseconds = int(self._clock() * 1000)
        claim = Claim(self._membership.name, life, effect.announced, effect.free_hand, rule, milliseconds)
        running = self._running[effect.token] = _Running(effect.vsi, claim, effect.token, self._deliver)
        self._do(running, claim.begin())

    def call_off(self, token: int) -> None:
        """Note that the Associate of a claim is not wanted any more."""
        if (running := self._running.get(token)) is not None:
            running.claim.called_off = True

    def _do(self, running: _Running, outputs: Iterable[ClaimOutput]) -> None:
        vsi, claim, write = running.vsi, running.claim, self._holdings.repetition.write
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
                    write(partial(self._directory.give_back, vsi, claimed, owner))
                case Release(owner):
                    write(partial(self._directory.release, vsi, owner))
                case MakeFirm(owner):
                    write(partial(self._directory.claim, vsi, owner, owner.generation))
        if claim.called_off and claim.state in (ClaimState.CLEARED, ClaimState.ENDED):
            self._running.pop(running.token, None)

    def _clear(self, running: _Running, output: Clear) -> None:
        vsi = running.vsi
        if self._superseded.get(vsi, 0) > output.owner.generation:
            # Another pod has claimed it since, and was told that no gate is open here.
            self._end(running, VsiCleared(running.token, Refusal.OVERTAKEN.value), "overtaken")
            return
        self._holdings.take(vsi, output.owner)
        before = output.former[-1] if output.former else ""
        if before:
            self._states.note_sources(vsi, output.former)
        cleared = VsiCleared(running.token, None, before, output.taken)
        self._end(running, cleared, "taken" if output.taken else "cleared")

    def _end(self, running: _Running, event: VsiCleared, counted: str) -> None:
        self._counters[counted] += 1
        self._running.pop(running.token, None)
        if not self.is_claimed(running.vsi):
            self._superseded.pop(running.vsi, None)
        running.deliver(event)

    def _ask_to_shut(self, running: _Running, pod: str, generation: int) -> None:
        try:
            shut = self._peers.hand_over(pod, running.vsi, generation)
        except UnreachableError:
            given = ClaimInput.UNREACHABLE
        else:
            given = ClaimInput.SHUT if shut else ClaimInput.SUPERSEDED
        self._do(running, running.claim.shut(given))

    # --- requests of other pods ---
    def hand_over(self, vsi: str, pod: str, generation: int) -> RequestToShut:
        """Take a VSI off for another pod, if the directory says that it has claimed it, or says nothing.

        A request may be late: its pod has given up, and given the VSI back.
        """
        request = RequestToShut()
        decide = partial(self._decide, request, vsi, pod, generation)
        if self._directory.usable:
            self._directory.find(vsi, decide, _SOON)
        else:
            # The other pod does not wait for as long as a look-up would.
            decide(DirectoryError())
        return request

    def _decide(
        self, request: RequestToShut, vsi: str, pod: str, generation: int, owner: Owner | DirectoryError | None
    ) -> None:
        own = self._holdings.newest(vsi)
        if own is not None and own.generation >= generation:
            request.refused = True
        elif not isinstance(owner, DirectoryError):
            request.refused = owner is None or owner.pod != pod or owner.generation < generation
        if not request.refused:
            self._shut(vsi, pod, generation)
        request.decided = True

    def _shut(self, vsi: str, pod: str, generation: int) -> None:
        self._counters["handed_over"] += 1
        self._holdings.drop(vsi)
        if self.is_claimed(vsi):
            self._superseded[vsi] = generation
        self._deliver(HandOver(vsi, pod))


def _found(claim: Claim, owner: Owner | DirectoryError | None) -> list[ClaimOutput]:
    return claim.silent() if isinstance(owner, DirectoryError) else claim.found(owner)


def _written(claim: Claim, error: DirectoryError | None) -> list[ClaimOutput]:
    if error is None:
        return claim.written(ClaimInput.CONFIRMED)
    return claim.written(ClaimInput.OVERTAKEN if isinstance(error, OvertakenError) else ClaimInput.SILENT)


def _refusal(reason: Refusal, pod: str) -> str:
    return f"{reason.value}: {pod}" if pod else reason.value
