"""Flow dumps read as evidence: what was staged, and what is left where a VM no longer is."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ryu_apps.evb.pipeline.tables import (
    EPOCH_BITS,
    EPOCH_SHIFT,
    GENERATION_BITS,
    OWNER_BITS,
    VSI_BITS,
    VSI_SHIFT,
    Cookie,
    CookieKind,
    Table,
    cookie,
    parse_cookie,
)
from ryu_apps.testbed.harness.ovs import dump_flows

_OWNER_AND_GENERATION = OWNER_BITS + GENERATION_BITS
_LINE = re.compile(r"cookie=(0x[0-9a-f]+),(?: table=(\d+),)? ?(.*?) ?actions=(.*)$")
_COPY = re.compile(r"set_field:(0x[0-9a-f]+)->metadata")
_METADATA = re.compile(r"write_metadata:(0x[0-9a-f]+)")
#: Tables with the way to a VM at another switch: of its own frames, and of copies to its groups.
_WAYS = (Table.FORWARD, Table.GROUP_GATE)


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

    @property
    def copied_to(self) -> set[int]:
        """Indexes of the VSIs that a flood page makes copies for."""
        values = (int(value, 16) for value in _COPY.findall(self.actions))
        return {value >> VSI_SHIFT & ((1 << VSI_BITS) - 1) for value in values} - {0}


def dump_rules(switch: str) -> list[str]:
    """The rules of a bridge as :func:`~ryu_apps.testbed.harness.ovs.dump_flows` has them, but for some that it changes.

    These are connections of end systems through a load balancer, detours, and the links in use of bonds.
    """
    of_end_systems = f"cookie={cookie(CookieKind.STATE) >> GENERATION_BITS:#x}"
    others = (cookie(kind) >> _OWNER_AND_GENERATION for kind in (CookieKind.DETOUR, CookieKind.BOND_LINK))
    changing = of_end_systems, *(f"cookie={other:#x}" for other in others)
    return [line for line in dump_flows(switch) if not line.startswith(changing)]


def read_dump(lines: Iterable[str]) -> list[DumpedRule]:
    """The rules of a dump; ValueError for a line that is none."""
    return [_rule(line) for line in lines]


def _rule(line: str) -> DumpedRule:
    found = _LINE.search(line)
    if found is None:
        raise ValueError(f"not a flow: {line!r}")
    number, table, match, actions = found.groups()
    return DumpedRule(parse_cookie(int(number, 16)), int(table or 0), match, actions, line.strip())


def added(before: Iterable[str], after: Iterable[str]) -> list[DumpedRule]:
    """Rules that are in the later dump only."""
    return read_dump(sorted(set(after) - set(before)))


def gates(rules: Iterable[DumpedRule]) -> list[DumpedRule]:
    """The rules that let frames of a VSI in or out: its own, and the flood pages that it shares."""
    return [
        rule
        for rule in rules
        if rule.cookie is not None and rule.cookie.kind in (CookieKind.GATE, CookieKind.MEMBERSHIP)
    ]


def owner_at(rules: Iterable[DumpedRule], port_no: int | None, mac: str) -> Cookie | None:
    """Index and generation of the VSI whose gate lets this source address in at a port; None: at any."""
    for rule in gates(rules):
        fields = rule.match.split(",")
        here = port_no is None or f"in_port={port_no}" in fields
        if rule.table == Table.INGRESS and here and f"dl_src={mac}" in fields:
            return rule.cookie
    return None


@dataclass(frozen=True, slots=True)
class DepartedVsi:
    """A VM that has left a port.

    Attributes:
        mac: the VM's address.
        old, new: index and generation of its VSI where it was and where it is.
        same_switch: it has moved within the switch, so that the new rules belong there.
    """

    mac: str
    old: Cookie
    new: Cookie
    same_switch: bool


def left_behind(rules: Iterable[DumpedRule], departure: DepartedVsi) -> list[DumpedRule]:
    """Rules for a VM in the switch it has left, which needs to know nothing but the way to it."""
    dumped = list(rules)
    epochs = {rule.epoch for rule in gates(dumped)}
    return [
        rule
        for rule in dumped
        if rule.cookie is not None and (_is_left(rule, rule.cookie, departure) or _is_unused(rule.cookie, epochs))
    ]


def _is_left(rule: DumpedRule, cookie: Cookie, departure: DepartedVsi) -> bool:
    old, new = departure.old, departure.new
    if cookie.kind is CookieKind.MEMBERSHIP:
        copies = rule.copied_to
        return (old.owner != new.owner and old.owner in copies) or (new.owner in copies and not departure.same_switch)
    if cookie.kind not in (CookieKind.GATE, CookieKind.VSI_BODY):
        return False
    if cookie.owner == new.owner and cookie.generation == new.generation:
        is_way = cookie.kind is CookieKind.GATE and rule.table in _WAYS and rule.epoch == 0
        is_member = cookie.kind is CookieKind.GATE and rule.table == Table.MEMBERS
        return not is_way and not is_member and not departure.same_switch
    return cookie.owner in (old.owner, new.owner) or departure.mac in rule.line


def _is_unused(cookie: Cookie, epochs: set[int]) -> bool:
    """The policy of a type to which no gate leads any more."""
    return cookie.kind is CookieKind.TYPE_BODY and cookie.owner not in epochs
