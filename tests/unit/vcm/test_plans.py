"""Plans: who moves, in which order, where to, and what cannot be helped."""

from __future__ import annotations

import pytest

from ryu_apps.vcm.inventory import Inventory, InventoryVm, Level, Size
from ryu_apps.vcm.plans import Goal, GoalError, GoalKind, Plan, make_plan
from tests.worlds.vcm import a_node, a_vm, inventory, two_switches

VMS = [
    a_vm("small", "hv1", 500),
    a_vm("large", "hv1", 4000),
    a_vm("client", "hv2", 6000, reaches=("fw",)),
    a_vm("fw", "hv2", 500),
    a_vm("away", "hv3", 500),
]


def planned(kind: GoalKind, subject: str = "", cluster: Inventory | None = None) -> Plan:
    return make_plan(cluster or two_switches(VMS), Goal(kind, subject))


def moved(plan: Plan) -> list[tuple[str, str, str | None]]:
    return [(move.vm, move.source, move.target) for move in plan.moves]


def test_a_node_is_evacuated_large_ones_first() -> None:
    assert moved(planned(GoalKind.EVACUATE, "hv1")) == [("large", "hv1", "hv4"), ("small", "hv1", "hv3")]


def test_a_switch_is_evacuated_appliances_first_and_nobody_stays_at_it() -> None:
    plan = planned(GoalKind.EVACUATE, "s1")
    assert [move.vm for move in plan.moves] == ["fw", "client", "large", "small"]
    assert {move.target for move in plan.moves} == {"hv3", "hv4"}
    assert (plan.down, set(plan.leaving)) == ({"s1"}, {"hv1", "hv2"})


def test_a_power_domain_is_evacuated() -> None:
    plan = planned(GoalKind.EVACUATE, "a")
    assert {move.vm for move in plan.moves} == {"small", "large", "away"}
    assert {move.target for move in plan.moves} <= {"hv2", "hv4"}


def test_whoever_has_no_place_is_told_with_the_reasons() -> None:
    cluster = two_switches([*VMS, a_vm("blocker", "hv3", 7000), a_vm("other", "hv4", 7000)])
    plan = planned(GoalKind.EVACUATE, "hv1", cluster)
    (stuck,) = plan.stuck
    assert stuck.vm == "large" and "hv4: 4000 MiB are needed, 1000 are free" in stuck.words
    assert moved(plan)[-1] == ("small", "hv1", "hv2")


def test_whoever_is_protected_weighs_on_both_nodes() -> None:
    cluster = two_switches([a_vm(f"vm{number}", "hv1", 2000) for number in range(4)], per_switch=1)
    assert [move.target for move in planned(GoalKind.PROTECT, "hv1", cluster).moves] == ["hv2"] * 4
    both = two_switches([a_vm("vm0", "hv1", 5000), a_vm("vm1", "hv1", 3000), a_vm("x", "hv2", 2000)], per_switch=1)
    assert [move.target for move in planned(GoalKind.PROTECT, "hv1", both).moves] == ["hv2", None]


def test_a_dead_node_is_no_place() -> None:
    plan = planned(GoalKind.FAIL_OVER, "hv2")
    assert {move.vm for move in plan.moves} == {"fw", "client"}
    assert plan.leaving == {"hv2": "hv2 is dead"}


def test_rebalancing_spreads_groups_before_load() -> None:
    vms = [a_vm("web1", "hv1", group="web"), a_vm("web2", "hv1", group="web")]
    assert moved(planned(GoalKind.REBALANCE, "", two_switches(vms))) == [("web1", "hv1", "hv4")]


def test_rebalancing_evens_load_out_and_leaves_small_things_alone() -> None:
    lopsided = two_switches([a_vm("vm1", "hv1", 3000), a_vm("vm2", "hv1", 3000)])
    assert len(planned(GoalKind.REBALANCE, "", lopsided).moves) == 1
    # From 12% and nothing to 6% and 6%.
    even = two_switches([a_vm("vm1", "hv1", 500, size=Size(0, 500)), a_vm("vm2", "hv1", 500, size=Size(0, 500))])
    assert planned(GoalKind.REBALANCE, "", even).moves == ()


def test_a_goal_that_names_nothing_is_a_mistake_of_whoever_asked() -> None:
    with pytest.raises(GoalError, match="evacuate s9: paper has no node, switch or power domain of that name"):
        planned(GoalKind.EVACUATE, "s9")


@pytest.mark.parametrize(
    ("subject", "expected"),
    [
        ("s1", {"web": ("proxy",), "small": ()}),
        # Its proxy stays in use: the VM stays at the switch.
        ("hv1", {"web": (), "small": ()}),
    ],
)
def test_plan_names_the_appliances_to_which_connections_stay_tied(
    subject: str, expected: dict[str, tuple[str, ...]]
) -> None:
    vms = [a_vm("web", "hv1", reaches=("proxy",), local=("proxy",)), a_vm("small", "hv1", 500)]
    cluster = two_switches(vms, appliances={"proxy": ("s1", "s2")})
    assert {move.vm: move.ties for move in planned(GoalKind.EVACUATE, subject, cluster).moves} == expected
    for kind in (GoalKind.PROTECT, GoalKind.FAIL_OVER):
        assert not any(move.ties for move in planned(kind, subject, cluster).moves)


SERVERS = [a_node("hv1", "vs1", "a", rack="s1"), a_node("hv2", "s1", "b")]
ELSEWHERE = [a_node("hv3", "vs3", "a", rack="s2"), a_node("hv4", "s2", "b")]
RACKS = (("s1", "s2"), ("vs1", "s1"), ("vs3", "s2"))


def racks(*vms: InventoryVm, apart: set[Level] | None = None) -> Inventory:
    return inventory([*SERVERS, *ELSEWHERE], list(vms), RACKS, {"db": apart or set()})


def test_a_server_is_evacuated_and_protected_with_the_switch_of_its_rack() -> None:
    cluster = racks(a_vm("at-server", "hv1", reaches=("at-vepa",)), a_vm("at-vepa", "hv2"), a_vm("away", "hv3"))
    for kind in (GoalKind.EVACUATE, GoalKind.PROTECT):
        plan = planned(kind, "s1", cluster)
        assert {move.vm for move in plan.moves} == {"at-server", "at-vepa"}
        assert {move.target for move in plan.moves} <= {"hv3", "hv4"}
    assert {move.vm for move in planned(GoalKind.EVACUATE, "vs1", cluster).moves} == {"at-server"}


def test_a_server_behind_a_switch_that_is_down_is_no_place() -> None:
    cluster = racks(a_vm("vm", "hv4"))
    plan = make_plan(cluster, Goal(GoalKind.EVACUATE, "hv4"), down=frozenset({"s1"}))
    (move,) = plan.moves
    assert move.target == "hv3"
    rejected = {rejection.node: rejection.reasons for rejection in move.ranking.rejected}
    assert rejected["hv1"] == ("its switch s1 is out of service",)


def test_vms_of_two_servers_at_one_switch_of_the_rack_share_it() -> None:
    cluster = racks(a_vm("db1", "hv4", group="db"), a_vm("db2", "hv1", group="db"), apart={Level.SWITCH})
    assert moved(planned(GoalKind.EVACUATE, "hv4", cluster)) == [("db1", "hv4", "hv3")]
