"""Ladder diagrams: every step is drawn, in the order of time, in text, Mermaid and SVG."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.ports import PortUp
from ryu_apps.evb.event_catalogue.switches import SwitchReady
from ryu_apps.evb.event_catalogue.vsis import (
    BodyStaged,
    RulesSwept,
    UnsolicitedDeassociate,
    VdpAnswered,
    VdpRequested,
    VsiActive,
)
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.status import ResponseStatus, VdpError
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.testbed.ladder import mermaid, svg, text
from ryu_apps.testbed.ladder.model import LadderDiagram, LadderStep, Lane
from ryu_apps.testbed.ladder.timeline import steps_of

SOURCE, DESTINATION = "0000000000000001:1", "0000000000000002:1"
NAMES = {Lane.SOURCE: "hv1", Lane.DESTINATION: "hv5", Lane.VM: "vm1"}

STEPS = st.builds(
    LadderStep,
    t=st.floats(min_value=0, max_value=9000),
    origin=st.sampled_from(Lane),
    target=st.sampled_from(Lane),
    text=st.text(alphabet=st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=1, max_size=60),
)
LADDERS = st.builds(
    LadderDiagram,
    title=st.just("a title"),
    names=st.just(NAMES),
    steps=st.lists(STEPS, min_size=1, max_size=12).map(tuple),
)


def ladder(*steps: LadderStep) -> LadderDiagram:
    return LadderDiagram("a title", NAMES, steps)


@given(LADDERS)
def test_text_has_one_line_for_each_step_in_the_order_of_time(drawn: LadderDiagram) -> None:
    lines = text.render(drawn).splitlines()[5:]
    assert [line.endswith(step.text) for line, step in zip(lines, drawn.in_order(), strict=True)]
    times = [float(line.split()[0]) for line in lines]
    assert times == sorted(times)


@given(LADDERS)
def test_text_rungs_stay_in_their_columns(drawn: LadderDiagram) -> None:
    for line in text.render(drawn).splitlines()[5:]:
        assert all(line[10 + 11 * number + 5] in "│┼●├┤▶◀" for number in range(len(Lane)))


@given(LADDERS)
def test_on_a_narrow_terminal_words_stand_below_their_rung(drawn: LadderDiagram) -> None:
    wide = text.render(drawn)
    narrow = text.folded(wide, 80)
    assert max(map(len, narrow.splitlines())) <= 80
    assert "".join(narrow.split()) == "".join(wide.split())
    assert text.folded(wide, 200) == wide


@given(LADDERS)
def test_mermaid_has_one_statement_for_each_step(drawn: LadderDiagram) -> None:
    lines = mermaid.render(drawn).splitlines()
    assert lines[3] == "sequenceDiagram"
    assert len(lines) == 4 + len(Lane) + len(drawn.steps)
    assert not any(";" in line or "#" in line for line in lines)


TITLES = st.text(alphabet=st.characters(codec="utf-8", exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=40)


@given(TITLES)
@example("paper VM 1: s1 to s2")
@example('"quoted" # no comment')
def test_the_front_matter_of_mermaid_is_yaml_and_says_the_title(title: str) -> None:
    front, _, rest = mermaid.render(LadderDiagram(title, NAMES, ())).removeprefix("---\n").partition("---\n")
    assert yaml.safe_load(front) == {"title": title}
    assert rest.startswith("sequenceDiagram\n")


@given(LADDERS)
def test_svg_is_xml_and_says_every_step(drawn: LadderDiagram) -> None:
    root = ElementTree.fromstring(svg.render(drawn))
    said = [element.text for element in root.iter("{http://www.w3.org/2000/svg}text")]
    for step in drawn.steps:
        assert step.text in said


@given(LADDERS)
def test_svg_words_stay_inside_the_picture(drawn: LadderDiagram) -> None:
    root = ElementTree.fromstring(svg.render(drawn))
    width = float(root.attrib["width"])
    for element in root.iter("{http://www.w3.org/2000/svg}text"):
        if element.get("class") in ("words", "note-words"):
            half = len(element.text or "") * 6.4 / 2
            assert half <= float(element.attrib["x"]) <= width - half


def test_an_arrow_points_from_origin_to_target() -> None:
    there = text.render(ladder(LadderStep(0, Lane.VCM, Lane.DESTINATION, "go"))).splitlines()[-1]
    back = text.render(ladder(LadderStep(0, Lane.DESTINATION, Lane.VCM, "done"))).splitlines()[-1]
    assert "├──────────┼──────────▶" in there
    assert "◀──────────┼──────────┤" in back


def entry(happened: LogEvent) -> dict[str, object]:
    """An event as in ``GET /evb/migrations/{id}``."""
    port = None if happened.port is None else str(happened.port)
    return {"t": 1.0, "kind": happened.kind, "port": port, "detail": happened.detail}


HERE, THERE, VSI = PortId(1, 1), PortId(2, 1), "52540000-0000-0000-0000-000000000001"
KEY = VsiTypeKey(1, 1)


@pytest.mark.parametrize(
    ("told", "origin", "target", "words"),
    [
        (
            VdpRequested(THERE, VSI, VdpMode.PREASSOCIATE_RR, KEY, False, False),
            Lane.DESTINATION,
            Lane.DESTINATION_SWITCH,
            "Pre-Associate with RR",
        ),
        (
            VdpAnswered(THERE, VSI, VdpMode.ASSOCIATE, ResponseStatus()),
            Lane.DESTINATION_SWITCH,
            Lane.DESTINATION,
            "Associate: success",
        ),
        (
            VdpAnswered(THERE, VSI, VdpMode.ASSOCIATE, ResponseStatus(VdpError.OTHER_FAILURE, hard=True)),
            Lane.DESTINATION_SWITCH,
            Lane.DESTINATION,
            "Associate: error 4: other failure + Hard",
        ),
        (
            BodyStaged(THERE, VSI, 24, ("firewall",)),
            Lane.DESTINATION_SWITCH,
            Lane.DESTINATION_SWITCH,
            "body staged, read back (24 rules)",
        ),
        (
            UnsolicitedDeassociate(HERE, VSI, "moved"),
            Lane.SOURCE_SWITCH,
            Lane.SOURCE,
            "De-Associate, unsolicited: moved",
        ),
        (RulesSwept(HERE, VSI), Lane.SOURCE_SWITCH, Lane.SOURCE_SWITCH, "gate and body gone"),
    ],
)
def test_controller_events_become_steps(told: LogEvent, origin: Lane, target: Lane, words: str) -> None:
    assert steps_of([entry(told)], SOURCE, DESTINATION) == [LadderStep(1.0, origin, target, words)]


def test_events_of_other_ports_and_other_kinds_are_left_out() -> None:
    others = [RulesSwept(PortId(1, 9), VSI), PortUp(THERE), VsiActive(THERE, VSI), SwitchReady(2, 24)]
    unknown = {**entry(RulesSwept(THERE, VSI)), "kind": "newer.kind"}
    assert steps_of([*map(entry, others), unknown], SOURCE, DESTINATION) == []
