"""The election of the leader, as a table: one member of a cluster, and the lease in the store.

No clocks are compared.  The leader counts from the moment at which it *sent* its last confirmed renewal; a follower
counts from the moment at which it *saw* the last change of the lease, which is later, and waits longer.  A claim
expects the renewal that the follower has seen, so the store refuses one that is overtaken by another renewal.

A follower that is sure that the leader's process is gone need not wait.  If it is mistaken, the leader learns of the
claim from the store; until then the store refuses its records, and the switches that have met the newer generation
refuse its changes.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import ClassVar

from ryu_apps.evb.cluster.damping import Replacements
from ryu_apps.evb.cluster.lease import BEAT_KEY, LEASE_KEY, Beat, Lease, LeaseView
from ryu_apps.evb.cluster.outputs import Claim, ClaimReason, ElectionOutput, EndReason, Lead, StandAsideNow, Write
from ryu_apps.evb.protocol.table import DocumentedRow, TransitionTable

#: Parts of the patience of followers: after which the leader renews, after which it stops leading without an answer,
#: and after which a write that was not answered is taken for lost.
_RENEW, _VALID, _ANSWER = 0.25, 0.7, 1.0
#: Seconds for which followers wait for a leader that has not settled yet: it restores thousands of VSIs and compares
#: switches, and does nothing else meanwhile.
OPENING = 6.0


class ElectionState(Enum):
    """States of a member."""

    FOLLOWING = "following"
    """Another member leads, or none."""
    CLAIMING = "claiming"
    """The lease was claimed; the store has not answered."""
    LEADING = "leading"
    """The store has confirmed the lease, and it was renewed in time."""


class ElectionInput(Enum):
    """Answers of the store, what it shows, and wishes."""

    SEEN_OTHERS = "another lease or beat"
    SEEN_OWN = "own lease"
    DONE = "write confirmed"
    OVERTAKEN = "write refused, or confirmed too late"
    FAILED = "write failed"
    TICK = "time to claim or renew"
    LAPSED = "not renewed in time"
    TRANSFER = "give the lead up"
    GONE = "process of the leader is gone"


class Election:
    """One member.

    Attributes:
        name: of this member, unique in the cluster.
        state: only the table changes it.
        seen: what the store has shown last.
        until: time until which it leads without a further renewal, monotonic seconds; counts only while it leads.
        deadline: time at which to call :meth:`tick`, monotonic seconds; None: no timer runs.
        beats: number of the last confirmed renewal.
        settled: the leader has nothing long before it; else others wait for :data:`OPENING` seconds.
    """

    def __init__(self, name: str, address: str, patience: float) -> None:
        """
        Args:
            name: of this member.
            address: URL of its REST resources.
            patience: seconds without a renewal after which another member may lead.
        """
        self.name = name
        self.address = address
        self.state = ElectionState.FOLLOWING
        self.seen = LeaseView()
        self.until = 0.0
        self.deadline: float | None = None
        self.beats = 0
        self.settled = False
        self._patience = patience
        self._own: Lease | None = None
        self._version = 0
        self._number = 0
        self._sent_at: float | None = None
        self._sent_patience = patience
        self._successor = ""
        self._reason = ClaimReason.FREE
        self._replacements = Replacements()

    def leads(self, now: float) -> bool:
        """True if this member may answer stations and change switches at a time; to be asked before either."""
        return self.state is ElectionState.LEADING and now < self.until

    @property
    def fence(self) -> dict[str, int]:
        """The expectations of each commit of the leader about the store."""
        return {LEASE_KEY: self._version}

    # --- inputs ---
    def show(self, view: LeaseView, now: float) -> list[ElectionOutput]:
        """The store shows the lease: for the first time, or after a change."""
        if view.versions == self.seen.versions and self.deadline is not None:
            return []
        if view.versions[0] != self.seen.versions[0] and _owned(self.seen.lease) and _owned(view.lease):
            self._replacements.note(now)
        self.seen = view
        # What is shown may be older than what was confirmed.
        own = view.lease == self._own or view.versions[0] < self._version
        return self._feed(ElectionInput.SEEN_OWN if own else ElectionInput.SEEN_OTHERS, now, now)

    def claimed(self, number: int, lease: Lease) -> None:
        """Note what a claim has written, before its answer."""
        if number == self._number:
            self._own = lease

    def answered(self, number: int, given: ElectionInput, now: float) -> list[ElectionOutput]:
        """The store has answered a write.

        Args:
            number: of the write; answers that come after a further write or a time-out count for nothing.
            given: ``DONE``, ``OVERTAKEN`` or ``FAILED``.
        """
        if number != self._number or self._sent_at is None:
            return []
        sent, self._sent_at = self._sent_at, None
        late = self._lapsed(now) or now >= sent + _VALID * self._sent_patience
        if given is ElectionInput.DONE and (late or self._is_overtaken()):
            given = ElectionInput.LAPSED if self.state is ElectionState.LEADING else ElectionInput.OVERTAKEN
        return self._feed(given, sent, now)

    def refused(self, now: float) -> list[ElectionOutput]:
        """The store has refused another record of this member, because the lease is not its own any more."""
        leading = self.state is ElectionState.LEADING
        return self._feed(ElectionInput.OVERTAKEN, now, now) if leading else []

    def tick(self, now: float) -> list[ElectionOutput]:
        """A deadline has passed."""
        if self._lapsed(now):
            return self._feed(ElectionInput.LAPSED, now, now)
        if self.deadline is None or now < self.deadline:
            return []
        return self._feed(ElectionInput.TICK, now, now)

    def transfer(self, successor: str, now: float) -> list[ElectionOutput]:
        """Give the lead up.

        Args:
            successor: name of the member that is to have it; empty: any other one.
        """
        self._successor = successor
        return self._feed(ElectionInput.TRANSFER, now, now)

    def gone(self, version: int, now: float) -> list[ElectionOutput]:
        """The process that has the lease is gone.

        Args:
            version: of the lease; a report about another one than has been seen last counts for nothing, nor does one
                while leaders are replaced too often.
        """
        lease = self.seen.lease
        if version != self.seen.versions[0] or not _owned(lease) or self._replacements.too_many(now):
            return []
        return self._feed(ElectionInput.GONE, now, now)

    def _feed(self, given: ElectionInput, begun: float, now: float) -> list[ElectionOutput]:
        return self.TABLE.step(self, given, begun, now)

    def _lapsed(self, now: float) -> bool:
        return self.state is ElectionState.LEADING and now >= self.until

    def _is_overtaken(self) -> bool:
        """Return True if the store has shown a lease that is newer than the one that was just confirmed."""
        claiming = self.state is ElectionState.CLAIMING
        return claiming and self.seen.versions[0] > self._version and self.seen.lease != self._own

    # --- actions; ``begun`` is when a write was sent that is answered ---
    def _wait(self, begun: float, now: float) -> list[ElectionOutput]:
        """wait for the next change"""
        self.deadline = now + self._waits()
        return []

    def _waits(self) -> float:
        """Seconds after which this member claims what it has seen."""
        lease, beat = self.seen.lease, self.seen.beat
        if lease is None or (not lease.owner and lease.successor == self.name):
            return 0.0
        if not lease.owner and not lease.successor and lease != self._own:
            return 0.0
        return max(self._patience, 0.0 if beat is None else min(beat.patience, OPENING))

    def _claim(self, begun: float, now: float) -> list[ElectionOutput]:
        """claim the lease"""
        return self._claim_for(ClaimReason.LAPSED if _owned(self.seen.lease) else ClaimReason.FREE, now)

    def _claim_at_once(self, begun: float, now: float) -> list[ElectionOutput]:
        """claim the lease before it lapses"""
        return self._claim_for(ClaimReason.GONE, now)

    def _claim_for(self, reason: ClaimReason, now: float) -> list[ElectionOutput]:
        self._reason = reason
        self._send(now, OPENING)
        self.deadline = now + _ANSWER * self._patience
        self._own, self._version = None, self.seen.versions[0] + 1
        return [Claim(self._number, self.seen, Beat(0, OPENING))]

    def _send(self, now: float, patience: float) -> None:
        self._number += 1
        self._sent_at, self._sent_patience = now, patience

    def _give_up(self, begun: float, now: float) -> list[ElectionOutput]:
        """wait for the next change"""
        self._sent_at = None
        self.deadline = now + max(self._patience, self._waits())
        return []

    def _fall_behind(self, begun: float, now: float) -> list[ElectionOutput]:
        """wait for the next change"""
        self._give_up(begun, now)
        if self.seen.versions[0] >= self._version:
            # The change has been seen already: it may be the lease that the leader gave up before its process ended.
            self.deadline = now + self._waits()
        return []

    def _note(self, begun: float, now: float) -> list[ElectionOutput]:
        """nothing"""
        return []

    def _lead(self, begun: float, now: float) -> list[ElectionOutput]:
        """lead"""
        self.until, self.beats, self.settled = begun + _VALID * OPENING, 0, False
        self.deadline = now + _RENEW * self._patience
        return [Lead(self._reason)]

    def _renew(self, begun: float, now: float) -> list[ElectionOutput]:
        """renew, unless a renewal is under way"""
        if self._sent_at is not None and now < self._sent_at + _ANSWER * self._patience:
            self.deadline = min(self._sent_at + _ANSWER * self._patience, self.until)
            return []
        patience = self._patience if self.settled else OPENING
        self._send(now, patience)
        # It may be in force without an answer, and with it a shorter patience than that of the one before.
        self.until = min(self.until, now + _VALID * patience)
        self.deadline = min(now + _RENEW * self._patience, self.until)
        return [Write(self._number, {BEAT_KEY: Beat(self.beats + 1, patience).encoded()}, self.fence)]

    def _renewed(self, begun: float, now: float) -> list[ElectionOutput]:
        """lead on"""
        self.until = begun + _VALID * self._sent_patience
        self.beats += 1
        self.deadline = min(begun + _RENEW * self._patience, self.until)
        return []

    def _retry(self, begun: float, now: float) -> list[ElectionOutput]:
        """renew again soon"""
        self.deadline = min(now + _RENEW * self._patience / 2, self.until)
        return []

    def _end(self, reason: EndReason, now: float) -> list[ElectionOutput]:
        self._sent_at = None
        self.deadline = now + max(self._patience, self._waits())
        return [StandAsideNow(reason)]

    def _lapse(self, begun: float, now: float) -> list[ElectionOutput]:
        """stop leading: not renewed"""
        return self._end(EndReason.LAPSED, now)

    def _lose(self, begun: float, now: float) -> list[ElectionOutput]:
        """stop leading: lost"""
        return self._end(EndReason.LOST, now)

    def _release(self, begun: float, now: float) -> list[ElectionOutput]:
        """stop leading, then give the lease up"""
        assert self._own is not None, "who leads has claimed"
        ended = self._end(EndReason.TRANSFERRED, now)
        self._number += 1
        # As its own, so that it is the last to claim it.
        self._own = Lease("", self._own.generation, "", self._successor)
        return [*ended, Write(self._number, {LEASE_KEY: self._own.encoded()}, self.fence)]

    TABLE: ClassVar[TransitionTable[Election, ElectionState, ElectionInput, ElectionOutput]]


_S, _I, _E = ElectionState, ElectionInput, Election
Election.TABLE = TransitionTable(
    "election",
    {
        (_S.FOLLOWING, _I.SEEN_OTHERS): (_E._wait, _S.FOLLOWING),
        (_S.FOLLOWING, _I.SEEN_OWN): (_E._wait, _S.FOLLOWING),
        (_S.FOLLOWING, _I.TICK): (_E._claim, _S.CLAIMING),
        (_S.FOLLOWING, _I.TRANSFER): (_E._note, _S.FOLLOWING),
        (_S.FOLLOWING, _I.GONE): (_E._claim_at_once, _S.CLAIMING),
        (_S.CLAIMING, _I.SEEN_OTHERS): (_E._note, _S.CLAIMING),
        (_S.CLAIMING, _I.SEEN_OWN): (_E._note, _S.CLAIMING),
        (_S.CLAIMING, _I.DONE): (_E._lead, _S.LEADING),
        (_S.CLAIMING, _I.OVERTAKEN): (_E._fall_behind, _S.FOLLOWING),
        (_S.CLAIMING, _I.FAILED): (_E._give_up, _S.FOLLOWING),
        (_S.CLAIMING, _I.TICK): (_E._give_up, _S.FOLLOWING),
        (_S.CLAIMING, _I.TRANSFER): (_E._note, _S.CLAIMING),
        (_S.CLAIMING, _I.GONE): (_E._note, _S.CLAIMING),
        (_S.LEADING, _I.SEEN_OTHERS): (_E._lose, _S.FOLLOWING),
        (_S.LEADING, _I.SEEN_OWN): (_E._note, _S.LEADING),
        (_S.LEADING, _I.DONE): (_E._renewed, _S.LEADING),
        (_S.LEADING, _I.OVERTAKEN): (_E._lose, _S.FOLLOWING),
        (_S.LEADING, _I.FAILED): (_E._retry, _S.LEADING),
        (_S.LEADING, _I.TICK): (_E._renew, _S.LEADING),
        (_S.LEADING, _I.LAPSED): (_E._lapse, _S.FOLLOWING),
        (_S.LEADING, _I.TRANSFER): (_E._release, _S.FOLLOWING),
        (_S.LEADING, _I.GONE): (_E._note, _S.LEADING),
    },
)


def _owned(lease: Lease | None) -> bool:
    return lease is not None and lease.owner != ""


def documented_rows() -> Iterator[DocumentedRow]:
    """The table for the manual."""
    return Election.TABLE.rows()
