"""Nodes that a VM could go to, best first, with reasons: limits, and preferences in order of weight.

Deterministic: the same question has the same answer.  No place at all is an answer too, with the reason of every node.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from operator import attrgetter

from ryu_apps.vcm.bridge_room import VmsByNode
from ryu_apps.vcm.inventory import Inventory, InventoryNode, InventoryVm, Level, Occupancy, natural
from ryu_apps.vcm.storage import disk_copy, store_for

__all__ = ["Candidate", "PlacementQuestion", "Ranking", "RejectedNode", "rank"]


@dataclass(frozen=True, slots=True)
class PlacementQuestion:
    """Question of the nodes that a VM could go to.

    Attributes:
        avoid: nodes that are out of the question, and why.
        down: switches that no path may use, now or later.
        dead: nodes that are dead, or will be when the place is used: a disk that no other node reaches is lost to it.
    """

    inventory: Inventory
    occupancy: Occupancy
    vm: InventoryVm
    avoid: Mapping[str, str] = field(default_factory=dict)
    down: frozenset[str] = frozenset()
    dead: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Candidate:
    """A node that would do.

    Attributes:
        penalties: one number a preference, the weightiest first; less is better.
        merits, flaws: the same in words.
    """

    node: str
    penalties: tuple[int, ...]
    merits: tuple[str, ...]
    flaws: tuple[str, ...]

    @property
    def words(self) -> str:
        """Reasons for this node, in one line."""
        flaws = [f"although {flaw}" for flaw in self.flaws]
        return "; ".join([*self.merits, *flaws])


@dataclass(frozen=True, slots=True)
class RejectedNode:
    """A node that would not do, and everything that is against it."""

    node: str
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Ranking:
    """The answer: every node but those where the VM is, once; candidates best first."""

    vm: str
    candidates: tuple[Candidate, ...]
    rejected: tuple[RejectedNode, ...]

    @property
    def refusal(self) -> str:
        """Reasons why there is no place, in one line; empty if there is one."""
        if self.candidates:
            return ""
        told = "; ".join(f"{rejection.node}: {', '.join(rejection.reasons)}" for rejection in self.rejected)
        return f"no place for {self.vm}: {told or 'there is no other node'}"


def rank(question: PlacementQuestion) -> Ranking:
    """Judge every node at which the VM is not."""
    candidates, rejected = [], []
    here, survey = question.occupancy.places[question.vm.name], _Survey(question)
    for name in sorted(question.inventory.nodes, key=natural):
        if name in here:
            continue
        node = question.inventory.nodes[name]
        reasons = tuple(reason for limit in LIMITS for reason in limit(survey, node))
        if reasons:
            rejected.append(RejectedNode(name, reasons))
        else:
            candidates.append(_candidate(survey, node))
    # Sorting is stable: of equals the first in natural order wins.
    return Ranking(question.vm.name, tuple(sorted(candidates, key=attrgetter("penalties"))), tuple(rejected))


def _candidate(survey: _Survey, node: InventoryNode) -> Candidate:
    judged = [preference(survey, node) for preference in PREFERENCES]
    return Candidate(
        node.name,
        tuple(judgement.penalty for judgement in judged),
        tuple(judgement.words for judgement in judged if judgement.words and judgement.merit),
        tuple(judgement.words for judgement in judged if judgement.words and not judgement.merit),
    )


class _Survey:
    """Facts that are the same for every node of a question, computed once.

    Attributes:
        hops: switch -> switch -> number of links between them.
        needed: appliance of the VM -> the switches where it is.
        clients: VM for which it is the appliance -> the switches where that is.
    """

    def __init__(self, question: PlacementQuestion) -> None:
        self.vm = question.vm
        self.inventory = question.inventory
        self.occupancy = question.occupancy
        self.avoid = question.avoid
        self.down = question.down
        self.dead = question.dead
        self.hops = question.inventory.hops(question.down)
        self.needed = {name: self._switches(name) for name in question.vm.reaches}
        self.clients = {
            name: self._switches(name) for name, vm in question.inventory.vms.items() if question.vm.name in vm.reaches
        }
        self._members = self._group_by_domain()
        self._neighbours: dict[str, VmsByNode] = {}

    def neighbours(self, switch: str) -> VmsByNode:
        """Interfaces of the other VMs at a switch: a list for each of its nodes."""
        if switch not in self._neighbours:
            vms = self.inventory.vms
            self._neighbours[switch] = {
                name: [vms[vm].interfaces for vm in self.occupancy.at(name) if vm != self.vm.name]
                for name, node in self.inventory.nodes.items()
                if node.switch == switch
            }
        return self._neighbours[switch]

    def sharers(self, node: InventoryNode, level: Level) -> list[str]:
        """Members of the VM's group, other than itself, in the node's domain of a level."""
        return self._members.get((level, node.domain(level)), [])

    def store_for(self, node: InventoryNode) -> str | None:
        """The datastore that the disk of the VM would be copied to."""
        return store_for(self.inventory, self.occupancy, self.vm, node.name)

    def _group_by_domain(self) -> dict[tuple[Level, str | None], list[str]]:
        found: dict[tuple[Level, str | None], list[str]] = {}
        for name, vm in self.inventory.vms.items():
            if vm.group is None or vm.group != self.vm.group or name == self.vm.name:
                continue
            nodes = [self.inventory.nodes[node] for node in self.occupancy.places[name]]
            for level in Level:
                for domain in {node.domain(level) for node in nodes} - {None}:
                    found.setdefault((level, domain), []).append(name)
        return found

    def _switches(self, name: str) -> frozenset[str]:
        if name in self.inventory.appliances:
            return frozenset(self.inventory.appliances[name].switches)
        return frozenset(self.inventory.nodes[node].switch for node in self.occupancy.places[name])


# --- limits: what is against a node, nothing if it may be -----------------------------------------
def _out_of_the_question(survey: _Survey, node: InventoryNode) -> Iterator[str]:
    if node.name in survey.avoid:
        yield survey.avoid[node.name]


def _at_a_switch_that_goes(survey: _Survey, node: InventoryNode) -> Iterator[str]:
    gone = sorted(node.ways & survey.down)
    if gone and node.name not in survey.avoid:
        yield f"its switch {gone[0]} is out of service"


def _no_room(survey: _Survey, node: InventoryNode) -> Iterator[str]:
    free, size = survey.occupancy.free(node.name), survey.vm.size
    if free.slots < size.slots:
        yield f"{size.slots} slots are needed, {max(free.slots, 0)} are free"
    if free.memory_mib < size.memory_mib:
        yield f"{size.memory_mib} MiB are needed, {max(free.memory_mib, 0)} are free"


def _has_to_be_apart(survey: _Survey, node: InventoryNode) -> Iterator[str]:
    group = survey.vm.group
    for level in Level:
        if group is not None and level in survey.inventory.groups[group].apart:
            others = survey.sharers(node, level)
            if others:
                yield f"{group} must not share a {_WORDS[level]}: {', '.join(others)} at {node.domain(level)}"


def _cut_off(survey: _Survey, node: InventoryNode) -> Iterator[str]:
    """From an appliance that it needs, or from a VM that needs it."""
    reached = survey.hops[node.switch].keys()
    for name, places in survey.needed.items():
        if not reached & places:
            yield f"{name} cannot be reached from {node.switch}"
    for name in survey.vm.local:
        if node.switch not in survey.needed[name]:
            yield f"there is no {name} at {node.switch}"
    for name, places in survey.clients.items():
        # A VM at a switch that is evacuated is going to be elsewhere.
        if places - survey.down and not reached & places:
            yield f"{name} needs it and is not reached from {node.switch}"


def _without_its_disk(survey: _Survey, node: InventoryNode) -> Iterator[str]:
    disk = survey.vm.disk
    if disk is None or survey.inventory.reach(survey.vm, node.name):
        return
    store = survey.inventory.datastores[disk.datastore]
    if store.nodes <= survey.dead:
        names = ", ".join(sorted(store.nodes, key=natural))
        yield f"its disk is in datastore {disk.datastore}, which only {names} reached: it comes back with the node"
    elif not disk.copied:
        yield f"it does not reach datastore {disk.datastore}"
    elif survey.store_for(node) is None:
        yield f"no datastore that it reaches has {disk.gib} GiB left"


def _short_at_the_bridge(survey: _Survey, node: InventoryNode) -> Iterator[str]:
    room = survey.inventory.room
    if node.switch in room.switches:
        yield from room.shortages(survey.vm.interfaces, node.name, node.switch, survey.neighbours(node.switch))


#: All of them are looked at, so that a refusal names everything that is in the way.
LIMITS: tuple[Callable[[_Survey, InventoryNode], Iterator[str]], ...] = (
    _out_of_the_question,
    _at_a_switch_that_goes,
    _no_room,
    _has_to_be_apart,
    _cut_off,
    _without_its_disk,
    _short_at_the_bridge,
)


# --- preferences ------------------------------------------------------------------------------------
@dataclass(frozen=True, slots=True)
class _Judged:
    """Judgement of one preference on a node; ``words`` is empty if it is neutral."""

    penalty: int
    words: str = ""
    merit: bool = True


_AT = {Level.NODE: "on", Level.POWER: "in power domain", Level.SWITCH: "at"}
_WORDS = {Level.NODE: "node", Level.POWER: "power domain", Level.SWITCH: "switch"}


def _apart(level: Level) -> Callable[[_Survey, InventoryNode], _Judged]:
    def judge(survey: _Survey, node: InventoryNode) -> _Judged:
        others, domain = survey.sharers(node, level), node.domain(level)
        if survey.vm.group is None or domain is None:
            return _Judged(0)
        if not others:
            return _Judged(0, f"no other {survey.vm.group} {_AT[level]} {domain}")
        return _Judged(len(others), f"{_WORDS[level]} {domain} has {', '.join(others)} too", merit=False)

    return judge


def _near(survey: _Survey, node: InventoryNode) -> _Judged:
    """Switches between the VM and its appliances, and between it and those it serves."""
    reached = survey.hops[node.switch]
    ways = {
        name: [reached[end] for end in places if end in reached]
        for name, places in (survey.needed | survey.clients).items()
    }
    far = {name: min(hops) for name, hops in ways.items() if hops}
    penalty = sum(far.values())
    if not far:
        return _Judged(0)
    if not penalty:
        return _Judged(0, f"{', '.join(far)} at the same switch")
    distant = [f"{name} {hops}" for name, hops in far.items() if hops]
    return _Judged(penalty, f"hops to {', '.join(distant)}", merit=False)


def _disk(survey: _Survey, node: InventoryNode) -> _Judged:
    """GiB that have to be copied."""
    disk = survey.vm.disk
    if disk is None:
        return _Judged(0)
    if survey.inventory.reach(survey.vm, node.name):
        return _Judged(0, f"reaches datastore {disk.datastore}")
    target = survey.store_for(node)
    assert target is not None, "a limit"
    copy = disk_copy(survey.inventory, survey.vm, disk.datastore, target)
    words = f"its disk of {disk.gib} GiB is copied to {target}"
    return _Judged(disk.gib, words if copy is None else f"{words} in {copy.seconds:.4g} s", merit=False)


def _idle(survey: _Survey, node: InventoryNode) -> _Judged:
    """The fuller of memory and slots, in percent, with the VM on it."""
    used, capacity = survey.occupancy.used(node.name) + survey.vm.size, node.capacity
    percent = max(100 * used.memory_mib // capacity.memory_mib, 100 * used.slots // capacity.slots)
    return _Judged(percent, f"{percent}% full with it")


#: The weightiest first; a lighter one decides only between equals.
PREFERENCES: tuple[Callable[[_Survey, InventoryNode], _Judged], ...] = (
    _apart(Level.NODE),
    _apart(Level.POWER),
    _apart(Level.SWITCH),
    _near,
    _disk,
    _idle,
)
