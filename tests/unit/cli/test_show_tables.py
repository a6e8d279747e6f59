"""Tables of ``evbridge status`` and its like, cell by cell: each column shows its own member."""

from __future__ import annotations

from typing import Any

import pytest

from ryu_apps.cli import show_tables
from ryu_apps.cli.show_tables import Section, event_line

SWITCH = {
    "name": "s1",
    "dpid": "0000000000000001",
    "readiness": "ready",
    "mastership": "master",
    "rules": 7,
    "used": 8,
    "budget": 9,
}
ALARM = {
    "severity": "warning",
    "kind": "link.down",
    "age": 61.0,
    "port": "0000000000000001:3",
    "dpid": "0000000000000001",
    "vsi": "a-vsi",
    "words": "a link is down",
}
STATUS = {
    "version": "0.2",
    "uptime": 3725.0,
    "fencing": {"superseded": False},
    "vsis": {"total": 3, "phases": {"none": 0, "staged": 1, "active": 2}},
    "stations": {"agreed": 4, "configured": 5},
    "alarms": [ALARM],
    "switches": [SWITCH],
}
PROGRAM = {"rules": 11, "waiting": 2, "services": ["acl", "guards"], "carried": {"firewall": 5}}
ATTACHMENT = {
    "port": "0000000000000001:1",
    "name": "hv1",
    "phase": "staged",
    "mode": "preassociate_rr",
    "wanted": "associate",
    "type": "1/2",
    "bindings": [{"vid": 100, "mac": "52:54:00:00:00:01"}, {"vid": 200, "mac": None}],
    "addresses": ["10.0.0.1", "fe80::1"],
    "age": 5.25,
    "deadline": 12.0,
    "deadline_for": "keep_alive",
    "expires_in": 90.0,
    "program": PROGRAM,
}
VSI = {"vsi": "a-vsi", "name": "vm1", "owner": "0000000000000001:2", "attachments": [ATTACHMENT]}
MIGRATION = {
    "id": 4,
    "vsi": "a-vsi",
    "state": "completed",
    "source": "0000000000000001:1",
    "destination": "0000000000000002:1",
    "events": [{"wall": 0.5, "t": 10.0}, {"wall": 9.0, "t": 12.5}],
    "services": [{"name": "firewall", "carried": 6}, {"name": "acl", "carried": 0}],
}
RULE = {
    "table": "GUARD",
    "priority": 30,
    "state": "active",
    "vsis": ["a", "b"],
    "match": {"in_port": 1, "eth_type": "0x800"},
    "actions": ["GOTO_TABLE:3", "METER:2"],
}
STATION = {
    "port": "0000000000000001:1",
    "name": "hv1",
    "link": "up",
    "evb": "agreed",
    "station": "02:00:00:00:00:01",
    "reflective_relay": True,
    "ecp": {"late": 1, "lost": 2},
    "dropped": {"spoofed": 3, "malformed": 4},
}
VSWITCH = {
    "name": "dvs1",
    "kind": "vepa",
    "members": [{"name": "hv1", "ready": True}, {"name": "hv2", "ready": False}],
    "native_vlans": [100],
    "tagged_vlans": [200],
    "phases": {"active": 5, "staged": 6},
    "max_vsis": 7,
    "from_vm": {"passed": {"packets": 8}},
    "to_vm": {"passed": {"packets": 9}},
}


def cells(section: Section) -> list[dict[str, str]]:
    """Rows with their headings, as they are printed."""
    return [dict(zip(section.columns, map(show_tables.printable, row), strict=True)) for row in section.rows]


def facts(section: Section) -> dict[object, str]:
    return {name: show_tables.printable(value) for name, value in section.rows}


def only(sections: list[Section]) -> Section:
    (section,) = sections
    return section


def test_the_summary_of_a_bridge() -> None:
    summary, alarms, switches = show_tables.status(STATUS)
    assert facts(summary) == {
        "version": "0.2",
        "uptime": "1 h 2 min",
        "newer bridge": "none",
        "VSIs": "3; at ports: 1 staged, 2 active",
        "stations": "4 of 5 ports have an agreement",
    }
    (alarm,) = cells(alarms)
    assert alarm == {
        "SEVERITY": "warning",
        "KIND": "link.down",
        "FOR": "1 min 1 s",
        "WHERE": "0000000000000001:3",
        "VSI": "a-vsi",
        "WHAT": "a link is down",
    }
    (switch,) = cells(switches)
    assert list(switch.values()) == ["s1", "0000000000000001", "ready", "master", "7", "8", "9"]
    assert list(switch) == ["NAME", "DPID", "READINESS", "ROLE", "RULES", "RESERVED", "BUDGET"]


def test_sections_have_titles_and_empty_ones_words() -> None:
    assert [section.title for section in show_tables.status(STATUS)] == ["", "Alarms", "Switches"]
    assert [section.otherwise for section in show_tables.status(STATUS)] == ["none"] * 3
    tables = (show_tables.vsis, show_tables.migrations, show_tables.flows, show_tables.stations, show_tables.vswitches)
    empty = [only(table([])) for table in tables]  # type: ignore[operator]
    assert [section.otherwise for section in empty] == [
        "no VSIs",
        "no migrations",
        "no rules",
        "no station ports",
        "no vSwitches",
    ]
    assert not any(section.rows or section.title for section in empty)


def test_a_summary_of_another_state() -> None:
    changes: dict[str, Any] = {
        "fencing": {"superseded": True},
        "alarms": [{**ALARM, "port": None, "vsi": None}],
        "switches": [{**SWITCH, "budget": None}],
    }
    summary, alarms, switches = show_tables.status({**STATUS, **changes})
    assert facts(summary)["newer bridge"] == "yes: this one stands aside"
    (alarm,) = cells(alarms)
    assert (alarm["WHERE"], alarm["VSI"]) == ("0000000000000001", "-")
    assert cells(switches)[0]["BUDGET"] == "no limit"


def test_a_line_for_each_port_of_a_vsi() -> None:
    assert cells(only(show_tables.vsis([VSI]))) == [
        {
            "VSI": "a-vsi",
            "VM": "vm1",
            "PORT": "0000000000000001:1",
            "AT": "hv1",
            "PHASE": "staged",
            "TYPE": "1/2",
            "VLAN": "100, 200",
            "MAC": "52:54:00:00:00:01, -",
            "FOR": "5.25 s",
        }
    ]
    unknown = {**VSI, "attachments": [{**ATTACHMENT, "age": None}]}
    assert cells(only(show_tables.vsis([unknown])))[0]["FOR"] == "-"


def test_one_vsi_with_all_that_is_known() -> None:
    head, place = show_tables.vsi(VSI)
    assert facts(head) == {"VSI": "a-vsi", "VM": "vm1", "owner": "0000000000000001:2"}
    assert place.title == "0000000000000001:1 hv1"
    assert facts(place) == {
        "phase": "staged",
        "granted": "preassociate_rr",
        "requested": "associate",
        "type": "1/2",
        "bindings": "52:54:00:00:00:01 in 100, any in 200",
        "addresses": "10.0.0.1, fe80::1",
        "for": "5.25 s",
        "deadline": "keep_alive in 1 min 30 s",
        "rules": "11, 2 not confirmed",
        "services": "acl, guards",
        "carried": "5 firewall",
    }


def test_a_vsi_without_rules_or_deadline() -> None:
    bare = {**ATTACHMENT, "program": None, "deadline": None, "name": None}
    _, place = show_tables.vsi({**VSI, "attachments": [bare]})
    found = facts(place)
    assert [found[name] for name in ("deadline", "rules", "services", "carried")] == ["-"] * 4
    assert place.title.strip() == "0000000000000001:1"
    known_to_none = {**ATTACHMENT, "program": {**PROGRAM, "rules": None, "waiting": None}}
    assert facts(show_tables.vsi({**VSI, "attachments": [known_to_none]})[1])["rules"] == "-"


def test_a_line_for_each_migration() -> None:
    (found,) = cells(only(show_tables.migrations([MIGRATION])))
    assert found == {
        "ID": "4",
        "VSI": "a-vsi",
        "STATE": "completed",
        "FROM": "0000000000000001:1",
        "TO": "0000000000000002:1",
        "BEGAN": "1970-01-01 00:00:00.500Z",
        "TOOK": "2.5 s",
        "CARRIED": "6 firewall",
    }
    (silent,) = cells(only(show_tables.migrations([{**MIGRATION, "events": [], "source": None}])))
    assert (silent["FROM"], silent["BEGAN"], silent["TOOK"]) == ("-", "-", "-")


def test_a_line_for_each_rule() -> None:
    bare = {**RULE, "vsis": [], "match": {}, "actions": []}
    assert [list(row.values()) for row in cells(only(show_tables.flows([RULE, bare])))] == [
        ["GUARD", "30", "active", "2", "in_port=1 eth_type=0x800", "GOTO_TABLE:3 METER:2"],
        ["GUARD", "30", "active", "-", "any", "drop"],
    ]
    headings = ("TABLE", "PRIORITY", "STATE", "VSIS", "MATCH", "ACTIONS")
    assert only(show_tables.flows([])).columns == headings


def test_a_line_for_each_station_port() -> None:
    (on, off) = cells(only(show_tables.stations([STATION, {**STATION, "reflective_relay": False}])))
    assert on == {
        "PORT": "0000000000000001:1",
        "AT": "hv1",
        "LINK": "up",
        "EVB": "agreed",
        "STATION": "02:00:00:00:00:01",
        "RELAY": "on",
        "ECP ERRORS": "3",
        "DROPPED": "7",
    }
    assert off["RELAY"] == "off"


def test_a_line_for_each_vswitch() -> None:
    (limited, free) = cells(only(show_tables.vswitches([VSWITCH, {**VSWITCH, "max_vsis": None}])))
    assert limited == {
        "NAME": "dvs1",
        "KIND": "vepa",
        "MEMBERS": "hv1, hv2 (not ready)",
        "VLANS": "100, 200",
        "ACTIVE": "5",
        "STAGED": "6",
        "MAX": "7",
        "FROM VMS": "8",
        "TO VMS": "9",
    }
    assert free["MAX"] == "no limit"


@pytest.mark.parametrize(
    ("event", "line"),
    [
        (
            {"port": "1:1", "dpid": "1", "vsi": "a", "detail": {"mode": "associate", "n": 2}},
            "1:1 vsi=a mode=associate n=2",
        ),
        ({"port": None, "dpid": "1", "vsi": None, "detail": {}}, "1"),
        ({"port": None, "dpid": None, "vsi": None, "detail": {"x": "\x1b[2J"}}, "x=\N{REPLACEMENT CHARACTER}[2J"),
    ],
)
def test_a_line_for_an_event(event: dict[str, Any], line: str) -> None:
    assert event_line({"wall": 86400.25, "kind": "vdp.request", **event}) == (
        f"1970-01-02 00:00:00.250Z vdp.request {line}"
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.0123, "0.0123 s"),
        (9.99, "9.99 s"),
        (10, "10 s"),
        (60, "1 min 0 s"),
        (3599, "59 min 59 s"),
        (3600, "1 h 0 min"),
        (86400, "1 d 0 h"),
        (200000, "2 d 7 h"),
    ],
)
def test_a_duration_has_its_two_largest_units(seconds: float, words: str) -> None:
    summary = show_tables.status({**STATUS, "uptime": seconds})[0]
    assert facts(summary)["uptime"] == words


def test_sections_are_apart_and_an_empty_one_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    full, wide = Section("First", ("A", "B"), [("x", None)]), "y" * 300
    show_tables.show([full, Section("Second", ("C",), [], "nothing"), Section("", ("", ""), [("a fact", wide)])])
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    # Into a pipe nothing is cut off, however wide it is.
    assert lines == ["First", "A  B", "x  -", "", "Second", "nothing", "", f"a fact  {wide}"]
