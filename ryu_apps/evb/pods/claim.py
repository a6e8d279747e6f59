"""The claim of a VSI by a pod, as a table: from an Associate that would open a gate to the permission to do so.

The directory orders the claims of all pods, so the newest Associate wins.  The pod that had the VSI shuts its gate
before the new one opens its own, and only then is the claim *firm*.  Behind one that is not, whichever pod has written
it, the former pods are asked again.  If one of them cannot be reached, it may still forward for the VM: the operator's
rule decides (``on_unreachable``).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import ClassVar

from ryu_apps.evb.pods.owner import Owner, following, formers, returned
from ryu_apps.evb.protocol.table import DocumentedRow, TransitionTable

#: Look-ups of one claim: with more, other pods claim the VSI all the time.
MAX_ATTEMPTS = 4


class OnUnreachable(Enum):
    """Rule for a VSI whose pod cannot be reached."""

    REFUSE = "refuse"
    """Its Associate is refused; the VSI stays where it is."""
    TAKE = "take"
    """It is taken.  Until the other pod is back, its switches may forward for the VM, too."""


class ClaimState(Enum):
    """States of a claim."""

    LOOKING_UP = "looking up"
    """The directory was asked for the owner."""
    CLAIMING = "claiming"
    """The claim was written; the directory has not answered."""
    SHUTTING = "shutting"
    """A pod that may have its gate open was asked to shut it."""
    TAKING = "taking"
    """That pod has not answered; the claim was made firm, and the directory has not answered."""
    CLEARED = "cleared"
    """The gate may open."""
    ENDED = "ended"
    """The Associate is refused, or was called off."""


class ClaimInput(Enum):
    """Answers of the directory and of the other pod."""

    OWN = "this pod has it"
    OWN_IN_DOUBT = "this pod has claimed it, and another one may have its gate open"
    FREE = "no pod has it"
    ELSEWHERE = "another pod has it"
    UNANNOUNCED = "another pod has it, and no Pre-Associate has announced the move"
    CONFIRMED = "the claim is there, no pod had it"
    CONFIRMED_FROM = "the claim is there, another pod had it"
    CALLED_OFF = "not wanted any more"
    OVERTAKEN = "another claim was faster"
    SILENT = "the directory does not answer"
    EXHAUSTED = "overtaken or not answered too often"
    SHUT = "the gate is shut"
    SHUT_BY_ONE = "the gate is shut, and a further pod may have its own open"
    SUPERSEDED = "the VSI was claimed again"
    UNREACHABLE = "no answer: refuse"
    UNREACHABLE_TAKE = "no answer: take"


class Refusal(Enum):
    """Reasons for which an Associate is refused."""

    CONTESTED = "no Pre-Associate has announced that the VSI moves from its pod"
    DIRECTORY = "the directory of pods does not answer"
    OVERTAKEN = "another pod was faster"
    UNREACHABLE = "the pod that has the VSI cannot be reached"


@dataclass(frozen=True, slots=True)
class LookUp:
    """Ask the directory for the owner."""


@dataclass(frozen=True, slots=True)
class WriteClaim:
    """Write the owner; the directory expects the generation of the one before (0: none)."""

    owner: Owner
    expected: int


@dataclass(frozen=True, slots=True)
class AskToShut:
    """Ask a pod that may have its gate open to shut it."""

    pod: str
    generation: int


@dataclass(frozen=True, slots=True)
class Clear:
    """Let the gate open.

    Attributes:
        former: pods that had the VSI, or were about to have it, the latest one last; empty: none, or this one.
        taken: one of them did not answer.
    """

    owner: Owner
    former: tuple[str, ...] = ()
    taken: bool = False


@dataclass(frozen=True, slots=True)
class Refuse:
    """Refuse the Associate; ``pod``: of the present owner, empty: not known."""

    reason: Refusal
    pod: str = ""


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Write the former owner again, under a newer generation, in the place of the claim."""

    claimed: Owner
    owner: Owner


@dataclass(frozen=True, slots=True)
class Release:
    """Remove the owner: it was claimed for an Associate that is not wanted any more."""

    owner: Owner


@dataclass(frozen=True, slots=True)
class MakeFirm:
    """Write that no other gate is open; the generation stays."""

    owner: Owner


ClaimOutput = LookUp | WriteClaim | AskToShut | Clear | Refuse | GiveBack | Release | MakeFirm


class Claim:
    """The claim of one Associate.

    Attributes:
        state: only the table changes it.
        called_off: the Associate is not wanted any more; the answers that are under way are awaited all the same.
    """

    def __init__(
        self, pod: str, life: int, announced_at: int | None, free_hand: bool, rule: OnUnreachable, milliseconds: int
    ) -> None:
        """
        Args:
            pod, life: of this bridge.
            announced_at: generation of the owner when the move was announced here, 0: there was none, -1: not known;
                None: it was not announced.
            free_hand: the Associate needs no announcement.
            milliseconds: Unix time.
        """
        self.state = ClaimState.LOOKING_UP
        self.called_off = False
        self._pod = pod
        self._life = life
        self._announced_at = announced_at
        self._free_hand = free_hand
        self._rule = rule
        self._milliseconds = milliseconds
        self._attempts = 1
        self._first: int | None = None
        self._claimed: Owner | None = None
        self._former: tuple[str, ...] = ()
        self._asked = 0

    def begin(self) -> list[ClaimOutput]:
        """Return what to do first."""
        return [LookUp()]

    # --- answers ---
    def found(self, owner: Owner | None) -> list[ClaimOutput]:
        """The directory has answered."""
        if self._first is None:
            self._first = 0 if owner is None else owner.generation
        if owner is not None and owner == self._claimed:
            return self._feed(self._confirmation, owner)
        if self.called_off:
            return self._feed(ClaimInput.CALLED_OFF, owner)
        if owner is None:
            return self._feed(ClaimInput.FREE, owner)
        if owner.pod == self._pod:
            return self._feed(ClaimInput.OWN if owner.firm else ClaimInput.OWN_IN_DOUBT, owner)
        return self._feed(ClaimInput.ELSEWHERE if self._may_take(owner) else ClaimInput.UNANNOUNCED, owner)

    def _may_take(self, owner: Owner) -> bool:
        """Return True if the move was announced to the owner that the VSI had when its Associate came."""
        return self._free_hand or (self._announced_at is not None and self._announced_at in (-1, self._first))

    @property
    def _confirmation(self) -> ClaimInput:
        return ClaimInput.CONFIRMED_FROM if self._former else ClaimInput.CONFIRMED

    def written(self, given: ClaimInput) -> list[ClaimOutput]:
        """The directory has answered the claim: ``CONFIRMED``, ``OVERTAKEN`` or ``SILENT``."""
        if given is ClaimInput.CONFIRMED:
            return self._feed(given if self.state is ClaimState.TAKING else self._confirmation, None)
        return self._feed(self._tried(given), None)

    def silent(self) -> list[ClaimOutput]:
        """The directory has not answered a look-up."""
        return self._feed(self._tried(ClaimInput.SILENT), None)

    def shut(self, given: ClaimInput) -> list[ClaimOutput]:
        """A pod has answered: ``SHUT`` or ``SUPERSEDED``; or not: ``UNREACHABLE``."""
        if given is ClaimInput.SHUT and self._asked < len(self._former):
            given = ClaimInput.SHUT_BY_ONE
        if given is ClaimInput.UNREACHABLE and self._rule is OnUnreachable.TAKE and not self.called_off:
            given = ClaimInput.UNREACHABLE_TAKE
        return self._feed(given, None)

    def _tried(self, given: ClaimInput) -> ClaimInput:
        self._attempts += 1
        exhausted = self._attempts > MAX_ATTEMPTS and self.state is not ClaimState.TAKING
        return ClaimInput.EXHAUSTED if exhausted else given

    def _feed(self, given: ClaimInput, owner: Owner | None) -> list[ClaimOutput]:
        return self.TABLE.step(self, given, owner, 0.0)

    # --- actions ---
    def _look_up(self, owner: Owner | None, now: float) -> list[ClaimOutput]:
        """look the owner up again"""
        return [LookUp()]

    def _write(self, owner: Owner | None, now: float) -> list[ClaimOutput]:
        """claim it"""
        expected = 0 if owner is None else owner.generation
        self._former, self._asked = formers(owner, self._pod), 0
        self._claimed = Owner(self._pod, self._life, following(expected, self._milliseconds), self._former)
        return [WriteClaim(self._claimed, expected)]

    def _keep(self, owner: Owner | None, now: float) -> list[ClaimOutput]:
        """let the gate open"""
        assert owner is not None
        return [Clear(owner)]

    def _ask(self, owner: Owner | None, now: float) -> list[ClaimOutput]:
        """ask the former pod to shut its gate"""
        assert self._claimed is not None
        self._asked += 1
        return [AskToShut(self._former[self._asked - 1], self._claimed.generation)]

    def _clear(self, owner: Owner | None, now: float) -> list[ClaimOutput]:
        """let the gate open; if that is not wanted any more, release the VSI"""
        return self._cleared(taken=False)

    def _cleared(self, taken: bool) -> list[ClaimOutput]:
        assert self._claimed is not None
        if self.called_off:
            return [Release(self._claimed)]
        firm = self._claimed._replace(former=())
        made: list[ClaimOutput] = [] if self._claimed.firm else [MakeFirm(firm)]
        return [Clear(firm, self._former, taken), *made]

    def _firm(self, owner: Owner | None, now: float) -> list[ClaimOutput]:
        """make the claim firm"""
        assert self._claimed is not None
        expected = self._claimed.generation
        self._claimed = self._claimed._replace(generation=expected + 1, former=())
        return [WriteClaim(self._claimed, expected)]

    def _take(self, owner: Owner | None, now: float) -> list[ClaimOutput]:
        """let the gate open, and tell of it"""
        return self._cleared(taken=True)

    def _contest(self, owner: Owner | None, now: float) -> list[ClaimOutput]:
        """refuse"""
        assert owner is not None
        return [Refuse(Refusal.CONTESTED, owner.pod)]

    def _no_directory(self, owner: Owner | None, now: float) -> list[ClaimOutput]:
        """refuse, and write the former owner again"""
        return [*self._returned(), *self._refused(Refusal.DIRECTORY)]

    def _lose(self, owner: Owner | None, now: float) -> list[ClaimOutput]:
        """refuse"""
        return self._refused(Refusal.OVERTAKEN)

    def _return(self, owner: Owner | None, now: float) -> list[ClaimOutput]:
        """refuse, and write the former owner again"""
        return [*self._returned(), *self._refused(Refusal.UNREACHABLE, self._former[self._asked - 1])]

    def _end(self, owner: Owner | None, now: float) -> list[ClaimOutput]:
        """nothing"""
        return []

    def _returned(self) -> list[ClaimOutput]:
        """Undo a claim, which may be there."""
        if self._claimed is None:
            return []
        owner = returned(self._claimed._replace(former=self._former))
        return [Release(self._claimed) if owner is None else GiveBack(self._claimed, owner)]

    def _refused(self, reason: Refusal, pod: str = "") -> list[ClaimOutput]:
        return [] if self.called_off else [Refuse(reason, pod)]

    TABLE: ClassVar[TransitionTable[Claim, ClaimState, ClaimInput, ClaimOutput]]


_S, _I, _C = ClaimState, ClaimInput, Claim
Claim.TABLE = TransitionTable(
    "claim of a VSI",
    {
        (_S.LOOKING_UP, _I.OWN): (_C._keep, _S.CLEARED),
        (_S.LOOKING_UP, _I.OWN_IN_DOUBT): (_C._write, _S.CLAIMING),
        (_S.LOOKING_UP, _I.FREE): (_C._write, _S.CLAIMING),
        (_S.LOOKING_UP, _I.ELSEWHERE): (_C._write, _S.CLAIMING),
        (_S.LOOKING_UP, _I.UNANNOUNCED): (_C._contest, _S.ENDED),
        (_S.LOOKING_UP, _I.CONFIRMED): (_C._clear, _S.CLEARED),
        (_S.LOOKING_UP, _I.CONFIRMED_FROM): (_C._ask, _S.SHUTTING),
        (_S.LOOKING_UP, _I.SILENT): (_C._look_up, _S.LOOKING_UP),
        (_S.LOOKING_UP, _I.EXHAUSTED): (_C._no_directory, _S.ENDED),
        (_S.LOOKING_UP, _I.CALLED_OFF): (_C._end, _S.ENDED),
        (_S.CLAIMING, _I.CONFIRMED): (_C._clear, _S.CLEARED),
        (_S.CLAIMING, _I.CONFIRMED_FROM): (_C._ask, _S.SHUTTING),
        (_S.CLAIMING, _I.OVERTAKEN): (_C._look_up, _S.LOOKING_UP),
        (_S.CLAIMING, _I.SILENT): (_C._look_up, _S.LOOKING_UP),
        (_S.CLAIMING, _I.EXHAUSTED): (_C._no_directory, _S.ENDED),
        (_S.SHUTTING, _I.SHUT): (_C._clear, _S.CLEARED),
        (_S.SHUTTING, _I.SHUT_BY_ONE): (_C._ask, _S.SHUTTING),
        (_S.SHUTTING, _I.SUPERSEDED): (_C._lose, _S.ENDED),
        (_S.SHUTTING, _I.UNREACHABLE): (_C._return, _S.ENDED),
        (_S.SHUTTING, _I.UNREACHABLE_TAKE): (_C._firm, _S.TAKING),
        (_S.TAKING, _I.CONFIRMED): (_C._take, _S.CLEARED),
        (_S.TAKING, _I.OVERTAKEN): (_C._lose, _S.ENDED),
        (_S.TAKING, _I.SILENT): (_C._return, _S.ENDED),
    },
)


def documented_rows() -> Iterator[DocumentedRow]:
    """The table for the manual."""
    return Claim.TABLE.rows()
