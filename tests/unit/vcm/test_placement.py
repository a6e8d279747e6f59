"""Permitted and best nodes for a VM, and the reasons."""

from __future__ import annotations

from ryu_apps.vcm.inventory import Inventory, Level, Occupancy
from ryu_apps.vcm.placement import Candidate, PlacementQuestion, Ranking, rank
from tests.worlds.vcm import a_node, a_vm, inventory, two_switches


def ranking(cluster: Inventory, vm: str, **more: object) -> Ranking:
    return rank(PlacementQuestion(cluster, Occupancy(cluster), cluster.vms[vm], **more))  # type: ignore[arg-type]


def order(answer: Ranking) -> list[str]:
    return [candidate.node for candidate in answer.candidates]


def why_not(answer: Ranking, node: str) -> str:
    return next(", ".join(refusal.reasons) for refusal in answer.rejected if refusal.node == node)


def choice(answer: Ranking) -> Candidate:
    return answer.candidates[0]


# hv1, hv2 at s1; hv3, hv4 at s2; hv1, hv3 in power domain a; hv2, hv4 in b.
def test_a_group_is_spread_over_nodes_then_power_domains_then_switches() -> None:
    cluster = two_switches([a_vm("web1", "hv1", group="web"), a_vm("web2", "hv2", group="web"), a_vm("x", "hv4")])
    # hv3 shares power with nobody but hv1, where the VM itself leaves; hv4 shares power with hv2.
    assert order(ranking(cluster, "web1")) == ["hv3", "hv4", "hv2"]
    last = ranking(cluster, "web1").candidates[-1]
    assert "node hv2 has web2 too" in last.flaws
    assert "no other web on hv3" in choice(ranking(cluster, "web1")).merits


def test_power_weighs_more_than_switch() -> None:
    cluster = two_switches([a_vm("web1", "hv4", group="web"), a_vm("web2", "hv1", group="web")])
    # hv2: other power, same switch.  hv3: same power, other switch.
    assert order(ranking(cluster, "web1")) == ["hv2", "hv3", "hv1"]


def test_what_must_be_apart_is_a_limit() -> None:
    vms = [a_vm("web1", "hv1", group="web"), a_vm("web2", "hv3", group="web")]
    answer = ranking(two_switches(vms, apart={"web": {Level.SWITCH}}), "web1")
    assert order(answer) == ["hv2"]
    assert why_not(answer, "hv4") == "web must not share a switch: web2 at s2"


def test_of_equals_the_emptier_wins_and_then_the_first() -> None:
    cluster = two_switches([a_vm("vm1", "hv1"), a_vm("vm2", "hv2", 4000)])
    assert order(ranking(cluster, "vm1")) == ["hv3", "hv4", "hv2"]
    assert choice(ranking(cluster, "vm1")).words == "25% full with it"


def test_no_room_is_said_in_numbers() -> None:
    full = [a_vm(f"vm{number}", "hv3", 2000) for number in range(2, 6)]
    answer = ranking(two_switches([a_vm("vm1", "hv1", 3000), *full]), "vm1")
    assert why_not(answer, "hv3") == "1 slots are needed, 0 are free, 3000 MiB are needed, 0 are free"


def test_a_local_appliance_is_a_limit() -> None:
    vm = a_vm("vm1", "hv1", reaches=("proxy",), local=("proxy",))
    answer = ranking(two_switches([vm], appliances={"proxy": ("s1",)}), "vm1")
    assert order(answer) == ["hv2"]
    assert why_not(answer, "hv3") == "there is no proxy at s2"


def three_in_a_row() -> Inventory:
    nodes = [a_node(f"hv{number}", f"s{number}") for number in (1, 2, 3)] + [a_node("hv4", "s1")]
    vms = [a_vm("web", "hv4", reaches=("fw",)), a_vm("fw", "hv1")]
    return inventory(nodes, vms, links=(("s1", "s2"), ("s2", "s3")))


def test_the_nearer_to_its_appliance_the_better() -> None:
    answer = ranking(three_in_a_row(), "web")
    assert order(answer) == ["hv1", "hv2", "hv3"]
    assert "fw at the same switch" in answer.candidates[0].merits
    assert "hops to fw 2" in answer.candidates[2].flaws


def test_an_appliance_stays_near_to_those_it_serves() -> None:
    assert order(ranking(three_in_a_row(), "fw")) == ["hv4", "hv2", "hv3"]


def test_a_way_across_a_switch_that_goes_is_no_way() -> None:
    answer = ranking(three_in_a_row(), "web", down=frozenset({"s2"}))
    assert order(answer) == ["hv1"]
    assert why_not(answer, "hv3") == "fw cannot be reached from s3"
    assert why_not(answer, "hv2").startswith("its switch s2 is out of service")
    assert why_not(ranking(three_in_a_row(), "fw", down=frozenset({"s2"})), "hv3") == (
        "web needs it and is not reached from s3"
    )


def test_no_place_at_all_is_an_answer_with_every_reason() -> None:
    cluster = two_switches([a_vm("vm1", "hv1", 9000)], per_switch=1)
    answer = ranking(cluster, "vm1", avoid={"hv2": "hv2 is dead"})
    assert answer.candidates == ()
    assert answer.refusal == "no place for vm1: hv2: hv2 is dead, 9000 MiB are needed, 8000 are free"


def test_alone_in_the_world_is_said_too() -> None:
    cluster = inventory([a_node("hv1", "s1")], [a_vm("vm1", "hv1")], links=())
    assert ranking(cluster, "vm1").refusal == "no place for vm1: there is no other node"
