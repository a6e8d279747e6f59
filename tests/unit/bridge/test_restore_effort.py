"""Restoring VSIs costs so many calls each, however many they are: of a restart, and of a take-over."""

from __future__ import annotations

from dataclasses import replace

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.model import Binding
from ryu_apps.evb.record_kinds import ATTACHMENT
from ryu_apps.evb.vsi.records.attachment import AttachmentRecord
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, POLICIES, VLAN, Vm, World
from tests.worlds.effort import calls

#: Calls for a VSI on two switches.
MEASURED = 559
#: What a small change may add.  A change that spares calls lowers the number above.
ROOM = 1.05


def records(count: int) -> dict[str, bytes]:
    """Those of a bridge that has granted an Associate to so many VSIs of one type, at one port."""
    world = World()
    world.connect()
    world.ask(HV1, Vm(1), VdpMode.ASSOCIATE)
    (key,) = [key for key in world.store if key.startswith(ATTACHMENT.prefix)]
    first = AttachmentRecord.decode(world.store[key])
    assert first.program is not None
    found = dict(world.store)
    for number in range(2, count + 1):
        vm = Vm(number)
        binding = replace(first.program.binding, bindings=(Binding(VLAN, vm.mac),), vsi_index=number, generation=number)
        program = replace(first.program, binding=binding, pages=((number - 1) // 32,))
        record = replace(first, newest=vm.tlv(VdpMode.ASSOCIATE), program=program)
        found[ATTACHMENT.key(f"{vm.text}@{HV1}")] = record.encode()
    return found


def effort(count: int) -> int:
    """Calls for building the engine of a bridge with so many VSIs."""
    fabric, known = World().fabric, records(count)
    engines: list[Engine] = []
    counted = calls(lambda: engines.append(Engine(fabric, POLICIES, known, now=1000.0)))
    assert len(engines[0].registry) == count
    return counted


def test_each_vsi_takes_as_many_calls_however_many_there_are() -> None:
    few, some, many = map(effort, (32, 320, 1280))
    first, later = (some - few) / 288, (many - some) / 960
    assert later <= ROOM * first
    assert first <= ROOM * MEASURED
