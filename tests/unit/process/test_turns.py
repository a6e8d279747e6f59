"""Threads that compute have short turns."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import pytest

from ryu_apps.process.turns import TURN, short_turns


@pytest.fixture
def usual() -> Iterator[float]:
    interval = sys.getswitchinterval()
    yield interval
    sys.setswitchinterval(interval)


def test_turns_are_short(usual: float) -> None:
    short_turns()
    assert sys.getswitchinterval() == pytest.approx(TURN)
    assert usual / TURN >= 10
