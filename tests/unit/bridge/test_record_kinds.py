"""Kinds of records: one for each key, and what becomes of a record without one."""

from __future__ import annotations

import pytest

from ryu_apps.evb.record_kinds import ATTACHMENT, RECORD_KINDS, RecordKind, by_kind, kind_of
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, Vm, World


def test_no_prefix_begins_another() -> None:
    prefixes = [kind.prefix for kind in RECORD_KINDS]
    assert [(a, b) for a in prefixes for b in prefixes if a is not b and b.startswith(a)] == []


@pytest.mark.parametrize("kind", RECORD_KINDS, ids=lambda kind: kind.prefix)
def test_a_key_has_its_kind_and_its_subject(kind: RecordKind) -> None:
    subject = "anything/at all" if kind.subject else ""
    assert kind_of(kind.key(subject)) is kind
    assert kind.subject_of(kind.key(subject)) == subject
    assert by_kind({kind.key(subject): b"1"})[kind] == {kind.key(subject): b"1"}


def test_a_record_of_no_kind_is_reported_and_stops_nothing() -> None:
    world = World()
    world.connect()
    world.ask(HV1, Vm(7), VdpMode.ASSOCIATE)
    world.store["newer/kind"] = b"\x01"
    world.restart_controller()
    reported = [event for event in world.happened if event.kind == "vsi.not_restored"]
    assert [event.detail["record"] for event in reported] == ["newer/kind"]
    world.ask(HV1, Vm(7), VdpMode.ASSOCIATE)
    assert world.answer(HV1).success


def test_an_attachment_is_what_a_record_of_no_kind_is_taken_for() -> None:
    assert by_kind({"newer/kind": b""})[ATTACHMENT] == {"newer/kind": b""}
