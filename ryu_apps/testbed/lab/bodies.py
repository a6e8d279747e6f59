"""Worksheet 1: what each request of VDP puts into a switch, and what passes then."""

from __future__ import annotations

import re
from collections.abc import Callable

from ryu_apps.testbed.lab.notebook import Experiment, Notebook
from ryu_apps.testbed.lab.rules import Change, RuleState
from ryu_apps.testbed.lab.sightings import (
    difference,
    gate_tables,
    has_body,
    is_open,
    is_staged,
    mentions,
    open_at,
    yes_or_no,
)
from ryu_apps.testbed.lab.worksheet import Question, Worksheet

_VM, _OTHER_VM, _AT = "vm1", "vm2", "hv1"
_EXPLAINED = ("eth_src=client", f"eth_dst={_VM}", "ipv4_src=client", f"ipv4_dst={_VM}", "tcp_dst=23")
_DROPPED = re.compile(r"^result   dropped at \w+: (\w+),", re.MULTILINE)


def _ping(fits: Callable[[Experiment], bool]) -> Callable[[Notebook], str | None]:
    """The answer of the newest ping of the VM to the client in a state of the tables."""

    def compute(notebook: Notebook) -> str | None:
        found = filter(fits, notebook.newest("ping", _VM, "client"))
        return next(map(yes_or_no, found), None)

    return compute


def _has_no_rule(ping: Experiment) -> bool:
    return not any(mentions(lines, _VM) for lines in ping.before.values())


def _has_body_alone(ping: Experiment) -> bool:
    return any(is_staged(lines, _VM) for lines in ping.before.values()) and not open_at(ping.before, _VM)


def _has_gate(ping: Experiment) -> bool:
    return bool(open_at(ping.before, _VM))


def _of_request(verb: str, value: Callable[[Change], str]) -> Callable[[Notebook], str | None]:
    """An answer about the newest request of the VM that was granted and has changed its own switch."""

    def compute(notebook: Notebook) -> str | None:
        for request in notebook.newest(verb, _VM, _AT):
            here = difference(request, request.homes[_AT])
            if request.outcome == "granted" and here.added:
                return value(here)
        return None

    return compute


def _added_elsewhere(notebook: Notebook) -> str | None:
    for request in notebook.newest("assoc", _VM, _AT):
        if request.outcome == "granted" and difference(request, request.homes[_AT]).added:
            others = [switch for switch in request.after if switch != request.homes[_AT]]
            return str(sum(len(difference(request, switch).added) for switch in others))
    return None


def _second_of_a_type(notebook: Notebook) -> str | None:
    for request in notebook.newest("preassoc", _OTHER_VM, _AT):
        here = request.homes[_AT]
        beside = mentions(request.before[here], _VM) and not mentions(request.before[here], _OTHER_VM)
        if request.outcome == "granted" and beside:
            return str(len(difference(request, here).added))
    return None


def _table_of_the_drop(notebook: Notebook) -> str | None:
    for explained in notebook.newest("explain"):
        found = _DROPPED.search(explained.detail)
        if found is not None and set(_EXPLAINED) <= set(explained.words):
            return found[1]
    return None


def _associate_elsewhere(notebook: Notebook) -> str | None:
    for request in notebook.newest("assoc", _VM):
        is_announced = has_body(request.before[request.homes[request.words[1]]], _VM)
        if not is_announced and is_open(request.before[request.homes[_AT]], _VM):
            return request.outcome
    return None


def _left(notebook: Notebook) -> str | None:
    for request in notebook.newest("deassoc", _VM, _AT):
        if request.outcome == "granted" and open_at(request.before, _VM):
            return str(sum(mentions(lines, _VM) for lines in request.after.values()))
    return None


BODIES = Worksheet(
    "1",
    "body and gate",
    (
        Question(
            "1.1",
            ("ping vm1 client",),
            "No request has been made for vm1.  Does its echo request pass?",
            "yes or no",
            _ping(_has_no_rule),
            "what did ping say?",
        ),
        Question(
            "1.2",
            ("preassoc vm1 hv1", "dump"),
            "How many rules did the Pre-Associate add to the switch of hv1?",
            "number",
            _of_request("preassoc", lambda here: str(len(here.added))),
            "count the lines with '+', or compare the numbers of the switch before and after",
        ),
        Question(
            "1.3",
            ("dump",),
            "How many of these rules are active?",
            "number",
            _of_request("preassoc", lambda here: str(sum(rule.state is RuleState.ACTIVE for rule in here.added))),
            "the first line of a switch in 'dump' has a number for each state",
        ),
        Question(
            "1.4",
            ("ping vm1 client",),
            "vm1 is pre-associated.  Does its echo request pass now?",
            "yes or no",
            _ping(_has_body_alone),
            "what did ping say, before the Associate?",
        ),
        Question(
            "1.5",
            ("assoc vm1 hv1",),
            "How many rules did the Associate add to the switch of hv1?",
            "number",
            _of_request("assoc", lambda here: str(len(here.added))),
            "count the lines with '+' under that switch",
        ),
        Question(
            "1.6",
            ("dump s1 active",),
            "In which tables are the rules of the gate, which write metadata?",
            "names",
            _of_request("assoc", lambda here: gate_tables(here.added)),
            "among the rules that the Associate added, look for 'write_metadata'; copies of broadcasts are no gate",
        ),
        Question(
            "1.7",
            ("assoc vm1 hv1",),
            "How many rules that had been staged became active, without being written again?",
            "number",
            _of_request("assoc", lambda here: str(here.activated)),
            "the line that begins with '='",
        ),
        Question(
            "1.8",
            ("assoc vm1 hv1",),
            "How many rules did the Associate add to all other switches?",
            "number",
            _added_elsewhere,
            "count the lines with '+' under the other switch",
        ),
        Question(
            "1.9",
            ("ping vm1 client",),
            "vm1 is associated.  Does its echo request pass?",
            "yes or no",
            _ping(_has_gate),
            "what did ping say, after the Associate?",
        ),
        Question(
            "1.10",
            ("preassoc vm2 hv1",),
            "vm2 has the VSI type of vm1.  How many rules did its Pre-Associate add to the switch of hv1?",
            "number",
            _second_of_a_type,
            "fewer than in 1.2: which rules need the address of the VM, and which depend on its type alone?",
        ),
        Question(
            "1.11",
            (f"explain client {' '.join(_EXPLAINED)}",),
            "The client opens a telnet connection to vm1.  In which table does its first frame end?",
            "name",
            _table_of_the_drop,
            "the line 'result'",
        ),
        Question(
            "1.12",
            ("assoc vm1 hv2",),
            "Another station associates vm1, although it has not been announced that vm1 moves.  Granted or refused?",
            "granted or refused",
            _associate_elsewhere,
            "the first line of the answer",
        ),
        Question(
            "1.13",
            ("deassoc vm1 hv1", "dump"),
            "In how many rules, of all switches, is the address of vm1 afterwards?",
            "number",
            _left,
            "look for 52:54:00:aa:00:01 in 'dump'",
        ),
    ),
)
