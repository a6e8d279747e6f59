"""Comparing a switch costs so many calls for each VSI: when it has connected, after a take-over, and in an audit."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.flow.plan import difference
from ryu_apps.southbound.shown import ShownOctets
from tests.unit.bridge.test_restore_effort import records
from tests.worlds.bridge import POLICIES, S1, S2, World
from tests.worlds.effort import calls
from tests.worlds.replies import Entry, parts, shown_octets

FEW, MANY = 32, 320
#: What a small change may add.  A change that spares calls lowers the numbers below.
ROOM = 1.05


class Switch:
    """A switch that holds what it should, of a bridge with so many VSIs, all at the first switch."""

    def __init__(self, dpid: int, count: int) -> None:
        self.dpid = dpid
        self.engine = Engine(World().fabric, POLICIES, records(count), now=1000.0)
        self.replies = parts(map(Entry, self.engine.wanted(dpid).rules.values()))

    def shown(self) -> ShownOctets:
        return shown_octets(self.replies)

    def connect(self) -> None:
        """Both comparisons of a switch that has connected; there is nothing to write."""
        before = self.engine.wanted(self.dpid)
        held = before.judged(self.shown())
        assert not difference(held, self.engine.wanted(self.dpid, before).rules)

    def audit(self) -> None:
        audit = self.engine.comparisons.audit
        asked = audit.ask(self.dpid)
        assert asked is not None and audit.compare(self.dpid, asked.token, self.shown(), None)
        while audit.go_on(self.dpid):
            pass
        assert not audit.take_drift(self.dpid)


def effort(action: Callable[[Switch], object], dpid: int) -> float:
    """Calls for each VSI."""
    few, many = Switch(dpid, FEW), Switch(dpid, MANY)
    # As after the first comparison: what is kept with gates is there.
    few.shown().take(few.engine.wanted(dpid).rules.values())
    many.shown().take(many.engine.wanted(dpid).rules.values())
    return (calls(lambda: action(many)) - calls(lambda: action(few))) / (MANY - FEW)


@pytest.mark.parametrize(
    ("action", "own", "remote"),
    [(Switch.shown, 0.03, 0.01), (Switch.connect, 268, 2.1), (Switch.audit, 224, 2.2)],
    ids=["what is shown", "when it has connected", "in an audit"],
)
def test_each_vsi_takes_so_many_calls(action: Callable[[Switch], object], own: float, remote: float) -> None:
    """One of another switch, whose gate there is kept, takes next to none."""
    assert effort(action, S1) <= ROOM * own
    assert effort(action, S2) <= ROOM * remote
