"""Tables and lines of what REST answers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table
from rich.text import Text

#: Columns of a table that goes to a file or a pipe, so that nothing is cut off.
_WIDE = 1000

Json = dict[str, Any]


class Section(NamedTuple):
    """A table with a heading; ``otherwise`` is written if it has no rows."""

    title: str
    columns: tuple[str, ...]
    rows: Sequence[tuple[object, ...]]
    otherwise: str = "none"


def show(sections: Iterable[Section]) -> None:
    """Print sections, with an empty line between two."""
    console = Console(width=None if sys.stdout.isatty() else _WIDE, highlight=False)
    for number, section in enumerate(sections):
        if number:
            console.print()
        if section.title:
            console.print(Text(section.title, style="bold"))
        if not section.rows:
            console.print(Text(section.otherwise))
            continue
        table = Table(*section.columns, box=None, pad_edge=False, show_header=any(section.columns))
        for row in section.rows:
            table.add_row(*(Text(printable(cell)) for cell in row))
        console.print(table)


def printable(value: object) -> str:
    """A value as text without control characters: a station may put any octets into a name."""
    text = "-" if value is None or value == "" else str(value)
    return "".join(character if character.isprintable() else "\N{REPLACEMENT CHARACTER}" for character in text)


def _counted(vsis: int, phases: Json) -> str:
    """A number of VSIs, and how many ports have one in each phase: a VSI that moves is at two ports."""
    at_ports = ", ".join(f"{number} {phase}" for phase, number in phases.items())
    return f"{vsis}; at ports: {at_ports}" if at_ports else str(vsis)


def status(found: Json) -> list[Section]:
    """The summary of a bridge."""
    vsis = {phase: number for phase, number in found["vsis"]["phases"].items() if number}
    facts = [
        ("version", found["version"]),
        ("uptime", _seconds(found["uptime"])),
        ("newer bridge", "yes: this one stands aside" if found["fencing"]["superseded"] else "none"),
        ("VSIs", _counted(found["vsis"]["total"], vsis)),
        ("stations", f"{found['stations']['agreed']} of {found['stations']['configured']} ports have an agreement"),
    ]
    alarms = [
        (
            alarm["severity"],
            alarm["kind"],
            _seconds(alarm["age"]),
            alarm["port"] or alarm["dpid"],
            alarm["vsi"],
            alarm["words"],
        )
        for alarm in found["alarms"]
    ]
    switches = [
        (
            switch["name"],
            switch["dpid"],
            switch["readiness"],
            switch["mastership"],
            switch["rules"],
            switch["used"],
            "no limit" if switch["budget"] is None else switch["budget"],
        )
        for switch in found["switches"]
    ]
    return [
        Section("", ("", ""), facts),
        Section("Alarms", ("SEVERITY", "KIND", "FOR", "WHERE", "VSI", "WHAT"), alarms),
        Section("Switches", ("NAME", "DPID", "READINESS", "ROLE", "RULES", "RESERVED", "BUDGET"), switches),
    ]


def vsis(found: Iterable[Json]) -> list[Section]:
    """A line for each port of a VSI."""
    rows = [
        (
            vsi["vsi"],
            vsi["name"],
            attachment["port"],
            attachment["name"],
            attachment["phase"],
            attachment["type"],
            _joined(binding["vid"] for binding in attachment["bindings"]),
            _joined(binding["mac"] for binding in attachment["bindings"]),
            _age(attachment),
        )
        for vsi in found
        for attachment in vsi["attachments"]
    ]
    return [Section("", ("VSI", "VM", "PORT", "AT", "PHASE", "TYPE", "VLAN", "MAC", "FOR"), rows, "no VSIs")]


def vsi(found: Json) -> list[Section]:
    """One VSI with all that is known of it."""
    sections = [Section("", ("", ""), [("VSI", found["vsi"]), ("VM", found["name"]), ("owner", found["owner"])])]
    for attachment in found["attachments"]:
        program = attachment["program"]
        waits = attachment["deadline_for"]
        facts = [
            ("phase", attachment["phase"]),
            ("granted", attachment["mode"]),
            ("requested", attachment["wanted"]),
            ("type", attachment["type"]),
            (
                "bindings",
                _joined(f"{binding['mac'] or 'any'} in {binding['vid']}" for binding in attachment["bindings"]),
            ),
            ("addresses", _joined(attachment["addresses"])),
            ("for", _age(attachment)),
            ("deadline", f"{waits} in {_seconds(attachment['expires_in'])}" if attachment["deadline"] else None),
            ("rules", _rules(program)),
            ("services", None if program is None else _joined(program["services"])),
            ("carried", None if program is None else _joined(f"{n} {s}" for s, n in program["carried"].items())),
        ]
        sections.append(Section(f"{attachment['port']} {attachment['name'] or ''}", ("", ""), facts))
    return sections


def migrations(found: list[Json]) -> list[Section]:
    """A line for each migration."""
    rows = [
        (
            migration["id"],
            migration["vsi"],
            migration["state"],
            migration["source"],
            migration["destination"],
            _clock(migration["events"][0]["wall"]) if migration["events"] else None,
            _seconds(migration["events"][-1]["t"] - migration["events"][0]["t"]) if migration["events"] else None,
            _joined(
                f"{service['carried']} {service['name']}" for service in migration["services"] if service["carried"]
            ),
        )
        for migration in found
    ]
    return [Section("", ("ID", "VSI", "STATE", "FROM", "TO", "BEGAN", "TOOK", "CARRIED"), rows, "no migrations")]


def flows(found: list[Json]) -> list[Section]:
    """A line for each rule."""
    rows = [
        (
            rule["table"],
            rule["priority"],
            rule["state"],
            len(rule["vsis"]) or None,
            " ".join(f"{name}={value}" for name, value in rule["match"].items()) or "any",
            " ".join(rule["actions"]) or "drop",
        )
        for rule in found
    ]
    return [Section("", ("TABLE", "PRIORITY", "STATE", "VSIS", "MATCH", "ACTIONS"), rows, "no rules")]


def stations(found: list[Json]) -> list[Section]:
    """A line for each station port."""
    rows = [
        (
            station["port"],
            station["name"],
            station["link"],
            station["evb"],
            station["station"],
            "on" if station["reflective_relay"] else "off",
            sum(station["ecp"].values()),
            sum(station["dropped"].values()),
        )
        for station in found
    ]
    headings = ("PORT", "AT", "LINK", "EVB", "STATION", "RELAY", "ECP ERRORS", "DROPPED")
    return [Section("", headings, rows, "no station ports")]


def vswitches(found: list[Json]) -> list[Section]:
    """A line for each vSwitch."""
    rows = [
        (
            vswitch["name"],
            vswitch["kind"],
            _joined(member["name"] if member["ready"] else f"{member['name']} (not ready)" for member in members),
            _joined((*vswitch["native_vlans"], *vswitch["tagged_vlans"])),
            vswitch["phases"]["active"],
            vswitch["phases"]["staged"],
            "no limit" if vswitch["max_vsis"] is None else vswitch["max_vsis"],
            vswitch["from_vm"]["passed"]["packets"],
            vswitch["to_vm"]["passed"]["packets"],
        )
        for vswitch in found
        for members in [vswitch["members"]]
    ]
    headings = ("NAME", "KIND", "MEMBERS", "VLANS", "ACTIVE", "STAGED", "MAX", "FROM VMS", "TO VMS")
    return [Section("", headings, rows, "no vSwitches")]


def event_line(event: Json) -> str:
    """One event: time, kind, port or switch, VSI and details."""
    details = [f"{name}={value}" for name, value in event["detail"].items()]
    subject = [event["port"] or event["dpid"] or "", f"vsi={event['vsi']}" if event["vsi"] else ""]
    return printable(" ".join([_clock(event["wall"]), event["kind"], *filter(None, [*subject, *details])]))


def _joined(values: Iterable[object]) -> str:
    return ", ".join("-" if value is None else str(value) for value in values)


def _clock(wall: float) -> str:
    """Unix time in seconds as a date and a time, UTC."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3] + "Z"


def _age(attachment: Json) -> str | None:
    """Time since the VSI is there; None: a standby of a cluster answers, which does not know it."""
    return None if attachment["age"] is None else _seconds(attachment["age"])


def _rules(program: Json | None) -> str | None:
    """Numbers of rules; None: there are none, or a standby of a cluster answers, which does not know them."""
    if program is None or program["rules"] is None:
        return None
    return f"{program['rules']}, {program['waiting']} not confirmed"


def _seconds(seconds: float) -> str:
    """A duration in its two largest units."""
    if seconds < 60:
        return f"{seconds:.3g} s" if seconds < 10 else f"{seconds:.0f} s"
    for unit, below, length, part in (("min", 3600, 60, "s"), ("h", 86400, 3600, "min"), ("d", None, 86400, "h")):
        if below is None or seconds < below:
            whole, rest = divmod(int(seconds), length)
            smaller = {"s": 1, "min": 60, "h": 3600}[part]
            return f"{whole} {unit} {rest // smaller} {part}"
    raise AssertionError
