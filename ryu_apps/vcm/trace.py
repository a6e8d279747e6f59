"""A day of a cluster as a list: who arrives, leaves and moves, which nodes are emptied, die and come back.

Made from a seed (:func:`day`), or read from a file of comma-separated values that any tool can write
(:func:`read_trace`).  :class:`Census` says what an entry comes to: which VM goes from where to where.
"""

from __future__ import annotations

import csv
import io
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from operator import itemgetter

from ryu_apps.evb.policy.diagnostic import Diagnostic, Position, error
from ryu_apps.vcm.inventory import natural

__all__ = [
    "DAY",
    "Census",
    "PlacementChange",
    "TraceEntry",
    "TraceError",
    "TraceEvent",
    "Width",
    "day",
    "read_trace",
    "write_trace",
]

#: Seconds.
DAY = 86_400.0
_COLUMNS = ["at", "what", "subject", "node"]


class TraceEvent(Enum):
    """Kinds of events; the values are the file's words."""

    ARRIVE = "arrive"
    """A VM (``subject``) starts at a node."""
    DEPART = "depart"
    """A VM is shut down."""
    MIGRATE = "migrate"
    """A VM moves to a node."""
    EVACUATE = "evacuate"
    """All VMs of a node (``subject``) move elsewhere; it takes none until it returns."""
    FAIL = "fail"
    """A node dies; its VMs start anew elsewhere."""
    RETURN = "return"
    """A node that was emptied or has died takes VMs again."""


#: Entries that name a node besides their subject.
_AIMED = {TraceEvent.ARRIVE, TraceEvent.MIGRATE}


@dataclass(frozen=True, slots=True)
class TraceEntry:
    """One line of a trace.

    Attributes:
        at: seconds since the beginning.
        subject: a VM, or for ``evacuate``, ``fail`` and ``return`` a node.
        node: where the VM goes; empty where nothing is said of it.
    """

    at: float
    what: TraceEvent
    subject: str
    node: str = ""


@dataclass(frozen=True, slots=True)
class PlacementChange:
    """A VM's way: from nowhere when it starts, to nowhere when it ends.

    Attributes:
        lost: the source is dead, and cannot de-associate.
    """

    vm: str
    source: str | None
    target: str | None
    lost: bool = False


class TraceError(Exception):
    """An entry that cannot be: the author's mistake."""


class Census:
    """Places of all VMs, and the changes that an entry makes.

    VMs that must leave a node go to the one with the fewest VMs, then to the first by name.
    """

    def __init__(self, nodes: Sequence[str]) -> None:
        self._serving = dict.fromkeys(sorted(nodes, key=natural), True)
        self._dead: set[str] = set()
        self._places: dict[str, str] = {}
        self._counts = dict.fromkeys(self._serving, 0)

    @property
    def places(self) -> dict[str, str]:
        """VM -> node."""
        return dict(self._places)

    @property
    def serving(self) -> list[str]:
        """Nodes that take VMs."""
        return [name for name, serves in self._serving.items() if serves]

    def at(self, node: str) -> list[str]:
        """The VMs of a node."""
        return sorted((vm for vm, place in self._places.items() if place == node), key=natural)

    def count(self, node: str) -> int:
        """Number of VMs of a node."""
        return self._counts[node]

    def apply(self, entry: TraceEntry) -> list[PlacementChange]:
        """Take an entry for true.

        Raises:
            TraceError: it cannot be; nothing has changed.
        """
        match entry.what:
            case TraceEvent.ARRIVE:
                return self._arrive(entry)
            case TraceEvent.DEPART:
                return [self._moved(entry.subject, self._place(entry.subject), None)]
            case TraceEvent.MIGRATE:
                source = self._place(entry.subject)
                if source == entry.node:
                    raise TraceError(f"{entry.subject} is at {source} already")
                return [self._moved(entry.subject, source, self._served(entry.node))]
            case TraceEvent.RETURN:
                return self._return(entry.subject)
            case _:
                return self._leave(entry)

    def _arrive(self, entry: TraceEntry) -> list[PlacementChange]:
        if entry.subject in self._places:
            raise TraceError(f"{entry.subject} is there already, at {self._places[entry.subject]}")
        return [self._moved(entry.subject, None, self._served(entry.node))]

    def _return(self, node: str) -> list[PlacementChange]:
        if self._known(node) in self.serving:
            raise TraceError(f"{node} was neither emptied nor has it died")
        self._serving[node] = True
        self._dead.discard(node)
        return []

    def _leave(self, entry: TraceEntry) -> list[PlacementChange]:
        dies = entry.what is TraceEvent.FAIL
        node = self._known(entry.subject)
        if node in self._dead or not (dies or self._serving[node]):
            raise TraceError(f"{node} is {'dead' if node in self._dead else 'being emptied'} already")
        if self.at(node) and self.serving in ([], [node]):
            raise TraceError(f"no node is left for the VMs of {node}")
        self._serving[node] = False
        if dies:
            self._dead.add(node)
        return [self._moved(vm, node, self._emptiest(), lost=dies) for vm in self.at(node)]

    def _emptiest(self) -> str:
        return min(self.serving, key=self._counts.__getitem__)

    def _moved(self, vm: str, source: str | None, target: str | None, lost: bool = False) -> PlacementChange:
        if source is not None:
            self._counts[source] -= 1
            del self._places[vm]
        if target is not None:
            self._counts[target] += 1
            self._places[vm] = target
        return PlacementChange(vm, source, target, lost)

    def _place(self, vm: str) -> str:
        if vm not in self._places:
            raise TraceError(f"there is no VM {vm!r} by then")
        return self._places[vm]

    def _known(self, node: str) -> str:
        if node not in self._serving:
            raise TraceError(f"there is no node {node!r}")
        return node

    def _served(self, node: str) -> str:
        if not self._serving[self._known(node)]:
            raise TraceError(f"{node} takes no VMs by then")
        return node


# --- from a seed --------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class Width:
    """Numbers of events in a day.

    Attributes:
        vms: how many there are at a time, about; most of them around 14 hours, fewest twelve hours off.
        moves: of single VMs.
        evacuations, failures: of nodes.
        room: most VMs of a node.
    """

    vms: int
    moves: int
    evacuations: int
    failures: int
    room: int


#: A VM lives for about a third of a day; a node is away for half an hour.
_LIFE, _AWAY = DAY / 3, 1_800.0
_MOVES = {TraceEvent.MIGRATE, TraceEvent.EVACUATE, TraceEvent.FAIL}


def day(seed: int, nodes: Sequence[str], width: Width) -> list[TraceEntry]:
    """A day, always the same for the same arguments.

    One that has no room, or no VM or node that it could concern, does not happen.
    """
    chance, census = random.Random(seed), Census(nodes)
    agenda = sorted(_agenda(chance, width), key=itemgetter(0))
    entries: list[TraceEntry] = []
    leaving: list[tuple[float, TraceEntry]] = []
    for at, what in [*agenda, (DAY, None)]:
        for _, due in sorted((departure for departure in leaving if departure[0] <= at), key=itemgetter(0)):
            if due.what is not TraceEvent.DEPART or due.subject in census.places:
                census.apply(due)
                entries.append(due)
        leaving = [departure for departure in leaving if departure[0] > at]
        entry = what and _entry(chance, census, width, at, what, len(entries))
        if entry is None:
            continue
        census.apply(entry)
        entries.append(entry)
        if what is TraceEvent.ARRIVE:
            leaving.append(_later(at + chance.expovariate(1 / _LIFE), TraceEvent.DEPART, entry.subject))
        elif what in (TraceEvent.EVACUATE, TraceEvent.FAIL):
            leaving.append(_later(at + _AWAY, TraceEvent.RETURN, entry.subject))
    return entries


def _later(at: float, what: TraceEvent, subject: str) -> tuple[float, TraceEntry]:
    return at, TraceEntry(round(at, 1), what, subject)


def _agenda(chance: random.Random, width: Width) -> Iterator[tuple[float, TraceEvent]]:
    """Times of attempts: half of the VMs are there after the first hour, the others come with the day."""
    yield from ((chance.uniform(0, 3_600), TraceEvent.ARRIVE) for _ in range(width.vms // 2))
    wanted = round(width.vms / 2 + width.vms * DAY / _LIFE)
    while wanted:
        at = chance.uniform(3_600, DAY)
        if chance.random() < 0.6 - 0.4 * math.cos(2 * math.pi * (at - DAY * 2 / 24) / DAY):
            wanted -= 1
            yield at, TraceEvent.ARRIVE
    for what, times in (
        (TraceEvent.MIGRATE, width.moves),
        (TraceEvent.EVACUATE, width.evacuations),
        (TraceEvent.FAIL, width.failures),
    ):
        yield from ((chance.uniform(3_600, DAY - _AWAY), what) for _ in range(times))


def _entry(
    chance: random.Random, census: Census, width: Width, at: float, what: TraceEvent, number: int
) -> TraceEntry | None:
    """Entry for an attempt, None if it is impossible."""
    roomy = [node for node in census.serving if census.count(node) < width.room]
    at = round(at, 1)
    if what is TraceEvent.ARRIVE:
        return TraceEntry(at, what, f"vm{number}", chance.choice(roomy)) if roomy else None
    if what is TraceEvent.MIGRATE:
        places = census.places
        vm = chance.choice(sorted(places, key=natural)) if places else None
        others = [node for node in roomy if vm is not None and node != places[vm]]
        return TraceEntry(at, what, vm, chance.choice(others)) if vm is not None and others else None
    node = chance.choice(census.serving) if census.serving else ""
    room = sum(width.room - census.count(other) for other in census.serving if other != node)
    return TraceEntry(at, what, node) if node and len(census.serving) > 1 and room >= census.count(node) else None


# --- files --------------------------------------------------------------------------------------
def write_trace(entries: Sequence[TraceEntry]) -> str:
    """A trace as :func:`read_trace` reads it."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_COLUMNS)
    writer.writerows([f"{entry.at:.1f}", entry.what.value, entry.subject, entry.node] for entry in entries)
    return text.getvalue()


def read_trace(file: str, text: str, nodes: Sequence[str]) -> tuple[list[TraceEntry], list[Diagnostic]]:
    """Read a trace, and play it in thought.

    Args:
        nodes: those of the cluster.

    Returns:
        the entries, and all mistakes; an entry with a mistake is left out of what is checked after it.
    """
    rows = csv.reader(io.StringIO(text), strict=True)
    entries: list[TraceEntry] = []
    found: list[Diagnostic] = []
    census = Census(nodes)
    try:
        if next(rows, None) != _COLUMNS:
            return [], [error(file, Position(), f"the first line has to be {','.join(_COLUMNS)!r}")]
        for row in rows:
            if not row:
                continue
            try:
                entry = _parsed(row, entries[-1].at if entries else 0.0)
                census.apply(entry)
                entries.append(entry)
            except TraceError as problem:
                found.append(error(file, Position(rows.line_num), str(problem)))
    except csv.Error as problem:
        found.append(error(file, Position(max(rows.line_num, 1)), f"not comma-separated values: {problem}"))
    return entries, found


def _parsed(row: Sequence[str], after: float) -> TraceEntry:
    if len(row) != len(_COLUMNS):
        raise TraceError(f"{len(_COLUMNS)} values were expected, {','.join(_COLUMNS)}: there are {len(row)}")
    at, what, subject, node = (cell.strip() for cell in row)
    try:
        seconds, kind = float(at), TraceEvent(what)
    except ValueError:
        words = ", ".join(event.value for event in TraceEvent)
        raise TraceError(f"a number of seconds and one of {words} were expected, not {at!r} and {what!r}") from None
    if not math.isfinite(seconds) or seconds < after:
        raise TraceError(f"{at} is before the entry above it, or no time at all")
    if not subject:
        raise TraceError("there is no subject")
    if bool(node) != (kind in _AIMED):
        raise TraceError(f"{what} names a node" if kind in _AIMED else f"{what} names no node besides its subject")
    return TraceEntry(seconds, kind, subject, node)
