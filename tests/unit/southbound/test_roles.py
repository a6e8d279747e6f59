"""Requests for a role, and what tells a driver that it has lost its role; the switch is the test."""

from __future__ import annotations

import struct

import pytest
from ryu.ofproto import ofproto_v1_3 as ofp

from ryu_apps.evb.events.effect import Mode, RequestRole, SendFrame
from ryu_apps.evb.events.switch import ControllerRole, Rejected, RoleLost, RoleRefused, RoleShown
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Profile
from ryu_apps.southbound.encode import message
from ryu_apps.southbound.messages import numbered
from tests.unit.southbound.test_driver import Bench, rule

GENERATION = 0x18BCFE56800_1234
#: As Open vSwitch 3.1 sends it: ONF, type 1911, role, reason OFPCRR_MASTER_REQUEST, generation.
STATUS = bytes.fromhex("4f4e460000000777 00000003 00000000 0000000000000006")


@pytest.fixture
def bench() -> Bench:
    return Bench()


def ask(bench: Bench, role: ControllerRole = ControllerRole.MASTER) -> None:
    bench.driver.request_role(RequestRole(1, role, GENERATION))


@pytest.mark.parametrize("profile", Profile)
def test_a_request_has_role_and_generation_and_the_reply_is_told(profile: Profile) -> None:
    bench = Bench(profile)
    ask(bench)
    (asked,) = bench.waiting(ofp.OFPT_ROLE_REQUEST)
    assert asked.octets[8:] == struct.pack("!I4xQ", 2, GENERATION) and len(asked.octets) == 24
    assert bench.events == []
    assert bench.answer(asked, ofp.OFPT_ROLE_REPLY, struct.pack("!I4xQ", 2, GENERATION))
    assert bench.events == [RoleShown(1, ControllerRole.MASTER, GENERATION)]


def test_a_switch_without_a_generation_shows_none(bench: Bench) -> None:
    ask(bench, ControllerRole.NOCHANGE)
    (asked,) = bench.waiting(ofp.OFPT_ROLE_REQUEST)
    bench.answer(asked, ofp.OFPT_ROLE_REPLY, struct.pack("!I4xQ", 1, 2**64 - 1))
    assert bench.events == [RoleShown(1, ControllerRole.EQUAL, None)]


@pytest.mark.parametrize(
    ("error", "stale"),
    [
        ((ofp.OFPET_ROLE_REQUEST_FAILED, ofp.OFPRRFC_STALE), True),
        ((ofp.OFPET_ROLE_REQUEST_FAILED, ofp.OFPRRFC_UNSUP), False),
        ((ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_BAD_TYPE), False),
    ],
)
def test_a_refusal_is_told(bench: Bench, error: tuple[int, int], stale: bool) -> None:
    ask(bench)
    (asked,) = bench.waiting(ofp.OFPT_ROLE_REQUEST)
    bench.refuse(asked, *error)
    (told,) = bench.events
    assert isinstance(told, RoleRefused) and told.stale is stale and "OFPET_" in told.reason


@pytest.mark.parametrize("role", [4, 2**32 - 1])
def test_a_role_of_no_known_kind_is_no_answer(bench: Bench, role: int) -> None:
    ask(bench)
    (asked,) = bench.waiting(ofp.OFPT_ROLE_REQUEST)
    bench.answer(asked, ofp.OFPT_ROLE_REPLY, struct.pack("!I4xQ", role, 1))
    assert bench.events == []


def test_a_request_that_is_repeated_takes_no_room(bench: Bench) -> None:
    for _ in range(5000):
        ask(bench)
    bench.submit(7, RuleChange(add=(rule(1),)))
    bench.answer_barriers()
    assert not any(isinstance(event, Rejected) for event in bench.events)
    newest = bench.waiting(ofp.OFPT_ROLE_REQUEST)
    bench.events.clear()
    ask(bench)
    (asked,) = (sent for sent in bench.waiting(ofp.OFPT_ROLE_REQUEST) if sent not in newest)
    bench.answer(asked, ofp.OFPT_ROLE_REPLY, struct.pack("!I4xQ", 2, GENERATION))
    assert bench.events == [RoleShown(1, ControllerRole.MASTER, GENERATION)]


def test_a_late_reply_to_a_request_that_was_repeated_is_not_ours(bench: Bench) -> None:
    ask(bench)
    (first,) = bench.waiting(ofp.OFPT_ROLE_REQUEST)
    ask(bench)
    assert not bench.answer(first, ofp.OFPT_ROLE_REPLY, struct.pack("!I4xQ", 2, GENERATION))
    assert bench.events == []


@pytest.mark.parametrize("mode", Mode)
def test_a_change_that_is_refused_to_a_slave_tells_that_first(bench: Bench, mode: Mode) -> None:
    bench.submit(7, RuleChange(add=(rule(1), rule(2))), mode)
    bench.refuse(bench.sent[0], ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_IS_SLAVE)
    bench.answer_barriers()
    assert bench.events[0] == RoleLost(1)
    assert any(isinstance(event, Rejected) and event.token == 7 for event in bench.events[1:])


def test_a_frame_that_is_refused_to_a_slave_tells_it(bench: Bench) -> None:
    bench.driver.send_frame(SendFrame(PortId(1, 1), bytes(60)))
    assert bench.refuse(bench.sent[0], ofp.OFPET_BAD_REQUEST, ofp.OFPBRC_IS_SLAVE)
    assert bench.events == [RoleLost(1)]


def test_a_refused_frame_alone_tells_nothing(bench: Bench) -> None:
    bench.driver.send_frame(SendFrame(PortId(1, 1), bytes(60)))
    bench.refuse(bench.sent[0], ofp.OFPET_BAD_ACTION, ofp.OFPBAC_BAD_OUT_PORT)
    assert bench.events == []


def test_the_status_of_open_vswitch_tells_it(bench: Bench) -> None:
    assert bench.driver.receive(numbered(message(ofp.OFPT_EXPERIMENTER, STATUS), 0))
    assert bench.events == [RoleLost(1)]


@pytest.mark.parametrize("role", [1, 2])
def test_a_status_of_another_role_tells_nothing(bench: Bench, role: int) -> None:
    other = STATUS[:8] + role.to_bytes(4) + STATUS[12:]
    bench.driver.receive(numbered(message(ofp.OFPT_EXPERIMENTER, other), 0))
    assert bench.events == []


def test_who_closes_rejects_changes_and_forgets_the_request(bench: Bench) -> None:
    ask(bench)
    bench.submit(7, RuleChange(add=(rule(1),)))
    bench.driver.close("not MASTER")
    assert bench.events == [Rejected(1, 7, "not MASTER")]
