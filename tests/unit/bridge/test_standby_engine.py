"""The engine that a standby keeps ready is one, however often it has to be made anew."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from typing import Any
from weakref import ref

import pytest

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.config import BridgeConfig
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.process import heap
from ryu_apps.standby import StandbyEngine
from tests.worlds.bridge import HV1, POLICIES, Vm, World


@pytest.fixture(autouse=True)
def heap_as_before() -> Iterator[None]:
    yield
    gc.unfreeze()


def test_engine_that_is_made_anew_leaves_nothing_of_the_last_one() -> None:
    """Each was set aside when it was made, and is full of cycles: with 8,192 VSIs it is 80 MB."""
    world, made = World(), []
    world.connect()
    world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)

    def make(config: BridgeConfig, policies: Any, records: Any, ready: Any) -> Engine:
        engine = Engine(config.fabric, policies, records, follows=True)
        made.append(ref(engine))
        return engine

    standby = StandbyEngine(make)
    for number in range(3):
        config = BridgeConfig(world.fabric, ())
        with heap.uncollected():
            standby.follow(config, POLICIES, world.engine.epochs.compiled, world.store)
        if number == 1:
            # It leads, and has lost the lead since.
            standby.forget()
    assert [engine() is not None for engine in made] == [False, False, True]
