"""Readings of the tables of an experiment: the rules of a VM, its gates, changes.  Pure."""

from __future__ import annotations

from collections.abc import Iterable

from ryu_apps.evb.pipeline.tables import CookieKind, Table
from ryu_apps.testbed.lab.notebook import Experiment
from ryu_apps.testbed.lab.rules import Change, Snapshot, StatedRule, change, stated
from ryu_apps.testbed.lab.vms import VMS

_MACS = {vm.name: vm.mac for vm in VMS}


def difference(experiment: Experiment, switch: str) -> Change:
    """The changes of one switch."""
    return change(experiment.before.get(switch, ()), experiment.after.get(switch, ()))


def number_changed(before: Snapshot, after: Snapshot) -> int:
    """Number of rules that were removed or added, at all switches."""
    found = (change(before.get(switch, ()), after.get(switch, ())) for switch in before.keys() | after.keys())
    return sum(len(each.removed) + len(each.added) for each in found)


def mentions(lines: Iterable[str], vm: str) -> int:
    """Number of rules with the address of a VM."""
    return sum(_MACS[vm] in line for line in lines)


def is_staged(lines: Iterable[str], vm: str) -> bool:
    """Return True if a switch has a body of a VM's own, and no gate for it."""
    known = list(lines)
    return bool(_bodies(known, vm)) and not is_open(known, vm)


def has_body(lines: Iterable[str], vm: str) -> bool:
    """Return True if a switch has a body of a VM's own."""
    return bool(_bodies(lines, vm))


def _bodies(lines: Iterable[str], vm: str) -> list[StatedRule]:
    return [
        rule
        for rule in stated(lines)
        if rule.rule.cookie is not None and rule.rule.cookie.kind is CookieKind.VSI_BODY and _MACS[vm] in rule.rule.line
    ]


def is_open(lines: Iterable[str], vm: str) -> bool:
    """Return True if a gate of a switch lets the frames of a VM in."""
    source = f"dl_src={_MACS[vm]}"
    return any(
        rule.is_gate and rule.rule.table == Table.INGRESS and source in rule.rule.match.split(",")
        for rule in stated(lines)
    )


def open_at(tables: Snapshot, vm: str) -> list[str]:
    """The switches that let the frames of a VM in."""
    return [switch for switch, lines in tables.items() if is_open(lines, vm)]


def gate_tables(added: Iterable[StatedRule]) -> str:
    """Names of the tables of the gate rules among some rules."""
    return " ".join(sorted({Table(rule.rule.table).name for rule in added if rule.is_gate}))


def yes_or_no(experiment: Experiment) -> str:
    """An answer to "does it pass?"."""
    return "yes" if experiment.outcome == "passed" else "no"
