"""Reads of several switches: which of them goes on, and which waits."""

from __future__ import annotations

import eventlet
import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps import compat  # noqa: F401 - Ryu on a current eventlet
from ryu_apps.evb.events.effect import ReadRules
from ryu_apps.evb.events.switch import SwitchRead
from ryu_apps.evb.pipeline.tables import OURS
from ryu_apps.southbound.portions import PORTION
from ryu_apps.southbound.reading import Reading
from ryu_apps.southbound.sliced import SLICE
from tests.unit.southbound.test_driver import Bench, multipart
from tests.unit.southbound.test_portions import shown
from tests.unit.southbound.test_sliced import TOKEN, kind_of, sizes

#: Rules of each switch: they are asked for in many slices.
RULES = 2 * SLICE


class Switches:
    """Switches that are all to be read; their answers take some turns."""

    def __init__(self, count: int) -> None:
        self.benches = [Bench() for _ in range(count)]
        for dpid, bench in enumerate(self.benches, start=1):
            bench.driver.dpid = dpid
        self.reading = Reading(lambda: [bench.driver for bench in self.benches], lambda: None)

    def ask_all(self) -> None:
        for bench in self.benches:
            bench.driver.read(ReadRules(bench.driver.dpid, TOKEN, OURS))

    def answer(self, bench: Bench) -> None:
        for sent in bench.waiting(ofp.OFPT_MULTIPART_REQUEST):
            kind = kind_of(sent)
            answers = {ofp.OFPMP_TABLE: sizes({20: RULES}), ofp.OFPMP_FLOW: shown(0, PORTION + 1)}
            bench.answer(sent, ofp.OFPT_MULTIPART_REPLY, answers.get(kind) or multipart(kind))

    def read(self) -> list[int]:
        """Read all; returns the switches in the order in which they have shown everything."""
        ended: list[int] = []
        while len(ended) < len(self.benches):
            self.reading.resume()
            # An answer is under way for some portions of others.
            for _ in range(3):
                eventlet.sleep(0)
            for bench in self.benches:
                self.answer(bench)
                last = [event for event in bench.events if isinstance(event, SwitchRead)]
                if last and bench.driver.dpid not in ended:
                    ended.append(bench.driver.dpid)
        return ended


@pytest.mark.parametrize("hastened", [2, 3, 4])
def test_switch_that_a_request_waits_for_is_read_to_its_end_before_others(hastened: int) -> None:
    switches = Switches(4)
    switches.ask_all()
    switches.reading.hasten(hastened)
    assert switches.read()[0] == hastened


def test_others_are_not_asked_while_a_hastened_switch_composes_an_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """They may be one process, in which its next slice would wait for theirs."""
    monkeypatch.setattr("ryu_apps.southbound.reading._COMPOSES", 60.0)
    switches = Switches(3)
    switches.ask_all()
    switches.reading.hasten(2)
    first, hastened, last = switches.benches
    asked: list[int] = []
    while not any(isinstance(event, SwitchRead) for event in hastened.events):
        asked += (kind_of(sent) for other in (first, last) for sent in other.sent)
        for bench in switches.benches:
            switches.answer(bench)
        switches.reading.resume()
        for _ in range(5):
            eventlet.sleep(0.001)
    assert asked and ofp.OFPMP_FLOW not in asked
    assert len(switches.read()) == 3


def test_switch_that_has_been_read_goes_first_no_more() -> None:
    switches = Switches(3)
    switches.ask_all()
    switches.reading.hasten(3)
    switches.read()
    for bench in switches.benches:
        bench.events.clear()
    switches.ask_all()
    assert switches.read()[0] == 1
