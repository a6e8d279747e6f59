"""Questions to the wiring of any fabric, with any ports down, about switches that are there and others: no error."""

from __future__ import annotations

from itertools import combinations, product

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.topology.copy_plans import CopyPlans
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.graph import TrunkGraph
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.picture.layout import lay_out
from tests.property.test_fabric_paths import joined
from tests.worlds.draws import drawn

#: Switches that no fabric here has.
STRANGERS = (0, 99)


@st.composite
def fabrics(draw: st.DrawFn) -> Fabric:
    """No switch to five, in one piece or several, some of them joined by two links."""
    count = draw(st.integers(0, 5))
    pairs = list(combinations(range(1, count + 1), 2))
    return joined(count, draw(st.lists(st.sampled_from(pairs), max_size=6)) if pairs else [])


@st.composite
def ports(draw: st.DrawFn, fabric: Fabric) -> list[PortId]:
    """Some ports: trunks, others, and such that are not there."""
    known = [*fabric.ports(Role.TRUNK), *fabric.ports(Role.STATION)]
    strange = [PortId(dpid, number) for dpid, number in product((*STRANGERS, *fabric.switches), (3, 77))]
    return draw(st.lists(st.sampled_from([*known, *strange]), max_size=6, unique=True))


@drawn(60)
@given(fabric=fabrics(), data=st.data())
def test_any_question_to_the_wiring_has_an_answer(fabric: Fabric, data: st.DataObject) -> None:
    wiring = TrunkGraph(fabric)
    plans = CopyPlans(wiring)
    for _ in range(3):
        before, after = wiring.routes, wiring.plan(data.draw(ports(fabric)))
        # While switches change from some routes to others.
        wiring.routes = before.common(after)
        for dpid in (*fabric.switches, *STRANGERS):
            assert all(found <= set(wiring.others(dpid)) for _, found in wiring.branches(dpid))
        wiring.routes = after
        for dpid in (*fabric.switches, *STRANGERS):
            reachable = set(wiring.others(dpid))
            assert reachable == (fabric.reachable(dpid) - {dpid} if dpid in fabric.switches else set())
            behind = [switch for _, found in wiring.branches(dpid) for switch in found]
            assert len(behind) == len(set(behind)) and set(behind) <= reachable
            for target in (*fabric.switches, *STRANGERS):
                hops, usually = wiring.hops(dpid, target), wiring.usually(dpid, target)
                assert bool(hops) is (target in behind)
                assert bool(usually) is (target in reachable)
                if dpid != target:
                    plan = plans.between(dpid, target)
                    assert plan is None or target in reachable


@drawn(40)
@given(fabric=fabrics(), data=st.data())
def test_any_fabric_can_be_drawn(fabric: Fabric, data: st.DataObject) -> None:
    drawing = lay_out(fabric, data.draw(ports(fabric)))
    assert drawing.switches.keys() == fabric.switches.keys()
