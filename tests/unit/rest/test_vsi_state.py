"""State that is read at one bridge and put to another one, which knows nothing of the first."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, replace
from ipaddress import ip_address
from typing import Any

import pytest

from ryu_apps.evb.events.effect import Save
from ryu_apps.evb.events.other import NotSaved, Saved
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.model import Binding, SourceFilter
from ryu_apps.evb.pipeline.tables import CookieKind
from ryu_apps.evb.policy.model import Acl, PolicySet, Trigger, VsiType
from ryu_apps.evb.record_kinds import STATISTICS
from ryu_apps.evb.services.firewall.schema import FirewallPolicy, Lifetimes
from ryu_apps.evb.services.multicast.schema import MulticastPolicy
from ryu_apps.evb.snooping.listener import Generation, Membership
from ryu_apps.evb.wire.vdp import VdpMode
from tests.property.test_followed_engine import LIFE, attachments, engine
from tests.worlds.bridge import HV1, HV3, S1, Vm
from tests.worlds.counting import BY_NMS, POLICIES, CountingWorld
from tests.worlds.learnt import learn
from tests.worlds.rest import RestWorld

RR, ASSOCIATE, GONE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
_FIREWALL = FirewallPolicy(Acl(default=True), Acl(), 10, Lifetimes(300, 20, 300, 300))
_GROUPS = MulticastPolicy(max_groups=2)
COUNTED = POLICIES.types[BY_NMS]
TYPE = replace(COUNTED, services=(*COUNTED.services, ("firewall", _FIREWALL), ("multicast", _GROUPS)))
VM = Vm(7, TYPE.key)
PATH = f"/evb/vsis/{VM.text}/state"


@dataclass
class Bridge(CountingWorld, RestWorld):
    """A bridge with switches of its own.

    Attributes:
        no_accounts: its store takes no totals, as if the bridge had ended before they were written.
    """

    policies: PolicySet = PolicySet({TYPE.key: TYPE})
    no_accounts: bool = False

    def _write(self, save: Save) -> Saved | NotSaved:
        if self.no_accounts and any(key.startswith(STATISTICS.prefix) for key in save.changes):
            return NotSaved(save.token, "ended")
        return super()._write(save)

    def _pause(self, seconds: float) -> None:
        """Answer for the store, if it waits for that, while a request waits."""
        super()._pause(seconds)
        if self.store_delays:
            self.store_answers()


def bridge(vsi_type: VsiType = TYPE) -> Bridge:
    world = Bridge(policies=PolicySet({vsi_type.key: vsi_type}))
    world.connect()
    return world


def named(rule: Rule) -> list[tuple[str, int]]:
    """Fields that a rule matches."""
    return [(field.name, field.value) for field in rule.match]


def connections(world: Bridge) -> dict[int, int]:
    """Source port of each connection that a switch has learned -> its idle timeout."""
    return {
        value: rule.idle_timeout
        for rule in world.rules(S1, CookieKind.STATE).values()
        for name, value in named(rule)
        if name == "tcp_src"
    }


def active(*ports: int, vsi_type: VsiType = TYPE) -> Bridge:
    world = bridge(vsi_type)
    world.ask(HV1, VM, RR)
    world.ask(HV1, VM, ASSOCIATE)
    learn(world, VM, *ports, idle=300)
    return world


def reserved() -> Bridge:
    world = bridge()
    world.ask(HV1, VM, RR)
    assert world.answer(HV1).success
    return world


def put(world: Bridge, state: object) -> object:
    response = world.request(PATH, "PUT", json.dumps(state).encode())
    assert response.status_code == 200, response.text
    return response.json


def refusal(world: Bridge, state: object) -> tuple[int, str]:
    return world.refusal(PATH, "PUT", json.dumps(state).encode())


def has_gate(world: Bridge) -> bool:
    vsi = world.engine.registry.vsi(VM.vsi_id)
    return vsi is not None and vsi.owner is not None


def test_connections_are_staged_behind_the_gate_and_live_on_behind_it() -> None:
    there, here = active(1001, 1002), reserved()
    answer = put(here, there.get(PATH))
    assert answer == {"vsi": VM.text, "staged": [{"port": "0000000000000001:1", "services": {"firewall": 2}}]}
    # Nothing meets them, so that they would end before the VM comes.
    assert set(connections(here)) == {1001, 1002} and min(connections(here).values()) >= 3600
    assert not has_gate(here)
    here.ask(HV1, VM, ASSOCIATE)
    assert connections(here) == {1001: 300, 1002: 300}


def test_last_state_of_a_source_that_has_let_go_takes_the_place_of_what_was_put_first() -> None:
    there, here = active(1001, 1002), reserved()
    put(here, there.get(PATH))
    ended = [key for key, rule in there.rules(S1, CookieKind.STATE).items() if ("tcp_src", 1001) in named(rule)]
    there.delete_objects(S1, ended)
    learn(there, VM, 1003, idle=300)
    there.ask(HV1, VM, GONE)
    last: Any = there.get(PATH)
    assert last["final"]
    put(here, last)
    here.ask(HV1, VM, ASSOCIATE)
    assert set(connections(here)) == {1002, 1003}


def test_state_is_refused_where_the_vsi_is_active_or_unknown() -> None:
    there = active(1001)
    state = there.get(PATH)
    assert refusal(there, state) == (
        409,
        f"VSI {VM.text} is active at 0000000000000001:1: its switch learns for itself",
    )
    assert refusal(bridge(), state) == (404, f"VSI {VM.text} is reserved at no port")
    damaged = {**deepcopy(state), "vsi": "w", "memberships": "gA"}  # type: ignore[dict-item]
    assert refusal(bridge(), damaged)[0] == 404
    other = {**deepcopy(state), "vsi": Vm(8).text}  # type: ignore[dict-item]
    assert refusal(reserved(), other) == (422, f"vsi: the state is about VSI {Vm(8).text}")


def test_state_waits_in_the_switch_that_the_vsi_has_left_and_is_not_overwritten() -> None:
    # With this trigger it may be read behind the next gate only.
    there = active(1001, vsi_type=replace(TYPE, trigger=Trigger.SINGLE))
    state = there.get(PATH)
    there.ask(HV3, VM, RR)
    there.ask(HV1, VM, GONE)
    status, reason = refusal(there, state)
    assert status == 409 and reason.endswith("switch 0000000000000001 has its state"), reason


def test_more_than_the_type_has_room_for_is_refused_and_changes_nothing() -> None:
    there, here = active(*range(1001, 1022)), reserved()
    status, reason = refusal(here, there.get(PATH))
    assert (status, reason) == (409, "21 rules of state, the VSI type has room for 20")
    assert connections(here) == {}


def test_switch_that_is_not_connected_is_said_so() -> None:
    there, here = active(1001), reserved()
    state = there.get(PATH)
    here.disconnect(S1)
    assert refusal(here, state) == (503, "switch 0000000000000001 is not connected")


@pytest.mark.parametrize(
    "change",
    [
        lambda rule: rule["match"].pop("tcp_src"),
        lambda rule: rule["match"].pop("vlan_vid"),
        lambda rule: rule["match"].update(ipv4_dst=["0x0", "0x0"]),
        lambda rule: rule["match"].update(ip_proto="0x11"),
        lambda rule: rule.update(priority=201),
        lambda rule: rule.update(idle_timeout=0),
        lambda rule: rule["actions"].pop(0),
        lambda rule: rule["actions"].append(["load", "reg5", 0, 1, "0x1"]),
        lambda rule: rule["actions"].append(["load", "reg0", 8, 1, "0x1"]),
    ],
)
def test_rule_that_no_switch_learns_lets_nothing_in(change: Any) -> None:
    there, here = active(1001), reserved()
    state: Any = there.get(PATH)
    change(state["rules"][0])
    status, reason = refusal(here, state)
    assert status == 422 and "rule" in reason
    assert connections(here) == {}


@pytest.mark.parametrize(
    "change", [{"memberships": "AAAA"}, {"memberships": "gA"}, {"version": 2}, {"rules": [{}]}, {"more": 1}]
)
def test_damaged_document_is_refused(change: dict[str, object]) -> None:
    there, here = active(1001), reserved()
    state: Any = there.get(PATH)
    assert refusal(here, {**state, **change})[0] == 422
    assert connections(here) == {}


def test_totals_go_on_where_the_gate_opens() -> None:
    there, here = active(), reserved()
    state: Any = there.get(PATH)
    state["totals"] = {"from_vm": [7, 700], "to_vm": [5, 500]}
    put(here, state)
    here.ask(HV1, VM, ASSOCIATE)
    found: Any = here.get(f"/evb/statistics/{VM.text}")
    assert [found[way]["base"] for way in ("from_vm", "to_vm")] == [
        {"packets": 7, "octets": 700},
        {"packets": 5, "octets": 500},
    ]


def test_memberships_come_along_as_far_as_the_type_permits() -> None:
    there, here = active(), reserved()
    vsi = there.engine.registry.vsi(VM.vsi_id)
    assert vsi is not None and vsi.gate_program is not None
    (binding,) = vsi.gate_program.binding.bindings
    strange = Binding(binding.vid, 0x020000000099)
    wished = [(binding, f"239.1.1.{number}") for number in range(3)]
    for holder, group in ((strange, "239.1.1.9"), (binding, "224.0.0.1"), *wished):
        held = Membership(SourceFilter(True, frozenset()), Generation.THIRD, 0.0)
        vsi.listener.memberships[holder, ip_address(group)] = held
    vsi.listener.packed = None
    put(here, there.get(PATH))
    held_here = here.engine.registry.vsi(VM.vsi_id).listener.memberships  # type: ignore[union-attr]
    assert [(holder, str(group)) for holder, group in held_here] == wished[:2]
    # A later document without them ends them.
    vsi.listener.memberships.clear()
    vsi.listener.packed = None
    put(here, there.get(PATH))
    assert here.engine.registry.vsi(VM.vsi_id).listener.memberships == {}  # type: ignore[union-attr]


def bases(world: Bridge) -> list[tuple[int, int]]:
    """Frames and octets that the account of the VSI begins with, from the VM and to it."""
    found: Any = world.get(f"/evb/statistics/{VM.text}")
    return [(found[way]["base"]["packets"], found[way]["base"]["octets"]) for way in ("from_vm", "to_vm")]


def with_totals(world: Bridge) -> Any:
    state: Any = world.get(PATH)
    return {**state, "totals": {"from_vm": [7, 700], "to_vm": [5, 500]}}


def taken_over(world: Bridge) -> None:
    """Let a standby lead that has followed the records of attachments."""
    standby = engine(world, {}, follows=True)
    standby.follow(attachments(world.store))
    standby.lead(dict(world.store), LIFE, world.now)
    world.engine = standby
    world.connect()
    world.advance(0.001)


@pytest.mark.parametrize("successor", [Bridge.restart_controller, taken_over], ids=["restart", "standby"])
def test_all_that_was_put_is_there_for_the_next_bridge(
    successor: Callable[[Bridge], None],
) -> None:
    there, here = active(1001), reserved()
    vsi = there.engine.registry.vsi(VM.vsi_id)
    assert vsi is not None and vsi.gate_program is not None
    (binding,) = vsi.gate_program.binding.bindings
    held = Membership(SourceFilter(True, frozenset()), Generation.THIRD, 0.0)
    vsi.listener.memberships[binding, ip_address("239.1.1.1")] = held
    vsi.listener.packed = None
    put(here, with_totals(there))
    successor(here)
    here.ask(HV1, VM, ASSOCIATE)
    assert bases(here) == [(7, 700), (5, 500)]
    assert set(connections(here)) == {1001}
    restored = here.engine.registry.vsi(VM.vsi_id)
    assert restored is not None and [str(group) for _, group in restored.listener.memberships] == ["239.1.1.1"]


@pytest.mark.parametrize("answered", [False, True], ids=["before the account is written", "afterwards"])
def test_totals_are_there_after_a_restart_behind_the_associate(answered: bool) -> None:
    there, here = active(), reserved()
    put(here, with_totals(there))
    here.no_accounts = not answered
    here.ask(HV1, VM, ASSOCIATE)
    here.no_accounts = False
    here.restart_controller()
    assert bases(here) == [(7, 700), (5, 500)]
    here.restart_controller()
    assert bases(here) == [(7, 700), (5, 500)]


def test_totals_that_are_in_an_account_are_not_populated_again() -> None:
    there, here = active(), reserved()
    put(here, with_totals(there))
    here.ask(HV1, VM, ASSOCIATE)
    later = {way: {"packets": 9, "octets": 900} for way in ("from_vm", "to_vm")}
    assert here.request(f"/evb/statistics/{VM.text}", "PUT", json.dumps(later).encode()).status_code == 200
    here.restart_controller()
    assert bases(here) == [(9, 900), (9, 900)]


def test_state_that_the_store_does_not_take_is_not_promised() -> None:
    there, here = active(1001), reserved()
    here.store_failure = "disk full"
    assert refusal(here, with_totals(there)) == (503, "the store: disk full")
    here.store_failure = None
    put(here, with_totals(there))


def test_answer_waits_for_the_store() -> None:
    there, here = active(1001), reserved()
    here.store_delays = True
    put(here, with_totals(there))
    assert not here.store_delays


def test_document_longer_than_other_bodies_is_read() -> None:
    there, here = active(1001), reserved()
    state: Any = there.get(PATH)
    state["digest"] = "d" * 200
    long = json.dumps(state).encode() + b" " * 100_000
    assert here.request(PATH, "PUT", long).status_code == 200
    assert here.request(PATH, "PUT", long + b" " * 16_000_000).status_code == 413
