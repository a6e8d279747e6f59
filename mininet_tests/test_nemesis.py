"""Faults drawn from a seed, as in life: several at a time, in an order nobody thought of."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.topology.fabric import Converge
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.testbed.faults.kinds import BROKEN, FAULTS, HOSTILE
from ryu_apps.testbed.faults.member_kinds import MEMBER_FAULTS
from ryu_apps.testbed.faults.nemesis import Nemesis
from ryu_apps.testbed.faults.nemesis_rigs import TAKE_OVER, Settings, members_rig_for, rig_for
from ryu_apps.testbed.faults.rig import BRISK
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
#: Of three bridges and their store, for a run that is short.
OF_MEMBERS = ("leader killed", "leader stopped", "leader cut from both", "lead transferred", "store majority lost")


@contextmanager
def raging(folder: Path, seed: int, timers: Timers) -> Iterator[Nemesis]:
    with inside(), rig_for(folder, timers) as rig:
        nemesis = Nemesis(rig, seed, timers, print)
        with watched(nemesis, f"seed {seed}, rwd {timers.rwd}, rka {timers.rka}"):
            yield nemesis
        rig.write(f"nemesis-{seed}-{timers.rka}")


@contextmanager
def raging_among_members(folder: Path, seed: int, settings: Settings, timers: Timers) -> Iterator[Nemesis]:
    with inside(), members_rig_for(folder, settings, timers) as rig:
        nemesis = Nemesis(rig, seed, timers, print, MEMBER_FAULTS, TAKE_OVER)
        with watched(nemesis, f"three bridges, seed {seed}, {settings}, rka {timers.rka}"):
            yield nemesis
        rig.write(f"nemesis-of-members-{seed}-{timers.rka}")


@contextmanager
def watched(nemesis: Nemesis, words: str) -> Iterator[None]:
    with nemesis.rig.unharmed(words) as times:
        yield
        assert nemesis.passed, "the witness has seen open gates"
        times |= {
            "faults": sum(nemesis.injected.values()),
            "slowest recovery": nemesis.slowest,
            "two gates of a VM": nemesis.overlap,
        }


def test_every_kind_of_fault_is_dealt() -> None:
    assert {kind for _, _, kinds in DECKS.values() for kind in kinds} == set(FAULTS)


@pytest.mark.parametrize("deck", DECKS)
def test_nothing_breaks_by_any_kind_of_fault(deck: str, tmp_path: Path) -> None:
    seed, timers, kinds = DECKS[deck]
    with raging(tmp_path, seed, timers) as nemesis:
        nemesis.deal(kinds)
        assert nemesis.injected == dict.fromkeys(kinds, 1)


def test_nothing_breaks_by_faults_of_a_cluster_of_bridges(tmp_path: Path) -> None:
    """With all that is not the default: copies to both places of a move, and gates that open by meters."""
    settings = Settings(Converge.COPY, GateMode.METER)
    with raging_among_members(tmp_path, 2164, settings, BRISK) as nemesis:
        nemesis.deal(OF_MEMBERS)
        assert nemesis.injected == dict.fromkeys(OF_MEMBERS, 1)


@pytest.mark.soak
@pytest.mark.parametrize("timers", [QUICK, DEFAULT], ids=["shortest", "default"])
def test_nothing_breaks_for_long(timers: Timers, soak_seed: int, tmp_path: Path) -> None:
    with raging(tmp_path, soak_seed, timers) as nemesis:
        nemesis.rage(LONG)


@pytest.mark.soak
@pytest.mark.parametrize("timers", [QUICK, DEFAULT], ids=["shortest", "default"])
def test_nothing_breaks_for_long_in_a_cluster_of_bridges(timers: Timers, soak_seed: int, tmp_path: Path) -> None:
    """With drawn settings: every kind of fault once, then whatever is drawn."""
    settings = Settings.drawn(random.Random(soak_seed + timers.rka))
    with raging_among_members(tmp_path, soak_seed, settings, timers) as nemesis:
        nemesis.deal(MEMBER_FAULTS)
        nemesis.rage(LONG)
