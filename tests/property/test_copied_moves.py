"""A VM moves while switches copy: in any fabric and order of confirmations, no loop, no copy twice, no staged port."""

from __future__ import annotations

from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.evb.pipeline.copies import GUARD_SECONDS
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.wire.vdp import VdpMode
from tests.property.test_fabric_paths import somebody_obeys
from tests.worlds.bridge import World
from tests.worlds.copied import VM, at, copying, everywhere, to_vm
from tests.worlds.draws import drawn

RR, ASSOCIATE, DEASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
PLACES = [(3, [(1, 2), (1, 3), (2, 3)]), (5, [(leaf, spine) for leaf in (1, 2, 3) for spine in (4, 5)])]
FABRICS = st.sampled_from(PLACES) | st.integers(3, 5).flatmap(
    lambda count: st.tuples(
        st.just(count),
        st.lists(st.sampled_from(list(combinations(range(1, count + 1), 2))), min_size=count - 1, max_size=7).map(
            lambda links: [*[(number - 1, number) for number in range(2, count + 1)], *links]
        ),
    )
)


class Mover:
    """A VM at one switch, staged at another, whose switches obey when they are told to."""

    def __init__(self, data: st.DataObject) -> None:
        count, links = data.draw(FABRICS)
        gate = data.draw(st.sampled_from([GateMode.RULES, GateMode.METER]))
        self.world = World(copying(count, links, gate), forward_in_flight=2)
        self.world.connect()
        self.here, self.there = data.draw(st.permutations([1, 2, 3]))[:2]
        self.world.ask(at(self.here), VM, ASSOCIATE)
        self.world.hold.update(self.world.fabric.switches)
        self._data = data

    def asks(self, dpid: int, mode: VdpMode) -> None:
        self.world.ask(at(dpid), VM, mode)

    def all_obey(self) -> None:
        """Switches carry out all changes in any order."""
        while self.world.held:
            somebody_obeys(self.world, self._data)
            self.looks()

    def looks(self) -> None:
        """No frame comes to one port twice; two ports have it only between the changes of both ends."""
        for found in everywhere(self.world):
            assert len(found) == len(set(found)), "a frame came twice"
            assert set(found) <= {self.here, self.there}

    def is_active_at(self, dpid: int) -> None:
        assert [to_vm(self.world, source) for source in self.world.fabric.switches] == [[dpid]] * len(
            self.world.fabric.switches
        )


@drawn(12)
@given(data=st.data())
def test_a_staged_vm_gets_nothing_and_is_where_it_is_when_the_associate_is_answered(data: st.DataObject) -> None:
    mover = Mover(data)
    mover.asks(mover.there, RR)
    while mover.world.held:
        somebody_obeys(mover.world, data)
        assert all(found in ([], [mover.here]) for found in everywhere(mover.world)), "before the Associate"
    mover.is_active_at(mover.here)
    if data.draw(st.booleans()):
        mover.asks(mover.here, ASSOCIATE)
    mover.asks(mover.there, ASSOCIATE)
    answers = len(mover.world.sent[at(mover.there)])
    while mover.world.held:
        somebody_obeys(mover.world, data)
        mover.looks()
        if len(mover.world.sent[at(mover.there)]) > answers:
            # Some switches may still have to follow.
            assert all(mover.here not in found for found in everywhere(mover.world))
            mover.is_active_at(mover.there)
    assert mover.world.answer(at(mover.there)).success
    mover.is_active_at(mover.there)


@drawn(8)
@given(data=st.data())
def test_whatever_happens_to_a_move_no_frame_comes_twice_and_nothing_is_left(data: st.DataObject) -> None:
    mover = Mover(data)
    ends = [mover.here, mover.there]
    for _ in range(data.draw(st.integers(1, 6))):
        mover.asks(data.draw(st.sampled_from(ends)), data.draw(st.sampled_from([RR, RR, ASSOCIATE, DEASSOCIATE])))
        # Answered before the next request: moves that overtake each other have a limit of their own (decision 0022).
        mover.all_obey()
        mover.world.advance(data.draw(st.sampled_from([0.0, 1.0, 9.0])))
    mover.all_obey()
    mover.world.hold.clear()
    for dpid in ends:
        mover.world.ask(at(dpid), VM, DEASSOCIATE)
    mover.world.advance(GUARD_SECONDS + 3)
    for dpid in mover.world.fabric.switches:
        assert not mover.world.rules(dpid, CookieKind.DETOUR, CookieKind.GATE, CookieKind.VSI_BODY)
        assert not any(kind == "copy" for kind, _ in mover.world.engine.ledger.reservations(dpid))
