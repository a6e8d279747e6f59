"""Plans of copies for a VM that moves, in fabrics of several forms."""

from __future__ import annotations

import pytest

from ryu_apps.evb.topology.copy_plans import CopyPlan, CopyPlans
from ryu_apps.evb.topology.graph import TrunkGraph
from tests.property.test_fabric_paths import joined

LINE = [(1, 2), (2, 3)]
TRIANGLE = [(1, 2), (1, 3), (2, 3)]
#: Leaves 1, 2 and 3; spines 4 and 5.
LEAVES = [(leaf, spine) for leaf in (1, 2, 3) for spine in (4, 5)]


def plan(count: int, links: list[tuple[int, int]], one: int, other: int) -> CopyPlan | None:
    return CopyPlans(TrunkGraph(joined(count, links))).between(one, other)


def test_in_a_triangle_the_third_switch_copies_and_each_end_guards_the_link_to_it() -> None:
    # Ports 3 and 4 are the trunks: at 1 to 2 and 3, at 2 to 1 and 3.
    assert plan(3, TRIANGLE, 1, 2) == CopyPlan((3,), {1: (4,), 2: (4,)})
    assert plan(3, TRIANGLE, 2, 1) == plan(3, TRIANGLE, 1, 2)


def test_between_leaves_the_spines_copy_and_a_leaf_guards_all_links() -> None:
    assert plan(5, LEAVES, 1, 2) == CopyPlan((4, 5), {1: (3, 4), 2: (3, 4)})


def test_in_a_line_whoever_is_between_sends_on_and_nobody_copies() -> None:
    assert plan(3, LINE, 1, 2) == CopyPlan((), {1: (), 2: ()})
    assert plan(3, LINE, 1, 3) == CopyPlan((2,), {1: (3,), 3: (3,)})


@pytest.mark.parametrize(
    ("count", "links", "ends"),
    [
        # A ring of five: from 4 the ways to 1 and 3 part, and the copy to 1 goes by 5, whose way to 3 is back.
        (5, [(1, 2), (2, 3), (3, 4), (4, 5), (5, 4), (5, 1)], (1, 3)),
        # A ring of four: from 3 the ways to 1 lead by 2 or 4, that to 2 only there.
        (4, [(1, 2), (2, 3), (3, 4), (4, 1)], (1, 2)),
        # No way at all.
        (3, [(1, 2)], (1, 3)),
    ],
)
def test_where_some_frame_would_come_twice_or_never_there_is_no_plan(
    count: int, links: list[tuple[int, int]], ends: tuple[int, int]
) -> None:
    assert plan(count, links, *ends) is None


def test_plans_follow_the_routes() -> None:
    fabric = joined(5, LEAVES)
    wiring = TrunkGraph(fabric)
    plans = CopyPlans(wiring)
    assert plans.between(1, 2) is plans.between(2, 1) is not None
    spine_4 = [
        port for port in fabric.ports(next(iter(fabric.switches[4].interfaces.values())).role.TRUNK) if port.dpid == 4
    ]
    wiring.routes = wiring.plan(spine_4)
    assert plans.between(1, 2) is None, "nothing comes from spine 4 any more"
