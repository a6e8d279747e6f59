"""The nemesis: VMs that move about a real cluster while whatever can break breaks, drawn from a seed.

    python -m mininet_tests.nemesis --seed 7 --seconds 600

Each step asks for something under a fault, lifts the fault, and checks what must never break.  A seed fixes the
steps, not the microseconds: a run that fails tells its steps, and repeating it meets the same faults in the same order.
"""

from __future__ import annotations

import argparse
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from mininet_tests.faults.proxy import Kind, Trap
from mininet_tests.faults.rig import S1, S2, Guest, Rig
from mininet_tests.harness import sandbox
from mininet_tests.harness.shell import run, wait_until
from mininet_tests.harness.station import Mode
from mininet_tests.quick import QUICK

GUESTS = tuple(Guest(f"roamer{number}", 60 + number) for number in range(3))
#: Hypervisors with no bystander.
PLACES = ("hv1", "hv2", "hv5", "hv6")
MODES = (Mode.PREASSOCIATE_RR, Mode.ASSOCIATE, Mode.DEASSOCIATE)
#: Seconds in which everything has to be well again after a fault: a station that waits for an answer, then some.
PATIENCE = 10.0
#: Seconds in which a change of owner has reached all switches or was taken back: the resource wait, then some.
FLIP = 2.5

#: Takes effect when entered and ends on leaving.
Fault = Callable[["Nemesis"], Iterator[None]]


class Nemesis:
    """One run on a rig that is up; afterwards the rig is as it was.

    Attributes:
        steps: what has been done, for whoever has to repeat it.
        injected: how often each fault.
        slowest: the longest time from the end of a fault to a cluster that is well, in seconds.
    """

    def __init__(self, rig: Rig, seed: int, tell: Callable[[str], None] = lambda words: None) -> None:
        self.rig = rig
        self.steps: list[str] = []
        self.injected: Counter[str] = Counter()
        self.slowest = 0.0
        self.draw = random.Random(seed)
        self._tell = tell

    def rage(self, seconds: float) -> None:
        """Go on for so long, then see that nothing is left of it.

        Raises:
            AssertionError, TimeoutError: something broke that must not.
        """
        deadline = time.monotonic() + seconds
        with self.rig.restored(PATIENCE):
            try:
                while time.monotonic() < deadline:
                    self._step()
            finally:
                self.rig.tidy(*GUESTS)

    def _step(self) -> None:
        name = self.draw.choice(sorted(FAULTS))
        orders = [(guest, *self._order()) for guest in self.draw.sample(GUESTS, self.draw.randint(1, len(GUESTS)))]
        wishes = ", ".join(f"{guest.name} {mode.value} at {place}" for guest, place, mode in orders)
        self.steps.append(f"{name}: {wishes}")
        self._tell(self.steps[-1])
        self.injected[name] += 1
        with contextmanager(FAULTS[name])(self):
            for guest, place, mode in orders:
                self.rig.ask(place, mode, guest)
        begun = time.monotonic()
        self._check()
        self.slowest = max(self.slowest, time.monotonic() - begun)

    def wait_answered(self) -> None:
        """Let what was asked be dealt with while the fault lasts, as long as a station would wait."""
        with suppress(TimeoutError):
            wait_until(self._agree, "agreement under the fault", 2.0, pause=0.05)

    def _order(self) -> tuple[str, Mode]:
        return self.draw.choice(PLACES), self.draw.choice(MODES)

    def _check(self) -> None:
        """What must never break, and what must be well again soon."""
        try:
            # Two switches do not change at one moment, but neither may stay behind the other.
            wait_until(lambda: all(len(self.rig.places(guest)) <= 1 for guest in GUESTS), "one place a VM", FLIP)
            wait_until(self._agree, "stations, bridge and switches to agree", PATIENCE, pause=0.05)
        except TimeoutError as error:
            raise AssertionError(f"{error}; {self._views()}; steps: {self.steps}") from None

    def _views(self) -> str:
        """Who believes what."""
        return "; ".join(
            f"{guest.name}: switches {self.rig.places(guest)}, bridge {self.rig.known(guest)},"
            f" stations {[place for place in PLACES if self._associated(place, guest)]}"
            for guest in GUESTS
            if not self._agree_on(guest)
        )

    def _agree(self) -> bool:
        return self._ready() and all(self._agree_on(guest) for guest in GUESTS)

    def _ready(self) -> bool:
        return all(one["readiness"] == "ready" for one in self.rig.controller.get("/evb/status")["switches"])

    def _agree_on(self, guest: Guest) -> bool:
        """One owner, at the switches as at the bridge, and no station that is associated elsewhere."""
        known = self.rig.known(guest) or {"owner": None, "attachments": []}
        if any(one["wanted"] or one["phase"] == "releasing" for one in known["attachments"]):
            return False
        owners = self.rig.places(guest)
        holders = [place for place in PLACES if self._associated(place, guest)]
        ports = [str(self.rig.cluster.hypervisors[place].port) for place in owners]
        return holders == owners and ports == ([known["owner"]] if known["owner"] else [])

    def _associated(self, place: str, guest: Guest) -> bool:
        return self.rig.cluster.hypervisors[place].station.holds(Mode.ASSOCIATE, guest.vsi)


# --- faults ---
def no_fault(nemesis: Nemesis) -> Iterator[None]:
    yield


def controller_killed(nemesis: Nemesis) -> Iterator[None]:
    """While it holds something back, or at once."""
    kind = nemesis.draw.choice([None, Kind.CHANGE, Kind.CONFIRMATION, Kind.VDP_ANSWER])
    if kind is not None:
        nemesis.rig.proxy.set(Trap((kind,), copies=0))
    yield
    nemesis.rig.controller.kill()
    nemesis.rig.proxy.clear()
    nemesis.rig.restart()


def channel_cut(nemesis: Nemesis) -> Iterator[None]:
    dpids = nemesis.draw.choice([(S1,), (S2,), (S1, S2)])
    nemesis.rig.proxy.cut(*dpids, bar=True)
    yield
    nemesis.rig.proxy.admit()


def channel_silent(nemesis: Nemesis) -> Iterator[None]:
    dpid = nemesis.draw.choice((S1, S2))
    since = time.monotonic()
    nemesis.rig.proxy.strand(dpid)
    yield
    # A switch that nobody can reach keeps its rules, whatever is decided meanwhile.
    wait_until(lambda: nemesis.rig.events(since, "switch.ready"), "a new channel", 20)


def frames_lost(nemesis: Nemesis) -> Iterator[None]:
    yield from _trapped(nemesis, Trap((_frame(nemesis),), times=nemesis.draw.randint(1, 6)))


def frames_doubled(nemesis: Nemesis) -> Iterator[None]:
    yield from _trapped(nemesis, Trap((_frame(nemesis),), copies=2, times=20))


def frames_late(nemesis: Nemesis) -> Iterator[None]:
    delay = nemesis.draw.choice((0.005, 0.03, 0.3, 2.5))
    yield from _trapped(nemesis, Trap((_frame(nemesis),), copies=1, delay=delay, times=6))


def switch_slow(nemesis: Nemesis) -> Iterator[None]:
    dpid = nemesis.draw.choice((S1, S2))
    yield from _trapped(nemesis, Trap((Kind.CHANGE,), dpid, copies=1, slow=nemesis.draw.choice((0.01, 0.1)), times=20))


def station_killed(nemesis: Nemesis) -> Iterator[None]:
    station = nemesis.rig.cluster.hypervisors[nemesis.draw.choice(PLACES)].station
    yield
    station.kill()
    station.start()
    station.wait_ready()


def link_flap(nemesis: Nemesis) -> Iterator[None]:
    port = nemesis.rig.cluster.hypervisors[nemesis.draw.choice(PLACES)].port
    yield
    for state in ("down", "up"):
        since = time.monotonic()
        run(["ip", "link", "set", f"s{port.dpid}-eth{port.port_no}", state])
        wait_until(lambda since=since, state=state: nemesis.rig.events(since, f"port.{state}"), f"port {state}", 5)


def operator_recall(nemesis: Nemesis) -> Iterator[None]:
    yield
    for guest in GUESTS:
        nemesis.rig.recall(guest)


def _frame(nemesis: Nemesis) -> Kind:
    return nemesis.draw.choice([Kind.VDP_REQUEST, Kind.VDP_ANSWER, Kind.STATION_ACK, Kind.BRIDGE_ACK])


def _trapped(nemesis: Nemesis, trap: Trap) -> Iterator[None]:
    """Only roamers' stations are meant; their timers are the quick ones."""
    nemesis.rig.proxy.set(trap)
    yield
    nemesis.wait_answered()
    nemesis.rig.proxy.clear()


FAULTS: dict[str, Fault] = {
    fault.__name__.replace("_", " "): fault
    for fault in (
        no_fault,
        controller_killed,
        channel_cut,
        channel_silent,
        frames_lost,
        frames_doubled,
        frames_late,
        switch_slow,
        station_killed,
        link_flap,
        operator_recall,
    )
}


def rig_for(folder: Path) -> Rig:
    """Roamers' stations with the shortest timers, so that what has to expire does so while we wait."""
    return Rig(folder, dict.fromkeys(PLACES, QUICK))


def main() -> None:
    """Run from the command line, as root."""
    parser = argparse.ArgumentParser(prog="python -m mininet_tests.nemesis", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 32))
    parser.add_argument("--seconds", type=float, default=300.0)
    given = parser.parse_args()
    sandbox.enter()
    print(f"seed {given.seed}")
    with tempfile.TemporaryDirectory(prefix="nemesis-", dir="/run") as folder, rig_for(Path(folder)) as rig:
        nemesis = Nemesis(rig, given.seed, print)
        with rig.bystanders() as loss:
            nemesis.rage(given.seconds)
    sent, lost = sum(loss.sent.values()), sum(loss.lost.values())
    print(f"{sum(nemesis.injected.values())} faults: {dict(nemesis.injected)}")
    print(f"bystanders lost {lost} of {sent}; slowest recovery {nemesis.slowest:.1f} s")
    raise SystemExit(bool(lost))


if __name__ == "__main__":
    main()
