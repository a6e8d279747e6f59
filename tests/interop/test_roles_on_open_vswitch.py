"""Controller roles of OpenFlow 1.3 at Open vSwitch, on which fencing relies."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import NamedTuple

import pytest

from ryu_apps.evb.events.effect import Mode, RequestRole, SendFrame
from ryu_apps.evb.events.switch import (
    Confirmed,
    ControllerRole,
    FrameReceived,
    Rejected,
    RoleLost,
    RoleRefused,
    RoleShown,
)
from ryu_apps.evb.flow.actions import CONTROLLER, Output
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.match import match
from ryu_apps.evb.flow.rule import Rule
from ryu_apps.evb.pipeline.tables import OURS, CookieKind, cookie
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.topology.switch import Profile
from tests.interop.controller import Controller
from tests.interop.private_ovs import PrivateOvs, inside, wait_for

#: That of a bridge: milliseconds since 1970 and 16 bits of chance.
GENERATION = 1_700_000_000_000 << 16 | 0x1234
_COOKIE = cookie(CookieKind.INFRASTRUCTURE)
PUNT = Rule(0, 100, match(eth_type=0x88B5), _COOKIE, (Output(CONTROLLER),))
CHANGE = RuleChange(add=(PUNT, Rule(10, 5, match(metadata=7), _COOKIE, goto=20)))
FRAME = bytes.fromhex("ffffffffffff 020000000001 88b5") + bytes(50)


class Two(NamedTuple):
    """Two controllers of one switch."""

    old: Controller
    new: Controller


@pytest.fixture
def two(private_ovs: PrivateOvs, bridge: str) -> Iterator[Two]:
    servers = [private_ovs.listen() for _ in range(2)]
    private_ovs.vsctl("set-controller", bridge, *(f"tcp:127.0.0.1:{port}" for _, port in servers))
    both = Two(*(Controller(server, int(bridge[2:])) for server, _ in servers))
    for controller in both:
        controller.up()
    yield both
    for controller in both:
        controller.close()
    for server, _ in servers:
        server.close()


def ask(controller: Controller, role: ControllerRole, generation: int = 0) -> RoleShown | RoleRefused:
    controller.driver.request_role(RequestRole(controller.dpid, role, generation))
    return controller.until(RoleShown | RoleRefused)  # type: ignore[arg-type]


def shown(controller: Controller, role: ControllerRole, generation: int | None) -> RoleShown:
    return RoleShown(controller.dpid, role, generation)


MASTER, SLAVE, EQUAL, NOCHANGE = (
    ControllerRole.MASTER,
    ControllerRole.SLAVE,
    ControllerRole.EQUAL,
    ControllerRole.NOCHANGE,
)


def test_a_switch_knows_no_generation_until_it_is_told_one(two: Two) -> None:
    assert ask(two.old, NOCHANGE) == shown(two.old, EQUAL, None)
    assert ask(two.old, MASTER, GENERATION) == shown(two.old, MASTER, GENERATION)
    assert ask(two.new, NOCHANGE) == shown(two.new, EQUAL, GENERATION)


def test_an_older_generation_is_stale_and_changes_nothing(two: Two) -> None:
    ask(two.old, MASTER, GENERATION)
    refused = ask(two.new, MASTER, GENERATION - 1)
    assert isinstance(refused, RoleRefused) and refused.stale
    assert "OFPRRFC_STALE" in refused.reason
    assert isinstance(ask(two.new, SLAVE, GENERATION - 1), RoleRefused)
    # It may still write: who is refused must not go on as EQUAL.
    assert ask(two.new, NOCHANGE) == shown(two.new, EQUAL, GENERATION)
    assert isinstance(two.new.apply(CHANGE), Confirmed)


def test_generations_are_compared_by_their_signed_distance(two: Two) -> None:
    ask(two.old, MASTER, 2**64 - 2)
    assert ask(two.new, MASTER, 3) == shown(two.new, MASTER, 3)
    refused = ask(two.old, MASTER, 2**64 - 2)
    assert isinstance(refused, RoleRefused) and refused.stale
    ask(two.old, MASTER, 3 + 2**63 - 1)
    assert two.new.until(RoleLost)


def test_the_same_generation_is_not_stale(two: Two) -> None:
    """So two bridges must never have the same one: each would be demoted by the other in turn."""
    ask(two.old, MASTER, GENERATION)
    assert ask(two.new, MASTER, GENERATION) == shown(two.new, MASTER, GENERATION)
    assert two.old.until(RoleLost)


def test_the_demoted_one_is_told_at_once(two: Two) -> None:
    ask(two.old, MASTER, GENERATION)
    ask(two.new, MASTER, GENERATION + 1)
    assert two.old.until(RoleLost) == RoleLost(two.old.dpid)
    assert ask(two.old, NOCHANGE) == shown(two.old, SLAVE, GENERATION + 1)


@pytest.mark.parametrize("mode", Mode)
@pytest.mark.parametrize("profile", Profile)
def test_a_slave_can_change_nothing(two: Two, mode: Mode, profile: Profile) -> None:
    two.old.start_over(profile)
    two.old.up()
    ask(two.old, MASTER, GENERATION)
    ask(two.new, MASTER, GENERATION + 1)
    two.old.until(RoleLost)
    assert isinstance(two.old.apply(CHANGE, mode), Rejected)
    assert two.old.until(RoleLost), "the refusal says why"
    assert two.new.rules(OURS) == set()


def test_a_slave_sends_no_frame(two: Two, private_ovs: PrivateOvs, bridge: str) -> None:
    ask(two.old, MASTER, GENERATION)
    ask(two.new, MASTER, GENERATION + 1)
    two.old.until(RoleLost)
    two.old.driver.send_frame(SendFrame(PortId(two.old.dpid, 1), FRAME))
    assert two.old.until(RoleLost)


def test_only_the_master_gets_frames(two: Two, private_ovs: PrivateOvs, bridge: str) -> None:
    private_ovs.add_veth(bridge, 1, f"{bridge}-1", f"{bridge}-far1")
    try:
        with inside(private_ovs.namespace):
            end = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        end.bind((f"{bridge}-far1", 0))
        wait_for(lambda: f"({bridge}-1)" in private_ovs.ofctl("show", bridge), "port")
        ask(two.old, MASTER, GENERATION)
        ask(two.new, MASTER, GENERATION + 1)
        assert isinstance(two.new.apply(CHANGE), Confirmed)
        end.send(FRAME)
        assert two.new.until(FrameReceived).data == FRAME
        # What a slave is sent after that frame: the answer, and no frame before it.
        ask(two.old, NOCHANGE)
        assert not [event for event in two.old.events if isinstance(event, FrameReceived)]
        end.close()
    finally:
        private_ovs.remove_veth(f"{bridge}-1")


def test_a_new_connection_is_equal_and_the_generation_stays(two: Two, private_ovs: PrivateOvs, bridge: str) -> None:
    ask(two.old, MASTER, GENERATION)
    server, port = private_ovs.listen()
    with server:
        private_ovs.vsctl("set-controller", bridge, f"tcp:127.0.0.1:{port}")
        again = Controller(server, two.old.dpid)
    assert ask(again, NOCHANGE) == shown(again, EQUAL, GENERATION)
    refused = ask(again, MASTER, GENERATION - 1)
    assert isinstance(refused, RoleRefused) and refused.stale
    again.close()
