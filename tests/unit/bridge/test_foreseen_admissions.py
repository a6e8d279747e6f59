"""Admissions that were foreseen count for the steps of their own Associate alone."""

from __future__ import annotations

from typing import Any

import pytest

from ryu_apps.evb.bridge import decisions
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, HV2, Vm, World

VM = Vm(7)


@pytest.fixture
def world() -> World:
    """A VM that is staged at hv1."""
    world = World(express=False)
    world.connect()
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    world.advance(0.05)
    return world


@pytest.fixture
def examined(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Filters that were examined."""
    filters: list[object] = []
    examine = decisions.examine

    def noted(*arguments: Any) -> Any:
        filters.append(arguments[2])
        return examine(*arguments)

    monkeypatch.setattr(decisions, "examine", noted)
    return filters


def attachment(world: World) -> Attachment:
    vsi = world.engine.registry.named(VM.text)
    assert vsi is not None
    return vsi.attachments[HV1]


def test_admission_of_another_vsi_does_not_count(world: World, examined: list[object]) -> None:
    admitted = world.engine.associations.admission(attachment(world), world.now)
    assert admitted is not None
    world.engine.associations.foresaw((attachment(world), admitted))
    examined.clear()
    world.ask(HV2, Vm(8), VdpMode.ASSOCIATE)
    assert world.answer(HV2).success and examined
