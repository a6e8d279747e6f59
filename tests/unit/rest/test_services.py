"""GET /evb/migrations: what each service had to do in a migration, how much, and how long it took."""

from __future__ import annotations

import pytest

from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.wire.vdp import VdpMode
from ryu_apps.testbed.measurement.figures import Figures
from ryu_apps.testbed.moves.evidence import MoveOutcome
from ryu_apps.testbed.replay.report import MigrationReport, services_text
from tests.unit.services.test_load_balancer import W1, A, balancer, policies, talks
from tests.worlds.bridge import HV1, HV2, HV3, S1, S2, two_switches
from tests.worlds.rest import RestWorld

RR, ASSOC, DEASSOC = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE, VdpMode.DEASSOCIATE
NAMES = ("guards", "anti_spoofing", "acl", "load_balancer", "split_horizon")
NOTHING = {"carried": 0, "fixed_up": 0, "fix_up_secs": None}


@pytest.fixture
def world() -> RestWorld:
    world = RestWorld(Fabric(two_switches().switches, (balancer(),)), policies())
    world.connect()
    world.ask(HV2, W1, ASSOC)
    world.ask(HV1, A, ASSOC)
    talks(world, HV1, A.mac, HV2, W1, 40000)
    return world


def services(world: RestWorld) -> list[dict[str, object]]:
    found: list[dict[str, object]] = world.get(f"/evb/migrations?vsi={A.text}")[-1]["services"]  # type: ignore[index]
    return found


def shares(state: str, **share: object) -> list[dict[str, object]]:
    """All services in a state, the load balancer with its share."""
    more = {"load_balancer": share}
    return [{"name": name, "state": state, **NOTHING, **more.get(name, {})} for name in NAMES]


def test_state_that_came_in_time_and_state_that_came_later(world: RestWorld) -> None:
    world.ask(HV3, A, RR)
    assert services(world) == shares("staged", carried=4)
    talks(world, HV1, A.mac, HV2, W1, 40001)
    world.hold.add(S2)
    world.ask(HV3, A, ASSOC)
    world.advance(0.25)
    assert services(world) == shares("staged", carried=4)
    world.release()
    fixed = shares("active", carried=8, fixed_up=4, fix_up_secs=pytest.approx(0.25))
    assert services(world) == fixed
    assert world.get(f"/evb/migrations?vsi={A.text}")[-1]["state"] == "completed"  # type: ignore[index]


def test_a_source_that_lets_go_is_what_calls_for_it(world: RestWorld) -> None:
    world.ask(HV3, A, RR)
    talks(world, HV1, A.mac, HV2, W1, 40001)
    world.ask(HV1, A, DEASSOC)
    early = shares("staged", carried=8, fixed_up=4, fix_up_secs=0.0)
    assert services(world) == early
    world.advance(1.0)
    world.ask(HV3, A, ASSOC)
    assert services(world) == [{**share, "state": "active"} for share in early]


def test_a_move_that_is_called_off_leaves_nothing(world: RestWorld) -> None:
    world.ask(HV3, A, RR)
    world.ask(HV3, A, DEASSOC)
    assert services(world) == shares("gone", carried=4)
    assert S1 in world.engine.lifecycle.up


def test_the_replay_says_it_in_a_line() -> None:
    told = shares("active", carried=8, fixed_up=4, fix_up_secs=0.0123)[2:4]
    figures = Figures("vm1", "minimize-latency", "hv1", "hv5", MoveOutcome.COMPLETED)
    line = services_text(MigrationReport(figures, (), services=tuple(told)))
    assert line == "acl active; load_balancer active, 8 rules of state carried, 4 of them fixed up in 12.3 ms"
