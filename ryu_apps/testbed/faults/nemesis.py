"""The nemesis: VMs that move about a real cluster while whatever can break breaks, drawn from a seed.

    python -m ryu_apps.testbed.faults.nemesis --seed 7 --seconds 600
    python -m ryu_apps.testbed.faults.nemesis --seed 7 --seconds 600 --members

Each step asks for something under a fault, lifts the fault, and checks what must never break.  A seed fixes the
steps, not the microseconds: a run that fails prints its steps, and its seed meets the same faults in the same order.
With ``--members`` there are three bridges with one store, and the faults are theirs too.
"""

from __future__ import annotations

import argparse
import random
import re
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path

from ryu_apps.evb.protocol.timers import agree
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.testbed.faults.kinds import FAULTS, Fault, Scene
from ryu_apps.testbed.faults.member_kinds import MEMBER_FAULTS
from ryu_apps.testbed.faults.nemesis_rigs import PLACES, TAKE_OVER, Settings, members_rig_for, rig_for
from ryu_apps.testbed.faults.rig import HOMES, Rig, RigVm
from ryu_apps.testbed.faults.witness import Witness
from ryu_apps.testbed.harness import sandbox
from ryu_apps.testbed.harness.shell import wait_until
from ryu_apps.testbed.harness.station import VdptoolMode
from ryu_apps.testbed.short_timers import QUICK

GUESTS = tuple(RigVm(f"roamer{number}", 60 + number) for number in range(3))
#: More often than others an Associate, which opens gates.
MODES = (VdptoolMode.PREASSOCIATE_RR, *(VdptoolMode.ASSOCIATE,) * 2, VdptoolMode.DEASSOCIATE)
#: Seconds that things take on a busy machine besides what timers say.
SLACK = 6.0
#: Of these, what a change of owner may take.
MARGIN = 1.2
#: Seconds after which a switch is rid of what no record explains: longer than any keep-alive timeout here, then some.
SWEPT = 40.0
#: Seconds of two gates of a VM that are reported with their fault: more than a flip takes on a busy machine.
_MOMENT = 0.5


class Nemesis:
    """One run on a rig that is up; afterwards the rig is as it was.

    Attributes:
        steps: what has been done, so that it can be repeated.
        injected: how often each fault.
        slowest: the longest time from the end of a fault to a cluster that is well, in seconds.
        passed: number of frames that the witness has sent and that have passed.
        overlap: the longest time in which a VM's frames passed from two places, in seconds.
    """

    _witness: Witness

    def __init__(
        self,
        rig: Rig,
        seed: int,
        timers: Timers = QUICK,
        tell: Callable[[str], None] = lambda words: None,
        faults: Mapping[str, Fault] = FAULTS,
        take_over: float = 0.0,
    ) -> None:
        """
        Args:
            timers: of the roamers' stations, see :func:`rig_for`.
            faults: what can break, by name.
            take_over: seconds that another bridge needs to lead.
        """
        self.rig = rig
        self._faults = faults
        agreed = agree(timers, timers)
        # A station that waits for an answer, and what expires thereafter.
        self._patience = agreed.response_wait + agreed.keep_alive_timeout + SLACK + take_over
        # A change of owner has reached all switches or was taken back.
        self._flip = agreed.resource_wait_delay + MARGIN + take_over
        self.steps: list[str] = []
        self.injected: Counter[str] = Counter()
        self.slowest = self.overlap = 0.0
        self.passed = 0
        self._allowed: dict[tuple[str, str], float] = {}
        self.draw = random.Random(seed)
        self._scene = Scene(rig, self.draw, GUESTS, PLACES, self.wait_answered)
        self._tell = tell

    def rage(self, seconds: float) -> None:
        """Go on for so long with whatever is drawn, then see that nothing is left of it.

        Raises:
            AssertionError, TimeoutError: something broke that must not.
        """
        deadline = time.monotonic() + seconds
        with self._undone():
            while time.monotonic() < deadline:
                self._step(self.draw.choice(sorted(self._faults)))

    def deal(self, kinds: Iterable[str]) -> None:
        """Each of these kinds of faults once, in an order that is drawn; as :meth:`rage`."""
        deck = sorted(kinds)
        self.draw.shuffle(deck)
        with self._undone():
            for name in deck:
                self._step(name)

    @contextmanager
    def _undone(self) -> Iterator[None]:
        before = self.rig.tables()
        try:
            with Witness(self.rig, GUESTS, PLACES) as self._witness:
                yield
        finally:
            self.rig.tidy(*GUESTS, limit=self._patience + SLACK)
        if not self._scene.lost_state:
            self.rig.await_tables(before, self._patience)
            return
        # Indices are new ones, and what no record explained has to go first.
        was = shapes(before)
        wait_until(lambda: shapes(self.rig.read_tables() or {}) == was, "tables as before, but for indices", SWEPT)

    def _step(self, name: str) -> None:
        orders = [(guest, *self._order()) for guest in self.draw.sample(GUESTS, self.draw.randint(1, len(GUESTS)))]
        moves = {
            guest for guest, _, mode in orders if mode is VdptoolMode.ASSOCIATE and self.draw.choice((True, False))
        }
        wishes = ", ".join(
            f"{guest.name} {'announced ' * (guest in moves)}{mode.value} at {place}" for guest, place, mode in orders
        )
        self.steps.append(f"{name}: {wishes}")
        self._tell(self.steps[-1])
        self.injected[name] += 1
        self._announce((guest, place) for guest, place, _ in orders if guest in moves)
        asked = time.monotonic()
        for guest, place, mode in orders:
            if mode is VdptoolMode.ASSOCIATE:
                self._allow(guest, place)
        with contextmanager(self._faults[name])(self._scene):
            for guest, place, mode in orders:
                self.rig.ask(place, mode, guest)
        begun = time.monotonic()
        self._check()
        self.slowest = max(self.slowest, time.monotonic() - begun)
        self._hear_witness(asked - self._patience)
        late = self.rig.late_acts(asked)
        assert not late, f"{late}; steps: {self.steps}"

    def _announce(self, moves: Iterable[tuple[RigVm, str]]) -> None:
        """Reserve at a place where an Associate under the fault shall take the VM from where it is."""
        asked = [self.rig.ask(place, VdptoolMode.PREASSOCIATE_RR, guest) for guest, place in moves]
        if asked:
            self.wait_answered()

    def _allow(self, guest: RigVm, place: str) -> None:
        """From now on, frames of a VM may pass at a place; a request may wait for as long as a station repeats it."""
        self._allowed[guest.name, place] = time.monotonic()

    def _hear_witness(self, since: float) -> None:
        """Check that nothing has passed at a place at which a VM was neither, nor was to be associated since then."""
        passed = self._witness.passed()
        allowed = {
            guest.name: [place for place in PLACES if self._allowed.get((guest.name, place), 0.0) > since]
            for guest in GUESTS
        }
        strangers = passed.strangers(allowed)
        assert not strangers, f"frames that pass without an Associate: {strangers}; steps: {self.steps}"
        self.passed += passed.frames
        overlap = passed.longest_overlap()
        if overlap > _MOMENT:
            # Which fault it was: the record of a run has the longest one only.
            self._tell(f"two gates of a VM for {overlap:.2f} s")
        self.overlap = max(self.overlap, overlap)
        for guest, places in self.rig.places_of(GUESTS).items():
            for place in places:
                self._allow(guest, place)

    def wait_answered(self) -> None:
        """Let what was asked be dealt with while the fault lasts, as long as a station would wait."""
        with suppress(TimeoutError):
            wait_until(self._agree, "agreement under the fault", 2.0, pause=0.05)

    def _order(self) -> tuple[str, VdptoolMode]:
        return self.draw.choice(PLACES), self.draw.choice(MODES)

    def _check(self) -> None:
        """Check what must never break, and wait for what must recover."""
        try:
            # Two switches do not change at one moment, but neither may stay behind the other.
            wait_until(self._alone, "one place a VM", self._flip)
            wait_until(self._agree, "stations, bridge and switches to agree", self._patience, pause=0.05)
        except TimeoutError as error:
            raise AssertionError(f"{error}; {self._views()}; steps: {self.steps}") from None

    def _alone(self) -> bool:
        return all(len(places) <= 1 for places in self.rig.places_of(GUESTS).values())

    def _views(self) -> str:
        """Return the views of the bridge and of the stations."""
        return "; ".join(
            f"{guest.name}: switches {places}, bridge {self.rig.known(guest)},"
            f" stations {[place for place in PLACES if self._associated(place, guest)]}"
            for guest, places in self.rig.places_of(GUESTS).items()
            if not self._agree_on(guest, places)
        )

    def _agree(self) -> bool:
        with suppress(OSError):  # a client that was turned away
            return self.rig.serves and self._agree_on_all() and self._kept()
        return False

    def _agree_on_all(self) -> bool:
        return all(self._agree_on(guest, places) for guest, places in self.rig.places_of(GUESTS).items())

    def _kept(self) -> bool:
        """Return True if bridge and stations have every bystander associated where it always was."""
        return all(
            (self.rig.known(guest) or {}).get("owner") == str(self.rig.cluster.hypervisors[home].port)
            and self._associated(home, guest)
            for guest, home in HOMES.items()
        )

    def _agree_on(self, guest: RigVm, owners: list[str]) -> bool:
        """One owner, at the switches as at the bridge, and no station that is associated elsewhere."""
        known = self.rig.known(guest) or {"owner": None, "attachments": []}
        if any(attachment["wanted"] or attachment["phase"] == "releasing" for attachment in known["attachments"]):
            return False
        holders = [place for place in PLACES if self._associated(place, guest)]
        ports = [str(self.rig.cluster.hypervisors[place].port) for place in owners]
        return holders == owners and ports == ([known["owner"]] if known["owner"] else [])

    def _associated(self, place: str, guest: RigVm) -> bool:
        return self.rig.cluster.hypervisors[place].station.holds(VdptoolMode.ASSOCIATE, guest.vsi)


def shapes(tables: dict[str, list[str]]) -> dict[str, list[str]]:
    """Rules and groups without what the index of a VSI makes of them: cookies, metadata, the order of a flood."""
    return {name: sorted(_shape(line) for line in lines) for name, lines in tables.items()}


def _shape(line: str) -> str:
    match, _, actions = re.sub(r"0x[0-9a-f]+", "#", line).partition("actions=")
    return f"{match}actions={sorted(actions.split(','))}"


def main() -> None:
    """Run from the command line, as root."""
    parser = argparse.ArgumentParser(
        prog="python -m ryu_apps.testbed.faults.nemesis", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--default-timers", action="store_true", help="as the product has them, not the shortest ones")
    parser.add_argument("--members", action="store_true", help="three bridges with one store, and their faults")
    parser.add_argument("--logs", type=Path, help="folder for the logs")
    given = parser.parse_args()
    timers = Timers() if given.default_timers else QUICK
    settings = Settings.drawn(random.Random(given.seed))
    sandbox.enter()
    print(f"seed {given.seed}" + (f", {settings}" if given.members else ""), flush=True)
    tell = partial(print, flush=True)
    with tempfile.TemporaryDirectory(prefix="nemesis-", dir="/run") as folder:
        rig = members_rig_for(Path(folder), settings, timers) if given.members else rig_for(Path(folder), timers)
        try:
            with rig:
                of_members = (MEMBER_FAULTS, TAKE_OVER) if given.members else ()
                nemesis = Nemesis(rig, given.seed, timers, tell, *of_members)
                with rig.bystanders() as loss:
                    nemesis.rage(given.seconds)
        finally:
            if given.logs is not None:
                rig.cluster.keep_logs(given.logs)
    sent, lost = sum(loss.sent.values()), sum(loss.lost.values())
    print(f"{sum(nemesis.injected.values())} faults: {dict(nemesis.injected)}")
    print(f"bystanders lost {lost} of {sent}; slowest recovery {nemesis.slowest:.1f} s")
    print(f"of the witness {nemesis.passed} frames passed; at most {nemesis.overlap:.2f} s with two gates of a VM")
    raise SystemExit(bool(lost))


if __name__ == "__main__":
    main()
