"""Room that the bridge has left: rules, meters and minimum rates, against what VMs need of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ryu_apps.vcm.bridge_answers import BridgeAnswers, room_of
from ryu_apps.vcm.bridge_room import BridgeRoom
from ryu_apps.vcm.goal_events import RoomAsked
from ryu_apps.vcm.inventory import Inventory, Occupancy
from ryu_apps.vcm.move_events import MoveStep
from ryu_apps.vcm.placement import PlacementQuestion, Ranking, rank
from ryu_apps.vcm.plans import Goal, GoalKind, make_plan
from ryu_apps.vcm.service import ManagerService
from ryu_apps.vcm.vm_interface import VmInterface
from tests.worlds.vcm import a_vm, start_plan, two_switches

#: VSIs of type 1/1 at hv1 (port 1 of s1) have 10 rules and a meter each, and share 30 rules.
AMOUNTS = {"rules": 10, "meters": 1, "groups": 0, "tables": {"INGRESS": 2}}
BODY = {"rules": 30, "meters": 0, "groups": 0, "tables": {"POLICY": 30}}


def switch(name: str, left: int | None = None, meters: int | None = None, **more: Any) -> dict[str, Any]:
    """An element of /evb/reservations: rules and meters that are left; None: no budget."""
    made = {
        "dpid": f"{int(name[1:]):016x}",
        "name": name,
        "budget": None if left is None else 100 + left,
        "used": 100,
        "meters": {"budget": None if meters is None else 20 + meters, "base": 15, "used": 5},
        "groups": {"budget": None, "base": 0, "used": 0},
        "tables": {},
        "bandwidth": [],
        "promises": [],
    }
    return made | more


def promise(owner: str, amounts: dict[str, Any], *vsis: str, **more: Any) -> dict[str, Any]:
    return {"for": owner, **amounts, "bandwidth": [], "holders": [{"vsi": vsi} for vsi in vsis], **more}


def answers(s2: dict[str, Any], minimum: tuple[int, int] = (0, 0), **status: Any) -> BridgeAnswers:
    """The VSIs of vm1 and vm2 are at hv1 of s1; hv3 and hv4 are ports 1 and 2 of s2; the trunks are port 9."""
    rates = {"from_vm": minimum[0], "to_vm": minimum[1]}
    own = [{"port": 1, "sent": minimum[1], "received": minimum[0]}, {"port": 9, "sent": minimum[0], "received": 0}]
    held = [promise("vsi", AMOUNTS, f"vsi-vm{number}", index=number, bandwidth=own) for number in (1, 2)]
    s1 = switch("s1", promises=[promise("type", BODY, epoch=7), *held])
    body = {"dpid": s1["dpid"], "epoch": 7, "rules": 30, "users": 2, "confirmed": True}
    listed = {"type_id": 1, "version": 1, "minimum": rates, "used_by": ["vsi-vm1", "vsi-vm2"], "bodies": [body]}
    stations = [
        {"name": f"hv{number}", "dpid": f"{dpid:016x}", "port_no": port, "evb": "agreed"}
        for number, dpid, port in ((1, 1, 1), (2, 1, 2), (3, 2, 1), (4, 2, 2))
    ]
    links = [{"ports": [f"{1:016x}:9", f"{2:016x}:9"]}]
    switches = [{"name": name, "readiness": "ready"} for name in ("s1", "s2")]
    return BridgeAnswers([s1, s2], [listed], stations, {"switches": switches, "links": links} | status)


def cluster(room: BridgeRoom, vms: int = 2) -> Inventory:
    return replace(two_switches([a_vm(f"vm{number}", "hv1") for number in range(1, vms + 1)]), room=room)


def ranked(inventory: Inventory, now: Occupancy | None = None, vm: str = "vm1") -> Ranking:
    return rank(PlacementQuestion(inventory, now or Occupancy(inventory), inventory.vms[vm]))


def against(ranking: Ranking, node: str = "hv3") -> tuple[str, ...]:
    return next((rejected.reasons for rejected in ranking.rejected if rejected.node == node), ())


@pytest.mark.parametrize(
    ("s2", "reasons"),
    [
        (switch("s2"), ()),
        (switch("s2", left=40, meters=1), ()),
        (switch("s2", left=39), ("s2 has 39 rules left, 40 are needed",)),
        (switch("s2", meters=0), ("s2 has 0 meters left, 1 are needed",)),
        (
            switch("s2", tables={"POLICY": {"budget": 50, "base": 10, "used": 20}}),
            ("s2 has 20 rules in table POLICY left, 30 are needed",),
        ),
    ],
)
def test_a_switch_needs_rules_and_meters_left(s2: dict[str, Any], reasons: tuple[str, ...]) -> None:
    found = ranked(cluster(room_of(answers(s2))))
    assert against(found) == against(found, "hv4") == reasons
    assert "hv2" in [candidate.node for candidate in found.candidates], "the switch that it is at has its rules"


def test_those_that_are_sent_there_count_and_share_the_rules_of_their_type() -> None:
    # 10 for each VSI, and 30 once for their type.
    for left, reasons in ((50, ()), (49, ("s2 has 9 rules left, 10 are needed",))):
        crowd = cluster(room_of(answers(switch("s2", left=left))))
        sent = Occupancy(crowd).with_vm("vm2", "hv4")
        assert against(ranked(crowd, sent)) == reasons


def test_a_type_that_is_there_already_brings_no_rules_of_its_own() -> None:
    room = room_of(answers(switch("s2", left=10)))
    there = replace(room.switches["s2"], bodies={(1, 1): {"rules": 30}})
    assert against(ranked(cluster(replace(room, switches={**room.switches, "s2": there})))) == ()


def test_those_that_are_there_already_are_not_counted_twice() -> None:
    room = room_of(answers(switch("s2", left=10)))
    there = replace(room.switches["s2"], held={"vsi-vm3": {"rules": 10}}, bodies={(1, 1): {"rules": 30}})
    crowd = cluster(replace(room, switches={**room.switches, "s2": there}), vms=3)
    assert against(ranked(crowd, Occupancy(crowd).with_vm("vm3", "hv4"))) == ()
    assert against(ranked(crowd, Occupancy(crowd).with_vm("vm2", "hv4"))) == ("s2 has 0 rules left, 10 are needed",)


def test_a_vsi_that_is_nowhere_is_taken_to_need_what_others_of_its_type_need() -> None:
    crowd = cluster(room_of(answers(switch("s2", left=39))), vms=3)
    assert against(ranked(crowd, vm="vm3")) == ("s2 has 39 rules left, 40 are needed",)


def test_every_interface_counts() -> None:
    face = VmInterface("vsi-vm2", 1, 1, 200, "52:54:00:00:00:02")
    alone = cluster(room_of(answers(switch("s2", left=49))), vms=1)
    both = replace(alone, vms={"vm1": replace(alone.vms["vm1"], others=(face,))})
    assert against(ranked(alone)) == ()
    assert against(ranked(both)) == ("s2 has 49 rules left, 50 are needed",)


def rates(speed: int | None, sent: int = 0, received: int = 0, port: int = 1) -> list[dict[str, Any]]:
    return [{"port": port, "speed": speed, "sent": sent, "received": received}]


@pytest.mark.parametrize(
    ("ports", "reasons"),
    [
        (rates(10_000, 9_000, 8_000), ()),
        (rates(10_000, 9_001), ("its uplink has 999 kbit/s left to VMs, 1000 are needed",)),
        (rates(10_000, 0, 8_001), ("its uplink has 1999 kbit/s left from VMs, 2000 are needed",)),
        (rates(None, 9_999, 9_999), ()),
        (rates(10_000, 8_001, port=9), ("the link s2-s1 has 1999 kbit/s left from VMs, 2000 are needed",)),
    ],
)
def test_an_uplink_and_its_trunks_need_bandwidth_for_the_type(
    ports: list[dict[str, Any]], reasons: tuple[str, ...]
) -> None:
    room = room_of(answers(switch("s2", bandwidth=ports), minimum=(2_000, 1_000)))
    assert against(ranked(cluster(room))) == reasons


def test_an_uplink_bears_those_that_are_sent_there_and_its_neighbour_another_load() -> None:
    crowd = cluster(room_of(answers(switch("s2", bandwidth=rates(3_000)), minimum=(2_000, 1_000))))
    assert against(ranked(crowd, Occupancy(crowd).with_vm("vm2", "hv4"))) == ()
    words = ("its uplink has 1000 kbit/s left from VMs, 2000 are needed",)
    assert against(ranked(crowd, Occupancy(crowd).with_vm("vm2", "hv3"))) == words


def test_a_vm_does_not_compete_with_itself_at_a_trunk() -> None:
    """Its rate by the trunk of its present switch is reserved already, for a node beside its own too."""
    room = room_of(answers(switch("s2"), minimum=(2_000, 0)))
    full = dict.fromkeys(room.own, 0)
    assert against(ranked(cluster(replace(room, left=full))), "hv2") == ()


def test_a_switch_that_is_not_ready_and_a_station_that_is_silent_are_no_place() -> None:
    away = answers(switch("s2"), switches=[{"name": "s2", "readiness": "disconnected"}])
    assert against(ranked(cluster(room_of(away)))) == ("s2 is disconnected",)
    silent = answers(switch("s2"))
    silent.stations[2]["evb"] = "link down"
    found = ranked(cluster(room_of(silent)))
    assert against(found) == ("its station is not reached: link down",) and against(found, "hv4") == ()


@pytest.mark.parametrize(
    ("number", "nonsense"),
    [(0, [{"dpid": 1}]), (0, None), (1, [{}]), (1, ["busy"]), (2, [{"name": "hv1"}]), (3, []), (3, {})],
)
def test_other_answers_are_refused(number: int, nonsense: Any) -> None:
    good = answers(switch("s2"))
    with pytest.raises(ValueError, match="not the answers of a bridge"):
        room_of(BridgeAnswers(*(*good[:number], nonsense, *good[number + 1 :])))


# --- plans and what becomes of them ---
def test_a_plan_goes_where_there_is_room() -> None:
    crowd = cluster(room_of(answers(switch("s2", left=40))))
    plan = make_plan(crowd, Goal(GoalKind.EVACUATE, "s1"))
    assert [move.target for move in plan.moves] == ["hv3", None]
    assert "hv3: s2 has 0 rules left, 10 are needed" in plan.moves[1].words


def test_what_has_changed_since_the_plan_is_noticed_by_a_refusal_and_asked_anew() -> None:
    crowd = cluster(room_of(answers(switch("s2"))), vms=1)
    plan = make_plan(crowd, Goal(GoalKind.EVACUATE, "hv1"))
    assert plan.moves[0].target == "hv2"
    for later, place in ((switch("s2"), "hv3"), (switch("s2", left=1), None)):
        played = start_plan(crowd, plan)
        played.refuse[MoveStep.RESERVE, "hv2"] = "no rules"
        played.feed(RoomAsked(room_of(answers(later))))
        played.run()
        (move,) = played.orchestrator.moves
        assert move.tried == {"hv2": "no rules"}
        assert (move.node if place else None, played.places()["vm1"]) == (place, place or "hv1")


def test_a_service_ranks_with_the_newest_answers() -> None:
    service = ManagerService(two_switches([a_vm("vm1", "hv1")]))
    assert against(service.rank("vm1")) == ()
    service.asked(room_of(answers(switch("s2", left=1))), 1.0)
    assert against(service.rank("vm1")) == ("s2 has 1 rules left, 40 are needed",)
