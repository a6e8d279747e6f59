"""Faults drawn from a seed, as in life: several at a time, in an order nobody thought of."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ryu_apps.evb.topology.fabric import Timers
from ryu_apps.testbed.faults.kinds import BROKEN, FAULTS, HOSTILE
from ryu_apps.testbed.faults.nemesis import Nemesis, rig_for
from ryu_apps.testbed.harness.sandbox import inside
from ryu_apps.testbed.short_timers import QUICK

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

LONG = 900.0
DEFAULT = Timers()
#: Seed, timers of the roamers' stations, kinds of faults: each kind once, in an order drawn with the seed.
DECKS: dict[str, tuple[int, Timers, Iterable[str]]] = {
    "shortest timers": (2011, QUICK, BROKEN),
    "default timers": (2012, DEFAULT, HOSTILE),
}


@contextmanager
def raging(folder: Path, seed: int, timers: Timers) -> Iterator[Nemesis]:
    with inside(), rig_for(folder, timers) as rig:
        nemesis = Nemesis(rig, seed, timers, print)
        with rig.unharmed(f"seed {seed}, rwd {timers.rwd}, rka {timers.rka}") as times:
            yield nemesis
            times |= {"faults": sum(nemesis.injected.values()), "slowest recovery": nemesis.slowest}
        rig.write(f"nemesis-{seed}-{timers.rka}")


def test_every_kind_of_fault_is_dealt() -> None:
    assert {kind for _, _, kinds in DECKS.values() for kind in kinds} == set(FAULTS)


@pytest.mark.parametrize("deck", DECKS)
def test_nothing_breaks_by_any_kind_of_fault(deck: str, tmp_path: Path) -> None:
    seed, timers, kinds = DECKS[deck]
    with raging(tmp_path, seed, timers) as nemesis:
        nemesis.deal(kinds)
        assert nemesis.injected == dict.fromkeys(kinds, 1)


@pytest.mark.soak
@pytest.mark.parametrize("timers", [QUICK, DEFAULT], ids=["shortest", "default"])
def test_nothing_breaks_for_long(timers: Timers, soak_seed: int, tmp_path: Path) -> None:
    with raging(tmp_path, soak_seed, timers) as nemesis:
        nemesis.rage(LONG)
