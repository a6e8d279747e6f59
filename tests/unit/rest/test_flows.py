"""``/evb/flows``: the rules of a switch, whose they are, and whether a gate leads to them."""

from __future__ import annotations

import pytest

from ryu_apps.evb.pipeline.notation import rule_text
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, HV2, HV3, OPEN_2, S1, S2, Vm
from tests.worlds.rest import RestWorld

VM, OTHER = Vm(7), Vm(8)
BODY = {"type_body", "vsi_body"}


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld()
    world.connect()
    return world


def flows(world: RestWorld, dpid: int, query: str = "") -> list[dict]:
    return world.get(f"/evb/flows/{dpid:016x}{query}")


def kinds(rules: list[dict]) -> set[str]:
    return {rule["owner"]["kind"] for rule in rules}


def scene(world: RestWorld, name: str) -> None:
    """Moments in the life of a VSI."""
    if name == "empty":
        return
    world.ask(HV1, VM, VdpMode.PREASSOCIATE_RR)
    if name == "staged":
        return
    world.ask(HV1, VM, VdpMode.ASSOCIATE)
    if name == "moving":
        world.ask(HV3, VM, VdpMode.PREASSOCIATE_RR)
    elif name == "shared":
        world.ask(HV2, OTHER, VdpMode.PREASSOCIATE_RR)
    elif name == "gone":
        world.ask(HV1, VM, VdpMode.DEASSOCIATE)


@pytest.mark.parametrize("name", ["empty", "staged", "active", "moving", "shared", "gone"])
@pytest.mark.parametrize("dpid", [S1, S2])
def test_what_is_shown_is_what_the_switch_has(world: RestWorld, name: str, dpid: int) -> None:
    scene(world, name)
    shown = sorted(rule["text"] for rule in flows(world, dpid))
    assert shown == sorted(map(rule_text, world.tables[dpid].rules.values()))


def test_a_staged_vsi_has_a_body_and_nothing_that_is_active(world: RestWorld) -> None:
    scene(world, "staged")
    assert kinds(flows(world, S1, "?state=staged")) == BODY
    assert flows(world, S1, "?state=active") == []


def test_an_active_vsi_has_body_and_gate_and_nothing_staged(world: RestWorld) -> None:
    scene(world, "active")
    assert kinds(flows(world, S1, f"?state=active&vsi={VM.text}")) == {*BODY, "gate", "membership"}
    assert flows(world, S1, "?state=staged") == []


def test_other_switches_have_a_gate_only(world: RestWorld) -> None:
    scene(world, "active")
    assert kinds(flows(world, S2, f"?vsi={VM.text}")) == {"gate"}


def test_a_vsi_that_moves_is_active_here_and_staged_there(world: RestWorld) -> None:
    scene(world, "moving")
    assert {rule["state"] for rule in flows(world, S1, f"?vsi={VM.text}")} == {"active"}
    states = {rule["owner"]["kind"]: rule["state"] for rule in flows(world, S2, f"?vsi={VM.text}")}
    assert states == {"type_body": "staged", "vsi_body": "staged", "gate": "active"}


def test_a_shared_body_appears_under_each_vsi_in_the_state_of_that_vsi(world: RestWorld) -> None:
    scene(world, "shared")

    def shared(query: str) -> list[tuple[str, list[str]]]:
        rules = flows(world, S1, query)
        found = [(rule["state"], rule["vsis"]) for rule in rules if rule["owner"]["kind"] == "type_body"]
        assert all(shown == found[0] for shown in found)
        return found[:1]

    assert shared("") == [("active", [VM.text, OTHER.text])]
    assert shared(f"?vsi={VM.text}") == [("active", [VM.text])]
    assert shared("?state=staged") == shared(f"?vsi={OTHER.text}") == [("staged", [OTHER.text])]
    assert shared(f"?vsi={OTHER.text}&state=active") == []


def test_the_rest_is_infrastructure_and_belongs_to_nobody(world: RestWorld) -> None:
    before = flows(world, S1)
    scene(world, "staged")
    found = flows(world, S1, "?state=infrastructure")
    assert found == before
    assert all(rule["vsis"] == [] for rule in found)
    assert flows(world, S1, f"?state=infrastructure&vsi={VM.text}") == []


def test_a_vsi_nobody_knows_has_no_rules(world: RestWorld) -> None:
    assert flows(world, S1, f"?vsi={VM.text}") == []


def test_the_old_body_stays_active_while_its_successor_is_staged(world: RestWorld) -> None:
    scene(world, "active")
    world.hold.add(S1)
    world.ask(HV1, Vm(7, OPEN_2), VdpMode.ASSOCIATE)
    rules = flows(world, S1)
    for kind, number in (("type_body", "epoch"), ("vsi_body", "vsi_index")):
        found = {(rule["owner"][number], rule["state"]) for rule in rules if rule["owner"]["kind"] == kind}
        assert sorted(state for _, state in found) == ["active", "staged"]


def test_a_rule_is_shown_in_full(world: RestWorld) -> None:
    scene(world, "active")
    (rule,) = [found for found in flows(world, S1, f"?vsi={VM.text}") if found["table"] == "INGRESS"]
    assert (rule["table_id"], rule["priority"]) == (10, 200)
    assert rule["match"] == {"in_port": 1, "vlan_vid": 100, "eth_src": "52:54:00:00:00:07"}
    assert rule["owner"] == {"kind": "gate", "vsi_index": 1, "generation": 1}
    assert rule["cookie"] == "0xeb47400001000001"
    assert rule["actions"][-1] == "GOTO_TABLE:15"
    assert any(action.startswith("WRITE_METADATA:0x") for action in rule["actions"])


def test_rules_come_in_the_order_in_which_a_frame_meets_them(world: RestWorld) -> None:
    scene(world, "active")
    order = [(rule["table_id"], -rule["priority"]) for rule in flows(world, S1)]
    assert order == sorted(order)


def test_a_long_answer_lets_others_have_their_turn(world: RestWorld) -> None:
    for number in range(1, 60):
        world.ask(HV1, Vm(number), VdpMode.ASSOCIATE)
    rules = flows(world, S1)
    assert len(rules) == len(world.tables[S1].rules) > 200
    assert world.pauses >= len(rules) // 100


def test_a_long_answer_tells_of_one_moment(world: RestWorld) -> None:
    scene(world, "active")
    held = world.request(f"/evb/flows/{S1:016x}?vsi={VM.text}")
    world.ask(HV1, VM, VdpMode.DEASSOCIATE)
    assert {rule["state"] for rule in held.json} == {"active"}
