"""Rounds of copying memory: they shrink, and what is left is what the suspend has to wait for."""

from __future__ import annotations

from itertools import pairwise

import pytest

from ryu_apps.vcm.memory_copy import MOST_ROUNDS, CopyPlan, CopySettings, copy_of_span, plan_copy


def rounds(plan: CopyPlan) -> list[float]:
    return [piece.mib for piece in plan.rounds]


def test_each_round_sends_what_was_written_to_during_the_one_before() -> None:
    plan = plan_copy(1000.0, 100.0, CopySettings(1000.0, downtime=0.002))
    assert rounds(plan) == pytest.approx([1000.0, 100.0, 10.0])
    assert (plan.last.mib, plan.last.seconds) == pytest.approx((1.0, 0.001))
    assert plan.seconds == pytest.approx(1.11)


def test_a_vm_that_writes_nothing_is_copied_once() -> None:
    plan = plan_copy(1000.0, 0.0, CopySettings(500.0))
    assert rounds(plan) == [1000.0]
    assert (plan.seconds, plan.last.mib) == (2.0, 0.0)


def test_a_longer_downtime_takes_fewer_rounds_and_a_longer_suspend() -> None:
    short, long = (plan_copy(4096.0, 400.0, CopySettings(1000.0, downtime)) for downtime in (0.01, 0.5))
    assert len(short.rounds) > len(long.rounds)
    assert short.last.seconds <= 0.01 < long.last.seconds <= 0.5


@pytest.mark.parametrize("dirty", [1000.0, 5000.0])
def test_a_vm_that_writes_as_fast_as_it_is_copied_is_not_copied_again_and_again(dirty: float) -> None:
    plan = plan_copy(2048.0, dirty, CopySettings(1000.0, downtime=0.01))
    assert rounds(plan) == [2048.0]
    assert plan.last.mib == 2048.0 and plan.last.seconds == pytest.approx(2.048)


def test_rounds_shrink_and_end() -> None:
    plan = plan_copy(65536.0, 990.0, CopySettings(1000.0, downtime=0.001))
    assert all(later < earlier for earlier, later in pairwise(rounds(plan)))
    assert len(plan.rounds) == MOST_ROUNDS


def test_a_span_leaves_nothing_for_the_suspend() -> None:
    plan = copy_of_span(0.3)
    assert (plan.seconds, plan.last.seconds) == (0.3, 0.0)
