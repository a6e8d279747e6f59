"""The catalogue of log events: each is emitted, each has a JSON form, and consumers use classes, not names."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator
from dataclasses import fields
from ipaddress import IPv4Address
from pathlib import Path
from typing import get_type_hints

import pytest

from ryu_apps.evb.event_catalogue.base import LogEvent, LogLevel, Repetitions, VsiEvent, event, line
from ryu_apps.evb.event_catalogue.bridge import AlarmCleared, AlarmEvent, StoreFailed
from ryu_apps.evb.event_catalogue.catalogue import CATALOGUE, from_json
from ryu_apps.evb.event_catalogue.ports import EvbAgreed
from ryu_apps.evb.event_catalogue.switches import SwitchRefusedRules, UnknownSwitch
from ryu_apps.evb.event_catalogue.values import AlarmSeverity, MacAddress
from ryu_apps.evb.event_catalogue.vsis import BodyStaged, GroupJoined, VdpRefused, VsiSettled
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.wire.status import ResponseStatus, VdpError
from ryu_apps.evb.wire.vdp import VdpMode

SOURCES = Path(__file__).parents[3] / "ryu_apps"
PORT, VSI = PortId(1, 2), "52540000-0000-0000-0000-000000000007"
#: Callables that make an event of the class that is their first argument.
MAKERS = {"log", "log_event", "partial"}
#: A value for each type of a field.
VALUES: dict[object, object] = {
    bool: True,
    int: 7,
    str: "text",
    tuple[str, ...]: ("firewall", "acl"),
    dict[str, int]: {"firewall": 3},
    PortId: PORT,
    PortId | None: PORT,
    str | None: None,
    VsiTypeKey: VsiTypeKey(1, 2),
    VdpMode: VdpMode.ASSOCIATE,
    VdpError: VdpError.OTHER_FAILURE,
    ResponseStatus: ResponseStatus(VdpError.INSUFFICIENT_RESOURCES, hard=True),
}


def consumers() -> Iterator[tuple[Path, ast.Module]]:
    """Path and syntax tree of each module of the product besides the catalogue."""
    for path in sorted(SOURCES.rglob("*.py")):
        if path.parent.name != "event_catalogue":
            yield path.relative_to(SOURCES), ast.parse(path.read_text())


def emitted(tree: ast.Module) -> Iterator[str]:
    """Names that are called, passed to a callable that makes an event, or chosen to be called."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            yield called
            if called in MAKERS and node.args and isinstance(node.args[0], ast.Name):
                yield node.args[0].id
            yield from (part.id for arg in node.args for part in _choices(arg) if isinstance(part, ast.Name))
        elif isinstance(node, ast.Assign):
            yield from (part.id for part in _choices(node.value) if isinstance(part, ast.Name))


def _choices(node: ast.expr) -> list[ast.expr]:
    return [node.body, node.orelse] if isinstance(node, ast.IfExp) else []


EMITTED = {name for _, tree in consumers() for name in emitted(tree)}


@pytest.mark.parametrize("made", CATALOGUE.values(), ids=CATALOGUE)
def test_each_event_of_the_catalogue_is_emitted(made: type[LogEvent]) -> None:
    assert made.__name__ in EMITTED


def test_an_event_that_is_only_matched_is_not_emitted() -> None:
    tree = ast.parse("match a:\n  case Seen(): pass\nisinstance(a, Other)\nb = Made if a else Else\nlog(Third, 1)")
    assert {"Made", "Else", "Third"} <= set(emitted(tree)) and not {"Seen", "Other"} & set(emitted(tree))


def test_events_are_defined_in_the_catalogue_alone() -> None:
    """An event of another module would have no row in the manual."""
    bases = {made.__name__ for made in (LogEvent, *_subclasses(LogEvent))}
    found = [
        (str(path), node.name)
        for path, tree in consumers()
        for node in ast.walk(tree)
        if isinstance(node, ast.ClassDef) and bases & {getattr(base, "id", "") for base in node.bases}
    ]
    assert found == []
    assert "LogEvent" not in EMITTED


def _subclasses(made: type) -> Iterator[type]:
    for below in made.__subclasses__():
        yield below
        yield from _subclasses(below)


def test_consumers_use_classes_and_no_names() -> None:
    """A name that is compared with a string is not found by the type checker when it changes."""
    found = [
        (str(path), node.lineno, node.value)
        for path, tree in consumers()
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value in CATALOGUE
    ]
    assert found == []


def test_kinds_are_dotted_and_each_has_one_class() -> None:
    classes = [
        made for made in _subclasses(LogEvent) if "row" in vars(made) and made.__module__.startswith("ryu_apps.")
    ]
    assert len({made.row.kind for made in classes}) == len(classes) == len(CATALOGUE)
    assert all(made.row.kind.count(".") == 1 and made.row.description.endswith(".") for made in classes)


# --- the JSON form ----------------------------------------------------------------------------------
def example(made: type[LogEvent]) -> LogEvent:
    """An event of a class, with a value in each field."""
    hints = get_type_hints(made)
    return made(**{member.name: VALUES[hints[member.name]] for member in fields(made)})


VSI_EVENTS = {kind: made for kind, made in CATALOGUE.items() if issubclass(made, VsiEvent)}


@pytest.mark.parametrize("made", VSI_EVENTS.values(), ids=VSI_EVENTS)
def test_an_event_about_a_vsi_is_read_from_its_json_form(made: type[LogEvent]) -> None:
    happened = example(made)
    entry = {"kind": happened.kind, "port": str(happened.port), "vsi": happened.vsi, "detail": happened.detail}
    assert from_json(json.loads(json.dumps(entry))) == happened


@pytest.mark.parametrize("made", VSI_EVENTS.values(), ids=VSI_EVENTS)
def test_an_event_has_words_if_it_is_a_step_of_a_ladder(made: type[LogEvent]) -> None:
    assert bool(example(made).ladder_text) == (made.row.ladder is not None)


def test_what_is_not_about_a_vsi_at_a_port_is_not_read() -> None:
    others = [
        SwitchRefusedRules(1, "full"),
        VsiSettled(None, VSI, None),
        Repetitions(VdpRefused, 7, 1, PORT),
    ]
    for happened in others:
        port = None if happened.port is None else str(happened.port)
        assert from_json({"kind": happened.kind, "port": port, "vsi": None, "detail": happened.detail}) is None
    assert from_json({"kind": "newer.kind", "port": str(PORT), "vsi": VSI, "detail": {}}) is None


@pytest.mark.parametrize(
    ("happened", "detail"),
    [
        (UnknownSwitch(7), {}),
        (UnknownSwitch(7, "192.0.2.1:4711", 2), {"address": "192.0.2.1:4711", "times": 2}),
        (VsiSettled(None, VSI, None), {"owner": None}),
        (
            GroupJoined(PORT, VSI, 100, IPv4Address("239.1.2.3"), "joined"),
            {"vid": 100, "group": "239.1.2.3", "why": "joined"},
        ),
        (
            EvbAgreed(PORT, MacAddress(0x020000000101), 10, 20, 21, True),
            {"station": "02:00:00:00:01:01", "rte": 10, "rwd": 20, "rka": 21, "reflective_relay": True},
        ),
        (
            AlarmCleared(None, None, None, StoreFailed("full"), "store.failed", AlarmSeverity.CRITICAL, "no", 1.5, 3),
            {
                "alarm": "store.failed",
                "severity": "critical",
                "words": "no",
                "lasted": 1.5,
                "count": 3,
                "reason": "full",
            },
        ),
    ],
)
def test_fields_have_a_json_form(happened: LogEvent, detail: dict[str, object]) -> None:
    assert happened.detail == json.loads(json.dumps(happened.detail)) == detail


def test_a_log_line_has_kind_port_vsi_and_details() -> None:
    staged = BodyStaged(PORT, VSI, 24, ("firewall",))
    assert line(staged) == f"flow.staged {PORT} vsi={VSI} rules=24 services=('firewall',)"
    assert line(SwitchRefusedRules(1, "full")) == "switch.refused 0000000000000001 reason=full"
    assert line(Repetitions(VdpRefused, 7, 1, PORT)) == f"vdp.refused {PORT} repeated=7"


def test_repetitions_have_the_level_of_their_events() -> None:
    assert Repetitions(VdpRefused, 7).level is VdpRefused.row.level is LogLevel.WARNING


def test_levels_and_limits_are_those_that_operators_rely_on() -> None:
    """Warnings need an operator; debug and idle events may be caused by a neighbour in any number."""
    levels = {level: {kind for kind, made in CATALOGUE.items() if made.row.level is level} for level in LogLevel}
    unrestored = {"vsi.not_restored", "vsitype.not_restored", "statistics.not_restored"}
    assert levels[LogLevel.WARNING] == {"alarm.raised", "alarm.cleared", "vdp.refused"} | unrestored
    assert levels[LogLevel.DEBUG] == {"frame.dropped"}
    assert {kind for kind, made in CATALOGUE.items() if made.row.idle} == {
        "frame.dropped",
        "vdp.refused",
        "vdp.refusal_ignored",
        "ecp.failed",
        "ecp.unacknowledged",
        "evb.agreed",
        "evb.lost",
        "port.up",
        "port.down",
        "vsi.port_gone",
        "vsi.port_missing",
        "rest.refused",
    }


def test_a_field_without_a_json_form_is_a_mistake() -> None:
    with pytest.raises(TypeError, match="no JSON form"):

        @event("test.bytes")
        class _Bytes(LogEvent):
            """Octets."""

            octets: bytes


def test_only_alarms_have_a_cause() -> None:
    assert [made.__name__ for made in CATALOGUE.values() if issubclass(made, AlarmEvent)] == [
        "AlarmRaised",
        "AlarmCleared",
    ]
