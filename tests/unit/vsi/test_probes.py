"""A plain Pre-Associate: the verdict of the same request with Resource Reservation, and nothing is reserved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.events.switch import SwitchCapacity
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.topology.evb_settings import Timers
from ryu_apps.evb.vsi.reservation import METERS, RULES, ResourceKind, SwitchResource
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.vsi.test_reservations import FIRST, SECOND, new_world, nothing_reserved, refused
from tests.worlds.bridge import HV1, HV2, HV3, S1, S2, Vm, two_switches
from tests.worlds.draws import drawn
from tests.worlds.limited import BOTH, RESERVED, SPEED, LimitedWorld

PROBE, RESERVE = VdpMode.PREASSOCIATE, VdpMode.PREASSOCIATE_RR


def verdicts(world: LimitedWorld, vm: Vm) -> tuple[str | None, str | None]:
    """The reasons for which a probe is refused and then a reservation; None: it is granted."""
    before = world.snapshot()
    probed = refused(world, HV1, vm, PROBE)
    assert nothing_reserved(world) and world.snapshot() == before
    return probed, refused(world, HV1, vm, RESERVE)


@given(
    meters=st.integers(0, 3),
    rules=st.integers(0, 60),
    table=st.sampled_from([Table.ACL_FROM, Table.INGRESS, Table.FORWARD, Table.METERED_TO]),
    room=st.integers(0, 6),
    speed=st.sampled_from([SPEED // 4, SPEED]),
    kind=st.sampled_from([BOTH, RESERVED]),
)
@drawn(25)
def test_probe_and_reservation_have_the_same_verdict(
    meters: int, rules: int, table: Table, room: int, speed: int, kind: VsiTypeKey
) -> None:
    empty = new_world()
    base = empty.engine.wanted.budgeted(S1)
    tables = dict.fromkeys(Table, 10_000) | {table: base.get(SwitchResource(ResourceKind.TABLE, table), 0) + room}
    speeds = dict.fromkeys((1, 2, 3, 11, 12), speed)
    capacity = SwitchCapacity(tables=tables, meters=base.get(METERS, 0) + meters, speeds=speeds)
    world = new_world(capacity, two_switches(Timers(), max_rules=300 + rules))
    probed, reserved = verdicts(world, Vm(7, type=kind))
    assert probed == reserved


def test_probe_is_refused_where_a_meter_table_or_port_is_spent() -> None:
    base = new_world().engine.wanted.budgeted(S1)
    assert "meters" in str(verdicts(new_world(SwitchCapacity(meters=base[METERS] + 1)), Vm(7, type=BOTH))[0])
    few = new_world(fabric=two_switches(Timers(), max_rules=base[RULES] + 2))
    assert "rule budget" in str(verdicts(few, Vm(7, type=BOTH))[0])
    tables = dict.fromkeys(Table, 10_000) | {Table.ACL_FROM: 0}
    assert "table" in str(verdicts(new_world(SwitchCapacity(tables=tables)), Vm(7, type=BOTH))[0])
    speeds = dict.fromkeys((1, 2, 3, 11, 12), SPEED // 4)
    assert "kbit/s" in str(verdicts(new_world(SwitchCapacity(speeds=speeds)), FIRST)[0])


def test_probe_counts_the_reservations_of_others() -> None:
    world = new_world()
    assert refused(world, HV1, FIRST, RESERVE) is None
    assert "kbit/s" in str(refused(world, HV2, SECOND, PROBE))
    assert refused(world, HV3, SECOND, PROBE) is None, "the other switch has room"
    world.ask(HV1, FIRST, VdpMode.DEASSOCIATE)
    assert refused(world, HV2, SECOND, PROBE) is None


@pytest.mark.parametrize("mode", [RESERVE, VdpMode.ASSOCIATE])
def test_probe_of_a_vsi_that_is_here_needs_no_further_room(mode: VdpMode) -> None:
    base = new_world().engine.wanted.budgeted(S1)[METERS]
    world = new_world(SwitchCapacity(meters=base + 2))
    vm = Vm(7, type=BOTH)
    assert refused(world, HV1, vm, mode) is None
    used = world.engine.ledger.used(S1, METERS)
    assert refused(world, HV1, vm, PROBE) is None
    assert world.engine.ledger.used(S1, METERS) == used


def test_many_probes_use_nothing_up() -> None:
    world = new_world()
    taken = len(world.engine.lifecycle.installer.indices._used)
    for number in range(30):
        assert refused(world, HV1, Vm(10 + number, type=BOTH), PROBE) is None
    assert len(world.engine.lifecycle.installer.indices._used) == taken
    assert nothing_reserved(world)
    assert not any(world.rules(dpid) != rules for dpid, rules in new_world().snapshot().items() if dpid in (S1, S2))
