"""The garbage collector has little to look at, and nothing to find."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.process import heap
from tests.worlds.bridge import HV1, HV3, Vm, World

RR, ASSOC, DEASSOC = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE


@pytest.fixture
def spared() -> Iterator[None]:
    heap.freeze_gc()
    yield
    gc.callbacks.remove(heap._set_aside)
    gc.unfreeze()


@pytest.mark.usefixtures("spared")
def test_what_survives_a_full_collection_is_not_looked_at_again() -> None:
    before = gc.get_freeze_count()
    kept = [{"number": number, "list": []} for number in range(1000)]
    gc.collect(1)
    assert gc.get_freeze_count() == before
    gc.collect()
    assert gc.get_freeze_count() >= before + 1000
    assert not {id(item) for item in gc.get_objects()} & {id(item) for item in kept}


@pytest.mark.usefixtures("spared")
def test_asking_twice_is_asking_once() -> None:
    heap.freeze_gc()
    assert gc.callbacks.count(heap._set_aside) == 1


def test_the_life_of_a_vsi_leaves_no_garbage() -> None:
    """Frozen objects are freed only if they are part of no cycle."""
    world = World()
    world.connect()

    def live(number: int) -> None:
        vm = Vm(number)
        for port, mode in ((HV1, RR), (HV1, ASSOC), (HV3, RR), (HV3, ASSOC), (HV3, DEASSOC), (HV1, DEASSOC)):
            world.ask(port, vm, mode)

    live(1)
    gc.collect()
    gc.disable()
    try:
        for number in range(2, 30):
            live(number)
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_what_was_made_without_collections_is_not_looked_at_by_the_next() -> None:
    try:
        with heap.uncollected():
            kept = [{"number": number, "list": []} for number in range(1000)]
        assert not {id(item) for item in gc.get_objects()} & {id(item) for item in kept}
    finally:
        gc.unfreeze()


def test_nothing_is_collected_while_much_is_made() -> None:
    @heap.uncollected()
    def fail() -> None:
        raise ValueError(f"collecting: {gc.isenabled()}")

    with pytest.raises(ValueError, match="collecting: False"):
        fail()
    assert gc.isenabled()
