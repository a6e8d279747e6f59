"""Outputs of the election: writes to the store, and the beginning and end of a lead with its reason."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from ryu_apps.evb.cluster.lease import Beat, LeaseView


class ClaimReason(Enum):
    """Reasons for which a member claims the lease."""

    FREE = "free"
    """No member had it."""
    LAPSED = "lapsed"
    """It was not renewed in time."""
    GONE = "gone"
    """The process that had it is gone."""


class EndReason(Enum):
    """Reasons for which a member stops leading."""

    LOST = "another member has claimed the lease"
    LAPSED = "the lease could not be renewed in time"
    TRANSFERRED = "the lead was given up"


@dataclass(frozen=True, slots=True)
class Claim:
    """Choose a generation, and write the lease and its first beat.

    Attributes:
        number: for the answer.
        seen: the versions that are expected, and the lease before.
        beat: the record of the beat.
    """

    number: int
    seen: LeaseView
    beat: Beat


@dataclass(frozen=True, slots=True)
class Write:
    """Write records of the leader.

    Attributes:
        number: for the answer.
        changes: as the store takes them.
        expected: versions, as the store takes them.
    """

    number: int
    changes: dict[str, bytes | None]
    expected: dict[str, int]


@dataclass(frozen=True, slots=True)
class Lead:
    """Begin to lead, under the generation of the claim.

    Attributes:
        reason: of the claim.
    """

    reason: ClaimReason


@dataclass(frozen=True, slots=True)
class StandAsideNow:
    """Stop leading at once: answer no station, change no switch."""

    reason: EndReason


ElectionOutput = Claim | Write | Lead | StandAsideNow
