"""Interface of the directory of owners: which pod has which VSI."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from ryu_apps.evb.pods.owner import Owner


class DirectoryError(Exception):
    """The directory does not answer; what was to be written may be there, or may still come to be."""


class OvertakenError(DirectoryError):
    """The expectation does not hold: another pod, or another life of this one, was faster.  Nothing was written."""


#: The end of a look-up: the owner, None: there is none; or the reason for no answer.
Found = Callable[[Owner | DirectoryError | None], None]
#: The end of a writing; None: it is durable.
Ended = Callable[[DirectoryError | None], None]


class Directory(Protocol):
    """VSIs, by the text of their IDs, to owners.  Only the newest life of a pod writes for it."""

    def begin_life(self, pod: str, life: int, ended: Ended) -> None:
        """Begin a life of a pod: earlier ones can write no more.

        ``ended`` gets an :class:`OvertakenError` if there was a newer one.
        """

    def find(self, vsi: str, found: Found, patience: float | None = None) -> None:
        """Look the owner of a VSI up.

        Args:
            patience: seconds for the answer; None: as for all calls.
        """

    def claim(self, vsi: str, owner: Owner, expected: int, ended: Ended) -> None:
        """Write the owner of a VSI.

        Args:
            expected: generation of the present owner; 0: there is none.
        """

    def give_back(self, vsi: str, claimed: Owner, owner: Owner, ended: Ended) -> None:
        """Write the former owner of a VSI that was claimed in vain, in the name of the pod that has claimed it."""

    def release(self, vsi: str, owner: Owner, ended: Ended) -> None:
        """Remove the owner of a VSI, if it is this one, or does not matter any more."""
