"""Flow dumps read as evidence: what was staged, and what is left where a VM no longer is.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ryu_apps.evb.flow.pipeline import EPOCH_BITS, EPOCH_SHIFT, Cookie, Kind, Table, parse_cookie

_LINE = re.compile(r"cookie=(0x[0-9a-f]+),(?: table=(\d+),)? ?(.*?) ?actions=(.*)$")
_METADATA = re.compile(r"write_metadata:(0x[0-9a-f]+)")


@dataclass(frozen=True, slots=True)
class DumpedRule:
    """One line of ``ovs-ofctl dump-flows --no-stats``.

    Attributes:
        cookie: taken apart, None for rules that are not ours.
        table: table number.
        match: priority and match as printed.
        actions: as printed.
        line: the whole.
    """

    cookie: Cookie | None
    table: int
    match: str
    actions: str
    line: str

    @property
    def epoch(self) -> int:
        """Policy epoch that the rule writes to metadata, 0 for none."""
        found = _METADATA.search(self.actions)
        return int(found[1], 16) >> EPOCH_SHIFT & ((1 << EPOCH_BITS) - 1) if found else 0


def read_dump(lines: Iterable[str]) -> list[DumpedRule]:
    """The rules of a dump; ValueError for a line that is none."""
    return [_rule(line) for line in lines]


def _rule(line: str) -> DumpedRule:
    found = _LINE.search(line)
    if found is None:
        raise ValueError(f"not a flow: {line!r}")
    cookie, table, match, actions = found.groups()
    return DumpedRule(parse_cookie(int(cookie, 16)), int(table or 0), match, actions, line.strip())


def added(before: Iterable[str], after: Iterable[str]) -> list[DumpedRule]:
    """Rules that are in the later dump only."""
    return read_dump(sorted(set(after) - set(before)))


def gates(rules: Iterable[DumpedRule]) -> list[DumpedRule]:
    """The rules that let frames of a VSI in or out."""
    return [rule for rule in rules if rule.cookie is not None and rule.cookie.kind is Kind.GATE]


def owner_at(rules: Iterable[DumpedRule], port_no: int, mac: str) -> Cookie | None:
    """Who lets frames with this source address in at a port: index and generation of the VSI."""
    for rule in gates(rules):
        fields = rule.match.split(",")
        if rule.table == Table.INGRESS and f"in_port={port_no}" in fields and f"dl_src={mac}" in fields:
            return rule.cookie
    return None


def left_behind(rules: Iterable[DumpedRule], owner: Cookie, port_no: int | None) -> list[DumpedRule]:
    """Rules of a VSI in a switch that only needs to know the way to it.

    Args:
        rules: dump of the switch that the VM has left.
        owner: index and generation of the VSI where it is now.
        port_no: the VM's new port when it has moved within the switch, None when it has left it.
    """
    dumped = list(rules)
    return [
        rule
        for rule in dumped
        if rule.cookie is not None
        and (
            (rule.cookie.kind in (Kind.GATE, Kind.VSI_BODY) and _is_left(rule, rule.cookie, owner, port_no))
            or (rule.cookie.kind is Kind.TYPE_BODY and rule.cookie.owner not in _epochs(dumped))
        )
    ]


def _is_left(rule: DumpedRule, cookie: Cookie, owner: Cookie, port_no: int | None) -> bool:
    if cookie.owner != owner.owner:
        return False
    if cookie.generation != owner.generation:
        return True
    is_way = cookie.kind is Kind.GATE and rule.table == Table.FORWARD and rule.epoch == 0
    return port_no is None and not is_way


def _epochs(rules: Iterable[DumpedRule]) -> set[int]:
    """Policy epochs that some gate here still leads to."""
    return {rule.epoch for rule in gates(rules)}
