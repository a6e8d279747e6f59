"""An engine that follows the records of another bridge is, at the lead, as one that was restored from all of them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.bridge.restart import FOUNDATIONS
from ryu_apps.evb.generation import Life
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.policy.loader import load_policies
from ryu_apps.evb.record_kinds import ATTACHMENT, kind_of
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import GateMode
from ryu_apps.evb.vsi.registry import Attachment
from ryu_apps.evb.vsi.reservation import Amounts, Owner, SwitchResource
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.settings import SECTIONS
from ryu_apps.sources import read_sources
from tests.worlds.bridge import HV1, HV2, HV3, HV4, S1, S2, Vm, World, two_switches, with_gates, with_vlans

PORTS, VLANS = (HV1, HV2, HV3, HV4), (100, 200)
MODES = tuple(VdpMode)
LIFE = Life(7, True, {})
OF_GATES = ("gates", 0)


def _policies() -> Any:
    sources, _ = read_sources([Path(__file__).parents[2] / "policies"])
    policies, found = load_policies(sources, SECTIONS)
    assert policies is not None, found
    return policies


POLICIES = _policies()
TYPES = sorted(POLICIES.types)


@dataclass(frozen=True)
class Asked:
    """A request of a station; ``follows``: the records are followed behind it."""

    number: int
    type: VsiTypeKey
    vid: int
    port: PortId
    mode: VdpMode
    migrating: bool
    follows: bool


REQUESTS = st.lists(
    st.builds(
        Asked,
        st.integers(1, 4),
        st.sampled_from(TYPES),
        st.sampled_from(VLANS),
        st.sampled_from(PORTS),
        st.sampled_from(MODES),
        st.booleans(),
        st.booleans(),
    ),
    max_size=25,
)


def attachments(records: dict[str, bytes]) -> dict[str, bytes]:
    return {key: value for key, value in records.items() if kind_of(key) is ATTACHMENT}


def foundations(records: dict[str, bytes]) -> dict[str, bytes]:
    return {key: value for key, value in records.items() if kind_of(key) in FOUNDATIONS}


def engine(world: World, records: dict[str, bytes], follows: bool) -> Engine:
    return Engine(
        world.fabric,
        world.policies,
        records,
        world.now,
        forward_in_flight=world.forward_in_flight,
        life=LIFE,
        follows=follows,
    )


def of_attachment(attachment: Attachment) -> tuple[object, ...]:
    conversation, machine, vsi = attachment.conversation, attachment.machine, attachment.vsi
    program = attachment.holding.program
    return (
        *(attachment.text, attachment.port, attachment.since, attachment.bindings, attachment.addresses),
        *(attachment.priorities, attachment.vsi_port, attachment.silent, attachment.phase),
        *(machine.state, machine.in_force, machine.deadline, machine.operational),
        *(conversation.newest, conversation.told, conversation.left, conversation.announced, conversation.granted),
        *(vsi.owner is attachment, vsi.gates, vsi.members, vsi.open_meter, dict(vsi.listener.memberships)),
        None if program is None else (program.vsi_type.key, program.epoch, program.binding, program.rules > 0),
    )


def reserved(found: Engine, dpid: int) -> dict[Owner, Amounts]:
    """But for the meters of gates: the switch has them for good, also those of which a record has gone meanwhile."""
    return {owner: amounts for owner, amounts in found.ledger.reservations(dpid).items() if owner != OF_GATES}


def used(found: Engine, dpid: int) -> dict[SwitchResource, int]:
    there, of_gates = found.ledger.amounts(dpid), found.ledger.reservations(dpid).get(OF_GATES, {})
    rest = {resource: amount.used - of_gates.get(resource, 0) for resource, amount in there.items()}
    return {resource: amount for resource, amount in rest.items() if amount}


def shown(found: Engine) -> dict[str, object]:
    """State of an engine: what it wants of the switches, has reserved, and knows of each attachment."""
    switches = found.fabric.switches
    wanted = {dpid: found.wanted(dpid) for dpid in switches}
    return {
        "rules": {dpid: state.rules for dpid, state in wanted.items()},
        "groups": {dpid: {group.group_id: group for group in state.groups} for dpid, state in wanted.items()},
        "meters": {dpid: frozenset((*state.meters, *state.counters)) for dpid, state in wanted.items()},
        "learns": {dpid: (state.learns, state.kept) for dpid, state in wanted.items()},
        "reserved": {dpid: reserved(found, dpid) for dpid in switches},
        "used": {dpid: used(found, dpid) for dpid in switches},
        "attachments": sorted(map(of_attachment, found.registry.attachments()), key=str),
        "left out": dict(found.not_restored),
        "bodies": {key: len(body.users) for key, body in found.lifecycle.installer.bodies.items()},
    }


@pytest.mark.parametrize("gates", [GateMode.RULES, GateMode.METER])
@settings(max_examples=25)
@given(requests=REQUESTS, last=REQUESTS)
def test_followed_engine_is_as_one_restored_from_all_records(
    gates: GateMode, requests: list[Asked], last: list[Asked]
) -> None:
    world = World(fabric=with_gates(with_vlans(two_switches(), 200), gates), policies=POLICIES, forward_in_flight=2)
    world.connect()
    warm, known = engine(world, foundations(world.store), follows=True), dict[str, bytes]()

    def follow() -> None:
        nonlocal warm, known
        now = attachments(world.store)
        warm.follow({key: now.get(key) for key in now.keys() | known.keys() if now.get(key) != known.get(key)})
        known = now

    for asked in requests:
        vm = Vm(asked.number, asked.type, asked.vid)
        world.ask(asked.port, vm, asked.mode, migrating=asked.migrating)
        world.advance(0.5)
        if asked.follows:
            follow()
    follow()
    world.advance(3.0)
    follow()
    warm.lead(dict(world.store), LIFE, world.now)
    scratch = engine(world, dict(world.store), follows=False)
    assert shown(warm) == shown(scratch)
    assert warm.deadline == scratch.deadline
    # And both answer alike.
    others = [World(fabric=world.fabric, policies=POLICIES, now=world.now, forward_in_flight=2) for _ in range(2)]
    for other, found in zip(others, (warm, scratch), strict=True):
        other.engine, other.tables, other.store = found, deepcopy(world.tables), dict(world.store)
        other.connect()
        for asked in last[:4]:
            other.ask(asked.port, Vm(asked.number, asked.type, asked.vid), asked.mode, migrating=asked.migrating)
    one, another = others
    assert one.sent == another.sent
    assert {dpid: len(one.rules(dpid)) for dpid in (S1, S2)} == {dpid: len(another.rules(dpid)) for dpid in (S1, S2)}
