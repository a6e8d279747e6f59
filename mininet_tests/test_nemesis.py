"""Faults drawn from a seed, as in life: several at a time, in an order nobody thought of."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from mininet_tests.faults.rig import Rig
from mininet_tests.harness.sandbox import inside
from mininet_tests.nemesis import Nemesis, rig_for

pytestmark = [pytest.mark.privileged, pytest.mark.slow]

SHORT, LONG = 25.0, 1800.0


@pytest.fixture(scope="module")
def rig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    with inside(), rig_for(tmp_path_factory.mktemp("faults")) as rig:
        yield rig


def rage(rig: Rig, seed: int, seconds: float) -> None:
    nemesis = Nemesis(rig, seed, print)
    with rig.unharmed(f"seed {seed}") as times:
        nemesis.rage(seconds)
        times |= {"faults": sum(nemesis.injected.values()), "slowest recovery": nemesis.slowest}
    rig.write(f"nemesis-{seed}")


@pytest.mark.parametrize("seed", [2011])
def test_nothing_breaks_for_some_seconds(rig: Rig, seed: int) -> None:
    rage(rig, seed, SHORT)


@pytest.mark.soak
def test_nothing_breaks_for_long(rig: Rig, soak_seed: int) -> None:
    rage(rig, soak_seed, LONG)
