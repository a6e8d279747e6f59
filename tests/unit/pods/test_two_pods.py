"""Two bridges with the real link between them and a directory in memory: who has a VSI, and what comes along."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ryu_apps.evb.event_catalogue.pods import VsiTaken
from ryu_apps.evb.event_catalogue.vsis import StateCarried, StateFixedUp, StateLost
from ryu_apps.evb.flow.rule import RuleKey
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import CookieKind, owned_by
from ryu_apps.evb.pods.owner import Owner
from ryu_apps.evb.policy.model import Acl, PolicySet
from ryu_apps.evb.services.firewall.schema import FirewallPolicy, Lifetimes
from ryu_apps.evb.topology.station_treatment import Takeover
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.pod_link.holdings import ABANDONED, UNUSED
from tests.worlds.bridge import HV1, HV3, Vm, open_type, two_switches
from tests.worlds.learnt import learn
from tests.worlds.pods import PodWorld, several_pods, two_pods

RR, ASSOCIATE, GONE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
VM = Vm(1)


def admitted(world: PodWorld, vm: Vm = VM) -> bool:
    """Associate a VM at a port, by both steps; True: the bridge has answered with success."""
    world.ask(HV1, vm, RR)
    world.ask(HV1, vm, ASSOCIATE)
    world.view.show()
    return world.answer(HV1).success and world.has_gate(vm)


def test_vsi_moves_to_another_pod_and_back() -> None:
    model, a, b = two_pods()
    assert admitted(a)
    assert model.owners[VM.text].pod == "a"
    assert admitted(b)
    assert model.owners[VM.text].pod == "b"
    assert not a.has_gate(VM)
    # The station that had it is told, as in one pod.
    a.advance(0.1)
    assert a.sent[HV1][-1].MODE is GONE
    a.advance(10.0)
    assert admitted(a) and not b.has_gate(VM)


def test_status_names_the_bridges_of_other_pods() -> None:
    _, a, _ = two_pods()
    status = a.get("/evb/status")
    assert isinstance(status, dict)
    assert status["pod"]["peers"] == [{"name": "b", "urls": ["http://b/"], "leader": None, "unreachable": None}]


def test_gate_there_is_shut_before_the_one_here_is_opened() -> None:
    _, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    b.stopped = True
    b.ask(HV1, VM, ASSOCIATE)
    assert a.has_gate(VM) and not b.has_gate(VM)
    b.go_on()
    assert not a.has_gate(VM) and b.has_gate(VM)


@pytest.mark.parametrize("dpid", [HV1.dpid, HV3.dpid])
def test_request_to_shut_is_answered_when_every_switch_has_confirmed(dpid: int) -> None:
    _, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    a.hold.add(dpid)
    a.confirming_after, answered = a.pauses + 3, list[int]()
    # The first request; the state is asked for behind it.
    b.meanwhile = lambda: answered.append(a.pauses)
    b.ask(HV1, VM, ASSOCIATE)
    assert b.has_gate(VM) and answered[0] >= a.confirming_after


def test_request_to_shut_is_answered_when_the_store_would_not_open_the_gate_again() -> None:
    _, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    a.store_delays = True
    a.confirming_after, answered = a.pauses + 3, list[int]()
    # The first request; the state is asked for behind it.
    b.meanwhile = lambda: answered.append(a.pauses)
    b.ask(HV1, VM, ASSOCIATE)
    assert b.has_gate(VM) and answered[0] >= a.confirming_after


@pytest.mark.parametrize("dpid", [HV1.dpid, HV3.dpid])
def test_request_to_shut_that_a_switch_does_not_confirm_gives_no_vsi_away(dpid: int) -> None:
    _, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    a.hold.add(dpid)
    b.ask(HV1, VM, ASSOCIATE)
    assert not b.has_gate(VM)


def test_unannounced_associate_gets_no_vsi_of_another_pod() -> None:
    model, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, ASSOCIATE)
    assert not b.answer(HV1).success
    assert a.has_gate(VM) and not b.has_gate(VM) and model.owners[VM.text].pod == "a"
    b.ask(HV1, VM, ASSOCIATE, migrating=True)
    assert b.has_gate(VM) and not a.has_gate(VM)


@pytest.mark.parametrize("condition", [Takeover.RESERVED, Takeover.ANY])
def test_condition_of_a_port_holds_for_vsis_of_other_pods(condition: Takeover) -> None:
    fabric = two_switches()
    ports = fabric.switches[HV1.dpid].interfaces
    ports[HV1.port_no] = replace(ports[HV1.port_no], takeover=condition)
    _, a, b = two_pods(fabric=fabric)
    admitted(a)
    takes_any = condition is Takeover.ANY
    b.ask(HV1, VM, ASSOCIATE)
    assert b.has_gate(VM) is takes_any and a.has_gate(VM) is not takes_any
    b.ask(HV1, VM, ASSOCIATE, migrating=True)
    assert b.has_gate(VM) is takes_any and a.has_gate(VM) is not takes_any
    assert admitted(b) and not a.has_gate(VM)


def test_announcement_counts_for_the_owner_that_it_was_made_to() -> None:
    _, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    a.ask(HV1, VM, GONE)
    a.advance(10.0)
    assert admitted(a)
    b.ask(HV1, VM, ASSOCIATE)
    assert not b.answer(HV1).success and a.has_gate(VM)


def test_vsi_that_ends_is_released_and_may_associate_anywhere() -> None:
    model, a, b = two_pods()
    admitted(a)
    a.ask(HV1, VM, GONE)
    assert model.owners == {}
    b.ask(HV1, VM, ASSOCIATE)
    assert b.has_gate(VM)


def test_move_within_a_pod_writes_nothing_into_the_directory() -> None:
    model, a, _ = two_pods()
    admitted(a)
    before = dict(model.owners)
    a.view.away = True
    a.ask(HV3, VM, RR)
    a.ask(HV3, VM, ASSOCIATE)
    assert a.answer(HV3).success and model.owners == before


@pytest.mark.parametrize("rule", ["refuse", "take"])
@pytest.mark.parametrize("fault", ["dead", "answer lost"])
def test_pod_that_is_not_reached_keeps_or_loses_a_vsi_by_the_rule(rule: str, fault: str) -> None:
    model, a, b = two_pods(rule)
    admitted(a)
    b.ask(HV1, VM, RR)
    a.reached, a.answers_lost = fault != "dead", fault == "answer lost"
    b.ask(HV1, VM, ASSOCIATE)
    assert b.answer(HV1).success == b.has_gate(VM) == (rule == "take")
    assert model.owners[VM.text].pod == ("b" if rule == "take" else "a")
    assert a.has_gate(VM) == (fault == "dead")
    # When it sees the directory, it shuts what was taken from it, and nothing that was not.
    a.reached, a.answers_lost = True, False
    a.look()
    assert a.has_gate(VM) == (rule == "refuse" and fault == "dead")
    b.ask(HV1, VM, RR)
    b.ask(HV1, VM, ASSOCIATE)
    assert b.has_gate(VM) and not a.has_gate(VM)


def test_request_to_shut_that_comes_late_takes_no_vsi_that_was_given_back() -> None:
    model, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    a.reached = False
    b.ask(HV1, VM, ASSOCIATE)
    a.reached = True
    # As of a bridge that was stopped for a while: it reads the request, and does not know yet what has changed.
    late = {"pod": "b", "generation": model.owners[VM.text].generation - 1}
    assert a.refusal(f"/evb/vsis/{VM.text}/handover", "POST", json.dumps(late).encode())[0] == 409
    assert a.has_gate(VM)


def test_request_to_shut_a_vsi_without_an_owner_shuts_nothing() -> None:
    model, a, _ = two_pods()
    admitted(a)
    claimed = {"pod": "b", "generation": model.owners.pop(VM.text).generation + 1}
    assert a.refusal(f"/evb/vsis/{VM.text}/handover", "POST", json.dumps(claimed).encode())[0] == 409
    assert a.has_gate(VM)


def test_announcement_of_a_vsi_that_no_pod_had_takes_it_from_none() -> None:
    _, a, b = two_pods()
    b.ask(HV1, VM, RR)
    assert admitted(a)
    b.ask(HV1, VM, ASSOCIATE)
    assert not b.answer(HV1).success and a.has_gate(VM)


def test_request_to_shut_counts_if_the_directory_cannot_be_asked() -> None:
    _, a, b = two_pods()
    admitted(a)
    a.view.away = True
    assert admitted(b) and not a.has_gate(VM)


def test_request_to_shut_counts_if_the_directory_is_connected_and_silent() -> None:
    _, a, b = two_pods()
    admitted(a)
    a.view.silent = True
    assert admitted(b) and not a.has_gate(VM)


def test_pod_that_has_claimed_a_vsi_since_refuses_to_shut_its_gate_without_the_directory_too() -> None:
    model, a, _ = two_pods()
    admitted(a)
    a.view.away = True
    earlier = {"pod": "b", "generation": model.owners[VM.text].generation - 1}
    assert a.refusal(f"/evb/vsis/{VM.text}/handover", "POST", json.dumps(earlier).encode())[0] == 409
    assert a.has_gate(VM)


def test_bridge_that_ends_between_claim_and_gate_asks_the_former_pod_again() -> None:
    model, a, b = two_pods()
    admitted(a)
    claimed_in_vain(b)
    b.restart_pod()
    b.view.show()
    assert model.owners[VM.text].former == ("a",)
    b.ask(HV1, VM, RR)
    b.stopped = True
    b.ask(HV1, VM, ASSOCIATE)
    assert a.has_gate(VM) and not b.has_gate(VM)
    b.go_on()
    assert b.has_gate(VM) and not a.has_gate(VM) and model.owners[VM.text].firm


def test_second_associate_waits_for_the_former_pod_as_the_first_one_does() -> None:
    _, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    b.stopped = True
    b.ask(HV1, VM, ASSOCIATE)
    for mode in (GONE, RR):
        b.ask(HV1, VM, mode)
    b.ask(HV1, VM, ASSOCIATE)
    assert a.has_gate(VM) and not b.has_gate(VM)
    b.go_on()
    assert [a.has_gate(VM), b.has_gate(VM)] == [False, True]


def test_claim_that_was_left_behind_is_given_back_and_the_directory_forgets_the_vsi_with_its_vm() -> None:
    model, a, b = two_pods()
    admitted(a)
    claimed_in_vain(b)
    b.restart_pod()
    b.ask(HV1, VM, RR)
    b.ask(HV1, VM, GONE)
    b.look(1)
    b.advance(UNUSED)
    a.ask(HV1, VM, ASSOCIATE)
    b.look(1)
    assert model.owners[VM.text].pod == "a" and model.owners[VM.text].firm and a.has_gate(VM)
    a.look()
    a.ask(HV1, VM, GONE)
    assert model.owners == {}


def test_pod_whose_vsi_was_claimed_by_a_bridge_that_ended_claims_it_back() -> None:
    model, a, b = two_pods()
    admitted(a)
    claimed_in_vain(b)
    a.look()
    assert model.owners[VM.text].pod == "b"
    for _ in range(int(ABANDONED)):
        a.advance(1.0)
        a.ask(HV1, VM, ASSOCIATE)
    a.look(1)
    assert model.owners[VM.text].pod == "a" and model.owners[VM.text].firm and a.has_gate(VM)


def test_vsi_that_was_given_back_is_released_when_it_goes() -> None:
    model, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    a.reached = False
    b.ask(HV1, VM, ASSOCIATE)
    a.reached = True
    a.look()
    a.ask(HV1, VM, GONE)
    assert model.owners == {}


def test_vsi_that_is_given_back_or_goes_without_the_directory_is_so_as_soon_as_it_answers() -> None:
    model, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    b.stopped, a.reached = True, False
    b.ask(HV1, VM, ASSOCIATE)
    b.view.away = True
    b.go_on()
    assert model.owners[VM.text].pod == "b"
    b.view.away = False
    b.look(1)
    assert model.owners[VM.text].pod == "a"
    a.look(1)
    a.view.away = True
    a.ask(HV1, VM, GONE)
    assert model.owners[VM.text].pod == "a"
    a.view.away = False
    a.look(1)
    assert model.owners == {}


def test_answer_of_a_directory_that_is_behind_takes_no_vsi_that_was_claimed_since() -> None:
    model, a, b = two_pods()
    assert admitted(b)
    earlier = model.owners[VM.text]
    assert admitted(a)
    now, model.owners[VM.text] = model.owners[VM.text], earlier
    a.look()
    assert a.has_gate(VM)
    model.owners[VM.text] = now
    a.look()
    assert a.has_gate(VM) and model.owners[VM.text] == now


def test_active_vsi_that_the_directory_has_lost_is_claimed_anew() -> None:
    model, a, _ = two_pods()
    admitted(a)
    model.owners.clear()
    a.look()
    assert model.owners[VM.text].pod == "a" and model.owners[VM.text].firm


def test_owner_of_a_vsi_that_is_active_nowhere_is_removed_after_a_while() -> None:
    model, a, b = two_pods()
    admitted(a)
    admitted(b, Vm(2))
    a.answers_lost = True
    b.ask(HV1, VM, RR)
    b.ask(HV1, VM, ASSOCIATE)
    assert model.owners[VM.text].pod == "a" and not a.has_gate(VM)
    b.ask(HV1, VM, GONE)
    a.look(1)
    a.advance(UNUSED)
    b.ask(HV1, Vm(2), ASSOCIATE)
    a.look(1)
    assert set(model.owners) == {Vm(2).text}


def claimed_in_vain(b: PodWorld) -> None:
    """A bridge ends when it has claimed a VSI, and has asked nothing of the pod that has it."""
    b.ask(HV1, VM, RR)
    b.stopped = True
    b.ask(HV1, VM, ASSOCIATE)
    b.waiting.clear()
    b.stopped = False


def test_pod_without_the_directory_associates_nothing_new_and_keeps_what_it_has() -> None:
    model, a, b = two_pods()
    admitted(a)
    b.view.away = True
    assert not admitted(b)
    a.view.away = True
    a.ask(HV1, VM, ASSOCIATE)
    assert a.answer(HV1).success and a.has_gate(VM)
    other = Vm(2)
    assert not admitted(a, other)
    a.view.away = b.view.away = False
    assert admitted(a, other) and admitted(b)
    assert {owner.pod for owner in model.owners.values()} == {"a", "b"}


def test_both_associate_at_once_and_the_later_claim_wins() -> None:
    model, a, b = two_pods()
    for pod in (a, b):
        pod.ask(HV1, VM, RR)
    for pod in (a, b):
        pod.view.held = []
        pod.ask(HV1, VM, ASSOCIATE)
    # Both find that no pod has it; a is faster, and b claims it behind a.
    for pod in (a, b, a):
        pod.view.go_on()
    a.view.held = None
    for _ in range(3):
        b.view.go_on()
    assert [pod.has_gate(VM) for pod in (a, b)] == [False, True]
    assert model.owners[VM.text].pod == "b"


def test_answer_that_comes_when_the_vsi_was_claimed_again_opens_no_gate() -> None:
    model, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    b.meanwhile = lambda: [a.ask(HV3, VM, mode) for mode in (RR, ASSOCIATE)]
    b.ask(HV1, VM, ASSOCIATE)
    assert model.owners[VM.text].pod == "a"
    assert [pod.has_gate(VM) for pod in (a, b)] == [True, False]


def test_answer_of_the_directory_is_lost_and_the_claim_stands_all_the_same() -> None:
    model, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    b.view.lost = True
    b.ask(HV1, VM, ASSOCIATE)
    assert b.has_gate(VM) and not a.has_gate(VM) and model.owners[VM.text].pod == "b"


def test_pod_that_was_restarted_does_not_open_what_it_has_handed_over() -> None:
    _, a, b = two_pods()
    admitted(a)
    records = dict(a.store)
    admitted(b)
    a.restart_pod()
    assert not a.has_gate(VM)
    # Even if its store has lost that: it shuts the gate when the directory says so.
    a.store = records
    a.restart_pod()
    b.restart_pod()
    assert b.has_gate(VM)
    a.look()
    assert not a.has_gate(VM) and b.has_gate(VM)


def test_earlier_life_of_a_pod_claims_nothing() -> None:
    model, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    model.begin_life("b", 99, lambda error: None)
    b.ask(HV1, VM, ASSOCIATE)
    assert not b.has_gate(VM) and a.has_gate(VM) and model.owners[VM.text].pod == "a"


def test_switch_that_is_not_connected_has_its_gate_open_for_all_that_is_known() -> None:
    _, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    a.disconnect(HV1.dpid)
    b.ask(HV1, VM, ASSOCIATE)
    assert not b.has_gate(VM)


def test_associate_that_is_given_up_while_the_other_pod_is_asked_leaves_no_owner() -> None:
    model, a, b = two_pods()
    admitted(a)
    b.ask(HV1, VM, RR)
    b.stopped = True
    b.ask(HV1, VM, ASSOCIATE)
    b.ask(HV1, VM, GONE)
    b.go_on()
    assert not a.has_gate(VM) and not b.has_gate(VM) and VM.text not in model.owners
    assert admitted(a)


# --- what comes along -----------------------------------------------------------------------------
_FIREWALL = FirewallPolicy(Acl(default=True), Acl(), 10, Lifetimes(300, 20, 300, 300))
GUARDED = replace(open_type(VsiTypeKey(9, 1)), services=(("firewall", _FIREWALL),))
KEPT = Vm(3, GUARDED.key)


def connections(world: PodWorld, vm: Vm = KEPT) -> set[int]:
    """Ports of the connections that a switch of a pod has for a VM."""
    vsi = world.engine.registry.vsi(vm.vsi_id)
    program = None if vsi is None else vsi.attachments[HV1].holding.program
    if program is None:
        return set()
    rules = world.rules(HV1.dpid, CookieKind.STATE).values()
    mine = owned_by(CookieKind.STATE, program.binding.vsi_index, program.binding.generation)
    found = (field for rule in rules if mine.covers(rule.cookie) for field in rule.match)
    return {field.value for field in found if field.name == "tcp_src"}


def test_connections_are_staged_behind_the_gate_and_fixed_up_at_associate() -> None:
    _, a, b = two_pods(policies=PolicySet({GUARDED.key: GUARDED}))
    admitted(a, KEPT)
    learn(a, KEPT, 1001, 1002, idle=300)
    b.ask(HV1, KEPT, RR)
    assert b.answer(HV1).success and connections(b) == {1001, 1002} and not b.has_gate(KEPT)
    learn(a, KEPT, 1003, idle=300)
    b.ask(HV1, KEPT, ASSOCIATE)
    assert connections(b) == {1001, 1002, 1003}
    assert [event.rules for event in b.happened if isinstance(event, StateCarried | StateFixedUp)] == [2, 1]
    # As within one pod: the former pod keeps nothing of it.
    a.advance(0.1)
    assert a.rules(HV1.dpid, CookieKind.STATE, CookieKind.VSI_BODY, CookieKind.GATE) == {}


def test_connections_follow_a_vm_whose_source_lets_go_first() -> None:
    _, a, b = two_pods(policies=PolicySet({GUARDED.key: GUARDED}))
    admitted(a, KEPT)
    learn(a, KEPT, 1001, idle=300)
    b.ask(HV1, KEPT, RR)
    learn(a, KEPT, 1002, idle=300)
    a.ask(HV1, KEPT, GONE)
    assert not a.has_gate(KEPT)
    b.ask(HV1, KEPT, ASSOCIATE)
    assert b.has_gate(KEPT) and connections(b) == {1001, 1002}


def test_connection_that_has_ended_there_is_not_open_again_here() -> None:
    _, a, b = two_pods(policies=PolicySet({GUARDED.key: GUARDED}))
    admitted(a, KEPT)
    learn(a, KEPT, 1001, 1002, idle=300)
    b.ask(HV1, KEPT, RR)
    a.delete_objects(HV1.dpid, [key for key in a.rules(HV1.dpid, CookieKind.STATE) if _source(key) == 1001])
    b.ask(HV1, KEPT, ASSOCIATE)
    assert connections(b) == {1002}


def test_state_is_that_of_an_earlier_pod_where_the_latest_owner_has_none() -> None:
    """The bridge of pod b ended between its claim and the request to shut the gate."""
    model, pods = several_pods(("a", "b", "c"), policies=PolicySet({GUARDED.key: GUARDED}))
    a, c = pods["a"], pods["c"]
    admitted(a, KEPT)
    learn(a, KEPT, 1001, idle=300)
    claimed = Owner("b", 1, model.owners[KEPT.text].generation + 1, ("a",))
    model.owners[KEPT.text] = claimed
    c.ask(HV1, KEPT, RR)
    assert connections(c) == {1001}
    learn(a, KEPT, 1002, idle=300)
    c.ask(HV1, KEPT, ASSOCIATE)
    assert c.has_gate(KEPT) and not a.has_gate(KEPT) and connections(c) == {1001, 1002}


def test_state_that_cannot_be_had_costs_connections_and_not_the_move() -> None:
    _, a, b = two_pods("take", PolicySet({GUARDED.key: GUARDED}))
    admitted(a, KEPT)
    learn(a, KEPT, 1001, idle=300)
    a.reached = False
    assert admitted(b, KEPT)
    assert connections(b) == set()
    assert any(isinstance(event, StateLost) for event in b.happened)
    assert any(isinstance(event, VsiTaken) for event in b.happened)


def _source(key: RuleKey) -> int | None:
    return next((field.value for field in key.match if field.name == "tcp_src"), None)
