"""A directory of owners in memory that answers at once, when told to, or not at all."""

from __future__ import annotations

from collections.abc import Callable

from ryu_apps.evb.pods.directory import DirectoryError, Ended, Found, OvertakenError
from ryu_apps.evb.pods.owner import Owner


class DirectoryModel:
    """Owners of VSIs, and the newest life of each pod; what it does is what the conformance suite asks of all.

    Attributes:
        owners, lives: what is written.
        away: it does not answer, and nothing is written.
        lost: what is written is not answered.
    """

    def __init__(self) -> None:
        self.owners: dict[str, Owner] = {}
        self.lives: dict[str, int] = {}
        self.away = False
        self.lost = False

    def begin_life(self, pod: str, life: int, ended: Ended) -> None:
        """Begin a life of a pod."""

        def write() -> None:
            if self.lives.get(pod, 0) > life:
                raise OvertakenError
            self.lives[pod] = life

        self._do(write, ended)

    def find(self, vsi: str, found: Found, patience: float | None = None) -> None:
        """Look the owner of a VSI up."""
        found(DirectoryError() if self.away else self.owners.get(vsi))

    def claim(self, vsi: str, owner: Owner, expected: int, ended: Ended) -> None:
        """Write an owner."""

        def write() -> None:
            self._fence(owner)
            present = self.owners.get(vsi)
            if (present.generation if present else 0) != expected:
                raise OvertakenError
            self.owners[vsi] = owner

        self._do(write, ended)

    def give_back(self, vsi: str, claimed: Owner, owner: Owner, ended: Ended) -> None:
        """Write the former owner in the place of a claim."""

        def write() -> None:
            self._fence(claimed)
            if self._is_claimed(vsi, claimed):
                self.owners[vsi] = owner

        self._do(write, ended)

    def release(self, vsi: str, owner: Owner, ended: Ended) -> None:
        """Remove an owner."""

        def write() -> None:
            self._fence(owner)
            if self._is_claimed(vsi, owner):
                del self.owners[vsi]

        self._do(write, ended)

    def _fence(self, owner: Owner) -> None:
        if self.lives.get(owner.pod) != owner.life:
            raise OvertakenError

    def _is_claimed(self, vsi: str, claimed: Owner) -> bool:
        present = self.owners.get(vsi)
        return present is not None and present.pod == claimed.pod and present.generation <= claimed.generation

    def _do(self, write: Callable[[], None], ended: Ended) -> None:
        if self.away:
            ended(DirectoryError())
            return
        try:
            write()
        except OvertakenError as overtaken:
            ended(overtaken)
            return
        ended(DirectoryError() if self.lost else None)
