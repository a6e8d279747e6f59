"""A client of the directory of pods that claims VSIs for some seconds, as the bridge of a pod does.

``python -m bench.claims REMOTES UNDER_WAY SECONDS NAME`` prints as JSON the milliseconds of each claim, and how many
were not answered.
"""

from __future__ import annotations

import json
import sys
import threading
import time

from ryu_apps.evb.pods.directory import DirectoryError
from ryu_apps.evb.pods.owner import Owner
from ryu_apps.stores.ovsdb.directory import OvsdbDirectory

#: Seconds for a call on a busy machine.
PATIENCE = 30.0


class Claimant:
    """Claims one VSI after the other, some at a time.

    Attributes:
        taken: milliseconds of each claim.
        failed: claims that were not answered.
        over: nothing is under way any more.
    """

    def __init__(self, directory: OvsdbDirectory, name: str, seconds: float) -> None:
        self.taken: list[float] = []
        self.failed = 0
        self._directory = directory
        self._name = name
        self._until = time.monotonic() + seconds
        self._count = 0
        self._under_way = 0
        self.over = threading.Event()

    def go_on(self) -> None:
        """Claim the next VSI; called by the thread of the directory when one is claimed."""
        self._count += 1
        self._under_way += 1
        begun = time.monotonic()

        def ended(error: DirectoryError | None) -> None:
            now = time.monotonic()
            self._under_way -= 1
            if now < self._until:
                if error is None:
                    self.taken.append(1000 * (now - begun))
                else:
                    self.failed += 1
                self.go_on()
            elif not self._under_way:
                self.over.set()

        vsi = f"{self._name}-{self._count}"
        self._directory.claim(vsi, Owner(self._name, 1, 1), 0, ended)


def main(remotes: str, under_way: str, seconds: str, name: str) -> None:
    """Claim and print."""
    directory = OvsdbDirectory(remotes.split(","), name, patience=PATIENCE)
    while not _begins(directory, name):
        pass
    claimant = Claimant(directory, name, float(seconds))
    for _ in range(int(under_way)):
        claimant.go_on()
    assert claimant.over.wait(PATIENCE)
    directory.close()
    print(json.dumps({"ms": claimant.taken, "failed": claimant.failed}))


def _begins(directory: OvsdbDirectory, name: str) -> bool:
    """Begin the life in whose name the claims are; False: the directory has not answered."""
    ends: list[DirectoryError | None] = []
    over = threading.Event()

    def ended(error: DirectoryError | None) -> None:
        ends.append(error)
        over.set()

    directory.begin_life(name, 1, ended)
    assert over.wait(2 * PATIENCE)
    return ends == [None]


if __name__ == "__main__":
    main(*sys.argv[1:])
