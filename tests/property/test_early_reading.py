"""Associates that come while the state of the VSI is being read: the gate moves at once, and no state is lost.

Connections are learned and closed at the source, the switches show them in portions of any size, and the source
reports the suspension or de-associates, in any order that a move has.
"""

from __future__ import annotations

from unittest.mock import patch

from hypothesis import example, given
from hypothesis import strategies as st

from ryu_apps.evb.events.effect import Apply, EndRead, Mode, ReadRules
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import Table
from ryu_apps.evb.policy.model import PolicySet, Trigger
from ryu_apps.evb.vsi import state_transfer
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.vsi.test_state_transfer import DUAL, IDLE, SINGLE, learn, ports, state, walled
from tests.worlds.bridge import HV1, HV3, POLICIES, S1, S2, Vm, World
from tests.worlds.draws import drawn

_MOST = 40
_PORTS = st.sets(st.integers(1, _MOST), max_size=20)
_PORTION = st.integers(1, 8)


def forget(world: World, ports_to_close: set[int]) -> None:
    """Connections of these TCP ports end at the source."""
    for rule in state(world, S1):
        if any(field.name == "tcp_src" and field.value in ports_to_close for field in rule.match):
            del world.tables[S1].rules[rule.key]


@given(
    kind=st.sampled_from([DUAL, SINGLE]),
    staged=_PORTS,
    late=_PORTS,
    closed=_PORTS,
    last=_PORTS,
    portion=_PORTION,
    shown=st.integers(0, 6),
    leaves=st.booleans(),
    early=st.sampled_from([0, 8, _MOST]),
    together=st.sampled_from([1, 3, _MOST]),
)
@drawn(20)
@example(DUAL, {1, 2}, {3, 4, 5}, {1}, set(), 1, 1, True, _MOST, 1)
@example(DUAL, {1, 2}, {3, 4, 5}, {1}, set(), 1, 1, True, 1, 1)
@example(DUAL, {1, 2}, {3, 4, 5}, {2, 3}, {6}, 1, 2, False, _MOST, 3)
@example(DUAL, {1, 2}, {3, 4, 5}, {2, 3}, {6}, 1, 2, False, 1, 1)
def test_gate_moves_at_once_and_all_state_is_in_force(
    kind: VsiTypeKey,
    staged: set[int],
    late: set[int],
    closed: set[int],
    last: set[int],
    portion: int,
    shown: int,
    leaves: bool,
    early: int,
    together: int,
) -> None:
    """A move with an early reading, or with more than ``early`` rules of staged state, which are too many for one."""
    with patch.object(state_transfer, "MOST_EARLY", early), patch.object(state_transfer, "TOGETHER", together):
        move(kind, staged, late, closed, last, portion, shown, leaves)


def move(
    kind: VsiTypeKey,
    staged: set[int],
    late: set[int],
    closed: set[int],
    last: set[int],
    portion: int,
    shown: int,
    leaves: bool,
) -> None:
    """Move a VSI, and check that its gate and its state are there."""
    types = {DUAL: walled(DUAL, most=_MOST), SINGLE: walled(SINGLE, Trigger.SINGLE, most=_MOST)}
    world = World(policies=PolicySet({**POLICIES.types, **types}))
    world.connect()
    vm = Vm(7, kind)
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    learn(world, vm, *staged)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    learn(world, vm, *late)
    forget(world, closed)
    world.slow_reads.add(S1)
    if leaves:
        world.ask(HV1, vm, VdpMode.DEASSOCIATE)
    else:
        world.ask(HV1, vm, VdpMode.ASSOCIATE, suspended=True)
    for _ in range(shown):
        if world.reads:
            world.read_on(portion)
    alive = (staged | late) - closed
    if not leaves:
        learn(world, vm, *last)
        alive |= last
    world.applied.clear()
    world.ask(HV3, vm, VdpMode.ASSOCIATE, migrating=True)
    # No portion had to be shown for it.
    assert world.answer(HV3).success
    while world.reads:
        world.read_on(portion)
    assert ports(world, S2) == alive
    assert {rule.idle_timeout for rule in state(world, S2)} <= {IDLE}
    program = world.engine.registry.vsi(vm.vsi_id).attachments[HV3].holding.program
    assert program.carried.total() == len(alive)
    world.advance(1.0)
    assert state(world, S1) == []


@patch.object(state_transfer, "TOGETHER", 1)
def test_associate_ends_the_early_reading_and_uses_what_it_has_brought() -> None:
    world = World(policies=PolicySet({**POLICIES.types, DUAL: walled(DUAL, most=_MOST)}))
    world.connect()
    vm = Vm(7, DUAL)
    world.ask(HV1, vm, VdpMode.ASSOCIATE)
    world.ask(HV3, vm, VdpMode.PREASSOCIATE_RR)
    learn(world, vm, 1, 2, 3, 4)
    world.slow_reads.add(S1)
    world.ask(HV1, vm, VdpMode.ASSOCIATE, suspended=True)
    world.read_on(3)
    assert ports(world, S2) == {1, 2, 3}
    seen: list[object] = []
    world.observers.append(lambda event, effects: seen.extend(effects))
    world.applied.clear()
    world.ask(HV3, vm, VdpMode.ASSOCIATE, migrating=True)
    (early,) = [effect.token for effect in seen if isinstance(effect, EndRead)]
    (final,) = [effect for effect in seen if isinstance(effect, ReadRules)]
    gates = [number for number, effect in enumerate(seen) if isinstance(effect, Apply) and effect.mode is Mode.ATOMIC]
    assert early != final.token
    assert max(gates[:2]) < seen.index(final)
    world.applied.clear()
    while world.reads:
        world.read_on(2)
    added = [rule for apply in world.applied for rule in apply.change.add if rule.table == Table.CONNECTIONS]
    # The last one is fixed up; all of them are then added with their own timeouts.
    assert len(added) == 1 + 3
    (fixed,) = [event.rules for event in world.happened if event.kind == "state.fixed_up" and event.rules == 1]
    assert fixed == 1
