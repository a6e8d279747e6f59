"""Short inventories, and simulated hypervisors that carry out or refuse the steps of an orchestrator."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field, replace

from ryu_apps.vcm import move_events
from ryu_apps.vcm.goal_events import Go, OrchestratorEvent, StepAnswer
from ryu_apps.vcm.inventory import (
    AntiAffinityGroup,
    Inventory,
    InventoryAppliance,
    InventoryNode,
    InventoryVm,
    Level,
    Size,
    VmInterface,
)
from ryu_apps.vcm.move_events import Do, MoveStep
from ryu_apps.vcm.orchestrator import Orchestrator
from ryu_apps.vcm.plans import Plan


def a_vm(name: str, at: str, memory: int = 1000, **more: object) -> InventoryVm:
    """Build a VM of one slot."""
    face = VmInterface(f"vsi-{name}", 1, 1, 100, "52:54:00:00:00:01")
    return replace(InventoryVm(name, at, Size(1, memory), face), **more)  # type: ignore[arg-type]


def a_node(
    name: str, switch: str, power: str | None = None, slots: int = 4, memory: int = 8000, rack: str = ""
) -> InventoryNode:
    """Build a node of four slots."""
    return InventoryNode(name, switch, power, Size(slots, memory), rack)


def inventory(
    nodes: list[InventoryNode],
    vms: list[InventoryVm],
    links: tuple[tuple[str, str], ...] = (("s1", "s2"),),
    apart: dict[str, set[Level]] | None = None,
    appliances: dict[str, tuple[str, ...]] | None = None,
) -> Inventory:
    """Build an inventory of nodes and VMs, with the groups that the VMs name."""
    switches = dict.fromkeys([*(node.switch for node in nodes), *(end for link in links for end in link)])
    groups = {
        vm.group: AntiAffinityGroup(vm.group, frozenset((apart or {}).get(vm.group, ()))) for vm in vms if vm.group
    }
    return Inventory(
        "paper",
        {node.name: node for node in nodes},
        {vm.name: vm for vm in vms},
        tuple(switches),
        frozenset(map(frozenset, links)),
        groups,
        {name: InventoryAppliance(name, places) for name, places in (appliances or {}).items()},
    )


def two_switches(vms: list[InventoryVm], per_switch: int = 2, **more: object) -> Inventory:
    """Build an inventory with the first nodes at s1 and the rest at s2; power domains a and b alternate."""
    names = [f"hv{number}" for number in range(1, 2 * per_switch + 1)]
    nodes = [a_node(name, "s1" if index < per_switch else "s2", "ab"[index % 2]) for index, name in enumerate(names)]
    return inventory(nodes, vms, **more)  # type: ignore[arg-type]


@dataclass
class Hypervisors:
    """Actual state of each VM, which checks every step.

    Attributes:
        running: its node, None: it does not run.
        held: nodes that hold its memory or a place for it.
        reserved, associated: nodes at which the bridge has it pre-associated and associated.
        dead: failed nodes.
        described: nodes that have the OVF of a VM.
    """

    inventory: Inventory
    running: dict[str, str | None] = field(default_factory=dict)
    reserved: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    associated: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    booted: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    copied: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    dead: set[str] = field(default_factory=set)
    described: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))

    def __post_init__(self) -> None:
        for name, vm in self.inventory.vms.items():
            self.running[name] = vm.at
            self.associated[name] = {vm.at}
            self.copied[name] = {vm.at}

    def die(self, node: str) -> None:
        """Fail a node with all its VMs."""
        self.dead.add(node)
        for vm in self.running:
            if self.running[vm] == node:
                self.running[vm] = None
            for places in (self.reserved, self.associated, self.booted, self.copied):
                places[vm].discard(node)

    def perform(self, do: Do, willing: bool = True, reason: str = "refused") -> StepAnswer:
        """Carry out a step, or refuse it (``willing`` False, or a failed node)."""
        if do.node in self.dead or (do.source in self.dead and do.step in _AT_THE_SOURCE):
            return StepAnswer(do.vm, move_events.StepFailed(do.step, do.node, "dead"))
        if not willing:
            if do.step in (MoveStep.RELEASE, MoveStep.DISCARD):
                getattr(self, f"_{do.step.name.lower()}")(do)  # a reservation without keep-alives expires
            return StepAnswer(do.vm, move_events.StepFailed(do.step, do.node, reason))
        getattr(self, f"_{do.step.name.lower()}")(do)
        return StepAnswer(do.vm, move_events.StepDone(do.step, do.node))

    def _push(self, do: Do) -> None:
        self.described[do.vm].add(do.node)

    def _probe(self, do: Do) -> None:
        self._check_described(do)

    def _check_described(self, do: Do) -> None:
        assert not self.inventory.vms[do.vm].ovf or do.node in self.described[do.vm], "the hypervisor has no OVF"

    def _reserve(self, do: Do) -> None:
        self._check_described(do)
        self.reserved[do.vm].add(do.node)

    def _await_stage(self, do: Do) -> None:
        assert do.node in self.reserved[do.vm], "waited for without a reservation"
        assert self.running[do.vm] == do.source or do.source in self.dead, "waited for after it was touched"

    def _await_activate(self, do: Do) -> None:
        assert self.associated[do.vm] == {do.node} and self.running[do.vm] is None

    def _await_release(self, do: Do) -> None:
        assert do.source not in self.associated[do.vm] and self.running[do.vm] == do.node

    def _copy(self, do: Do) -> None:
        assert self.running[do.vm] == do.source

    def _cancel(self, do: Do) -> None:
        assert self.running[do.vm] in (do.source, None)

    def _suspend(self, do: Do) -> None:
        assert self.running[do.vm] == do.source
        self.running[do.vm] = None
        self.copied[do.vm].add(do.node)

    def _let_go(self, do: Do) -> None:
        self.associated[do.vm].discard(do.source)
        if self.running[do.vm] == do.node:
            self.copied[do.vm].discard(do.source)

    def _boot(self, do: Do) -> None:
        assert self.running[do.vm] is None and do.source in self.dead
        self.booted[do.vm].add(do.node)

    def _associate(self, do: Do) -> None:
        assert do.node in self.copied[do.vm] | self.booted[do.vm], "associated before it has come"
        self.associated[do.vm] = {do.node}
        self.reserved[do.vm].discard(do.node)

    def _resume(self, do: Do) -> None:
        assert self.running[do.vm] is None, "runs twice"
        assert self.associated[do.vm] == {do.node}, "runs where it is not associated"
        self.running[do.vm] = do.node
        self.copied[do.vm] = {do.node} | self.copied[do.vm]
        if do.source not in self.associated[do.vm]:
            self.copied[do.vm] = {do.node}

    def _release(self, do: Do) -> None:
        assert self.running[do.vm] != do.node
        self.reserved[do.vm].discard(do.node)
        self.associated[do.vm].discard(do.node)

    def _return(self, do: Do) -> None:
        assert self.running[do.vm] in (None, do.source)
        self.running[do.vm] = do.source
        self.associated[do.vm] = {do.source}
        self.copied[do.vm] = {do.source}

    def _discard(self, do: Do) -> None:
        assert self.running[do.vm] is None
        self.booted[do.vm].discard(do.node)
        self.copied[do.vm].discard(do.node)

    def at(self, node: str) -> Size:
        """Return the actual load of a node."""
        places = (self.reserved, self.associated, self.booted, self.copied)
        vms = [vm for vm in self.running if any(node in nodes[vm] for nodes in places) or self.running[vm] == node]
        return sum((self.inventory.vms[vm].size for vm in vms), Size())


_AT_THE_SOURCE = {MoveStep.COPY, MoveStep.SUSPEND, MoveStep.LET_GO, MoveStep.RETURN}


@dataclass
class PlanRun:
    """A plan carried out by an orchestrator and simulated hypervisors; each answer takes a second.

    Attributes:
        pending: steps not answered yet, in order.
        done: steps answered.
        refuse: (step, node) -> reason, for steps that fail.
    """

    orchestrator: Orchestrator
    hypervisors: Hypervisors
    now: float = 0.0
    pending: list[Do] = field(default_factory=list)
    done: list[Do] = field(default_factory=list)
    refuse: dict[tuple[MoveStep, str], str] = field(default_factory=dict)

    def feed(self, event: OrchestratorEvent) -> None:
        """Feed an event at the present time."""
        self.pending += self.orchestrator.feed(event, self.now)

    def answer(self) -> Do:
        """Answer the oldest pending step."""
        self.now += 1.0
        do = self.pending.pop(0)
        reason = self.refuse.get((do.step, do.node))
        self.done.append(do)
        self.feed(self.hypervisors.perform(do, reason is None, reason or ""))
        return do

    def until(self, step: MoveStep) -> Do:
        """Answer until a step of this kind has been carried out."""
        while True:
            do = self.answer()
            if do.step is step:
                return do

    def until_asked(self, step: MoveStep) -> Do:
        """Answer until a step of this kind is the next one."""
        while self.pending[0].step is not step:
            self.answer()
        return self.pending[0]

    def run(self) -> None:
        """Answer all steps and serve all deadlines until the orchestrator has settled."""
        while self.pending or not self.orchestrator.settled:
            if self.pending:
                self.answer()
            else:
                deadline = self.orchestrator.deadline
                assert deadline is not None, "it has no deadline"
                self.now = max(self.now, deadline)
                self.feed(move_events.DeadlinePassed())

    def places(self) -> dict[str, str | None]:
        """Return the node of each VM."""
        return dict(self.hypervisors.running)


def start_plan(inventory: Inventory, plan: Plan, *settings: object) -> PlanRun:
    """Start a plan."""
    started = PlanRun(Orchestrator(inventory, plan, *settings), Hypervisors(inventory))  # type: ignore[arg-type]
    started.feed(Go())
    return started
