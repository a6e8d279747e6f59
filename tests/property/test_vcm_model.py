"""Anything that can happen to a plan, in any order, against what must hold at every moment and in the end."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from ryu_apps.vcm.goal_events import Go, HaltGoal, MoveLimits, NodeLost, ReleasePlaces, StepAnswer, Use
from ryu_apps.vcm.inventory import Inventory, InventoryNode, InventoryVm, Level, Occupancy, Purpose
from ryu_apps.vcm.move_events import COMPONENT_STEPS, Coordination, DeadlinePassed, Ladder, Lapsed, MoveStep
from ryu_apps.vcm.move_states import MoveState
from ryu_apps.vcm.orchestrator import Orchestrator
from ryu_apps.vcm.placement import PlacementQuestion, rank
from ryu_apps.vcm.plans import Goal, GoalKind, Plan, make_plan, strain
from tests.worlds.draws import drawn
from tests.worlds.vcm import Hypervisors, PlanRun, a_node, a_vm, inventory


@st.composite
def clusters(draw: st.DrawFn) -> Inventory:
    """Up to six nodes at up to three switches in a row, VMs that fit where they are, groups and appliances."""
    nodes = [
        a_node(
            f"hv{number}", draw(st.sampled_from(["s1", "s2", "s3"])), draw(st.sampled_from(["a", "b", None])), slots=3
        )
        for number in range(1, draw(st.integers(2, 6)) + 1)
    ]
    vms: list[InventoryVm] = []
    for number in range(1, draw(st.integers(1, 7)) + 1):
        at = draw(st.sampled_from(nodes)).name
        mine = [vm for vm in vms if vm.at == at]
        memory = draw(st.sampled_from([500, 2000, 4000]))
        if len(mine) < 3 and sum(vm.size.memory_mib for vm in mine) + memory <= 8000:
            others = [vm.name for vm in vms]
            reaches = draw(st.lists(st.sampled_from([*others, "box"]), max_size=2, unique=True))
            group = draw(st.sampled_from([None, "web", "db"]))
            vms.append(
                a_vm(
                    f"vm{number}",
                    at,
                    memory,
                    group=group,
                    reaches=tuple(reaches),
                    ovf=draw(st.sampled_from(["", "<Envelope/>"])),
                    purpose=draw(st.sampled_from(list(Purpose))),
                )
            )
    apart = {"db": draw(st.sets(st.sampled_from(list(Level)), max_size=1))}
    links = (("s1", "s2"), ("s2", "s3"))
    made = inventory(nodes, vms, links, apart, {"box": (draw(st.sampled_from(["s1", "s3"])),)})
    steps = draw(st.sets(st.sampled_from(sorted(COMPONENT_STEPS))))
    return replace(made, coordination=Coordination("b", frozenset(steps)) if steps else None)


@st.composite
def plans(draw: st.DrawFn) -> tuple[Inventory, Plan]:
    """A cluster and a plan for it."""
    cluster = draw(clusters())
    kind = draw(st.sampled_from([GoalKind.EVACUATE, GoalKind.PROTECT, GoalKind.REBALANCE]))
    subjects = [*cluster.nodes, *(switch for switch in cluster.switches if cluster.nodes_of(switch))]
    goal = Goal(kind, "" if kind is GoalKind.REBALANCE else draw(st.sampled_from(subjects)))
    return cluster, make_plan(cluster, goal, parallel=draw(st.integers(1, 3)))


WAYS = st.sampled_from([Ladder.MINIMIZE_LATENCY, Ladder.SAFEST_EXCHANGE])


class PlanModel(RuleBasedStateMachine):
    """Hypervisors do as they are told or refuse, nodes die, the operator changes his mind."""

    @initialize(
        planned=plans(), way=WAYS, ahead=st.booleans(), delay=st.sampled_from([0.0, 30.0]), probes=st.integers(0, 3)
    )
    def plan(self, planned: tuple[Inventory, Plan], way: Ladder, ahead: bool, delay: float, probes: int) -> None:
        self.cluster, plan = planned
        self.parallel = plan.parallel
        self.played = PlanRun(
            Orchestrator(self.cluster, plan, MoveLimits(way, delay, ahead, probes)), Hypervisors(self.cluster)
        )
        self.played.feed(Go())

    def _answer(self, number: int, willing: bool) -> None:
        """VMs are served in any order, the steps of one of them in theirs."""
        vms = list(dict.fromkeys(do.vm for do in self.played.pending))
        vm = vms[number % len(vms)]
        do = next(step for step in self.played.pending if step.vm == vm)
        self.played.pending.remove(do)
        self.played.now += 0.5
        self.played.feed(self.played.hypervisors.perform(do, willing))

    @precondition(lambda self: self.played.pending)
    @rule(number=st.integers(0, 6))
    def do_as_told(self, number: int) -> None:
        self._answer(number, True)

    @precondition(lambda self: self.played.pending)
    @rule(number=st.integers(0, 6))
    def refuse(self, number: int) -> None:
        self._answer(number, False)

    @rule(number=st.integers(0, 6))
    def lapse(self, number: int) -> None:
        held = [move for move in self.played.orchestrator.moves if move.state is MoveState.RESERVED]
        if held:
            one = held[number % len(held)]
            self.played.hypervisors.reserved[one.vm].discard(one.node)
            self.played.feed(StepAnswer(one.vm, Lapsed(one.node)))

    @rule(seconds=st.sampled_from([0.1, 1.0, 10.0, 60.0]))
    def wait(self, seconds: float) -> None:
        self.played.now += seconds
        self.played.feed(DeadlinePassed())

    @rule(undo=st.booleans())
    def halt(self, undo: bool) -> None:
        self.played.feed(HaltGoal(undo))

    @rule()
    def use(self) -> None:
        self.played.feed(Use())

    @rule()
    def release(self) -> None:
        self.played.feed(ReleasePlaces())

    @precondition(lambda self: not self.played.hypervisors.dead)
    @rule(number=st.integers(0, 5))
    def lose_a_node(self, number: int) -> None:
        node = sorted(self.cluster.nodes)[number % len(self.cluster.nodes)]
        self.played.hypervisors.die(node)
        self.played.feed(NodeLost(node))

    @invariant()
    def no_node_bears_more_than_it_can(self) -> None:
        if hasattr(self, "played"):
            for name, node in self.cluster.nodes.items():
                assert node.capacity.holds(self.played.hypervisors.at(name))

    @invariant()
    def not_too_many_vms_are_stopped_at_a_time(self) -> None:
        if hasattr(self, "played"):
            moves = self.played.orchestrator.moves
            assert sum(move.underway and move.way is not Ladder.RESTART for move in moves) <= self.parallel

    @invariant()
    def no_appliance_is_stopped_together_with_those_that_need_it(self) -> None:
        if hasattr(self, "played"):
            moves = [move for move in self.played.orchestrator.moves if move.way is not Ladder.RESTART]
            stopped = {move.vm: self.cluster.vms[move.vm] for move in moves if move.underway}
            for vm in stopped.values():
                serving = [stopped[name] for name in vm.reaches if name in stopped]
                assert not any(server.purpose is Purpose.APPLIANCE for server in serving)
            assert sum(vm.purpose is Purpose.INFRASTRUCTURE for vm in stopped.values()) <= 1

    def teardown(self) -> None:
        if not hasattr(self, "played"):
            return
        self.played.feed(ReleasePlaces())
        self.played.run()
        truth = self.played.hypervisors
        for name in self.cluster.vms:
            newest = self.played.orchestrator.newest(name)
            assert not truth.reserved[name], f"{name} has a place kept"
            if newest is not None and newest.state is MoveState.FAILED:
                continue
            where = truth.running[name]
            if where is None:
                # Its node is dead and no other would have it, or nobody was to look for one any more.
                assert newest is not None and newest.source in truth.dead
                assert newest.state in (MoveState.REFUSED, MoveState.HALTED)
            else:
                assert truth.associated[name] == {where}


PlanModel.TestCase.settings = drawn(60, steps=40)
TestPlanModel = PlanModel.TestCase


@drawn(40)
@given(plans(), WAYS, st.booleans(), st.data())
def test_an_evacuation_ends_with_nobody_there_or_with_an_explanation(
    planned: tuple[Inventory, Plan], way: Ladder, ahead: bool, data: st.DataObject
) -> None:
    cluster, plan = planned
    assume(plan.goal.kind is GoalKind.EVACUATE)
    limits = MoveLimits(way, 0.0, ahead, data.draw(st.integers(0, 2)))
    played = PlanRun(Orchestrator(cluster, plan, limits), Hypervisors(cluster))
    unwilling = data.draw(st.sets(st.sampled_from(list(cluster.nodes)), max_size=2))
    played.refuse = {(MoveStep.RESERVE, node): "no" for node in unwilling}
    played.feed(Go())
    played.run()
    for vm, where in played.places().items():
        if where in plan.leaving:
            newest = played.orchestrator.newest(vm)
            assert newest is not None and newest.state is MoveState.REFUSED
            told = newest.log[-1].text
            assert all(f"{node}: " in told for node in cluster.nodes if node != where)


@drawn(40)
@given(plans(), WAYS, st.integers(0, 60))
def test_undone_at_any_moment_everything_is_as_before(
    planned: tuple[Inventory, Plan], way: Ladder, answers: int
) -> None:
    cluster, plan = planned
    played = PlanRun(Orchestrator(cluster, plan, MoveLimits(way)), Hypervisors(cluster))
    played.feed(Go())
    for _ in range(answers):
        if played.pending:
            played.answer()
    played.feed(HaltGoal(undo=True))
    played.run()
    assert played.places() == {name: vm.at for name, vm in cluster.vms.items()}
    assert played.hypervisors.associated == {name: {vm.at} for name, vm in cluster.vms.items()}
    assert not any(played.hypervisors.reserved.values())


@drawn(40)
@given(clusters(), st.data())
def test_a_place_shares_no_more_with_its_group_than_it_has_to(cluster: Inventory, data: st.DataObject) -> None:
    assume(cluster.vms)
    vm = cluster.vms[data.draw(st.sampled_from(sorted(cluster.vms)))]
    question = PlacementQuestion(cluster, Occupancy(cluster), vm)
    ranking = rank(question)

    group = [
        other
        for other in cluster.vms.values()
        if other.group is not None and other.group == vm.group and other is not vm
    ]

    def shared(node: str) -> list[int]:
        domains = [(level, cluster.nodes[node].domain(level)) for level in Level]
        return [
            sum(cluster.nodes[member.at].domain(level) == domain for member in group if domain is not None)
            for level, domain in domains
        ]

    everybody = [candidate.node for candidate in (*ranking.candidates, *ranking.rejected)]
    assert sorted([*everybody, vm.at]) == sorted(cluster.nodes)
    assert all(candidate.reasons for candidate in ranking.rejected)
    if ranking.candidates:
        assert shared(ranking.candidates[0].node) == min(shared(candidate.node) for candidate in ranking.candidates)


@drawn(40)
@given(clusters())
def test_rebalancing_makes_it_better_with_every_move_and_comes_to_an_end(cluster: Inventory) -> None:
    now = Occupancy(cluster)
    plan = make_plan(cluster, Goal(GoalKind.REBALANCE))
    assert len({move.vm for move in plan.moves}) == len(plan.moves)
    for move in plan.moves:
        assert move.target is not None
        then = now.with_vm(move.vm, move.target)
        assert strain(cluster, then) < strain(cluster, now)
        now = then


def _fits(node: InventoryNode, cluster: Inventory, now: Occupancy) -> bool:
    return node.capacity.holds(now.used(node.name))


@drawn(40)
@given(plans())
def test_a_plan_fits_at_every_moment_when_it_is_carried_out_in_its_order(planned: tuple[Inventory, Plan]) -> None:
    cluster, plan = planned
    now = Occupancy(cluster)
    for move in plan.moves:
        if move.target is not None:
            both = now.with_vm(move.vm, move.source, move.target)
            assert all(_fits(node, cluster, both) for node in cluster.nodes.values())
            now = both if plan.goal.kind is GoalKind.PROTECT else now.with_vm(move.vm, move.target)
