"""Policies that a VSI manager is about to serve, checked at a bridge; nothing there changes."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, OPEN, Vm, two_switches
from tests.worlds.mirrored import with_mirror
from tests.worlds.rest import RestWorld

GOOD = (
    "version: 1\nvsi_type: {type_id: 7, version: 2, name: seven}\nfrom_vm: {default: allow}\nto_vm: {default: allow}\n"
)


def checked(world: RestWorld, *texts: str) -> dict[str, list[str]]:
    body = {"policies": [{"name": f"{number}.yaml", "text": text} for number, text in enumerate(texts)]}
    response = world.request("/evb/vsitypes/check", "POST", json.dumps(body).encode())
    assert response.status_code == 200, response.text
    found: dict[str, list[str]] = response.json
    return found


def connected() -> RestWorld:
    world = RestWorld(fabric=two_switches())
    world.connect()
    return world


def test_good_policies_are_named_and_not_put_in_force() -> None:
    world = connected()
    assert checked(world, GOOD) == {"types": ["7/2"], "mistakes": [], "warnings": []}
    assert VsiTypeKey(7, 2) not in world.queries.types.local()


def test_each_mistake_has_its_place() -> None:
    found = checked(connected(), GOOD, GOOD.replace("default: allow", "default: perhaps", 1))
    assert found["types"] == [] and any(line.startswith("1.yaml:3:") for line in found["mistakes"])


NAMING = {
    "mirror: {to: ids}": (5, "the configuration has no mirror 'ids'"),
    "load_balancer:\n  backend_of:\n  - web": (7, "the configuration has no load balancer 'web'"),
    "appliance:\n  through: fw": (6, "the configuration has no appliance 'fw'"),
    "appliance:\n  instance_of: fw": (6, "the configuration has no appliance 'fw'"),
    "tcp_proxy: {ports: [80]}": (5, "no switch of the configuration has an appliance tcp_proxy"),
    "network: {group: 7}": (5, "GroupID 7 has no VID in the configuration"),
}


@pytest.mark.parametrize("section", NAMING)
def test_what_a_type_names_has_to_be_in_the_configuration(section: str) -> None:
    line, reason = NAMING[section]
    found = checked(connected(), GOOD, f"{GOOD.replace('type_id: 7', 'type_id: 8')}{section}\n")
    assert len(found["mistakes"]) == 1, found
    assert re.fullmatch(rf"1\.yaml:{line}:\d+: {re.escape(reason)}", found["mistakes"][0]), found


def test_what_is_in_the_configuration_may_be_named() -> None:
    fabric = with_mirror(replace(two_switches(), groups={7: 100}))
    world = RestWorld(fabric=fabric)
    world.connect()
    assert (
        checked(world, f"{GOOD}mirror: {{to: {next(iter(fabric.mirrors))}}}\nnetwork: {{group: 7}}\n")["mistakes"] == []
    )


def test_type_that_is_in_use_keeps_its_content() -> None:
    world = connected()
    changed = GOOD.replace("type_id: 7, version: 2", f"type_id: {OPEN.type_id}, version: {OPEN.version}")
    assert checked(world, changed)["mistakes"] == []
    world.ask(HV1, Vm(1), VdpMode.PREASSOCIATE_RR)
    assert checked(world, changed)["mistakes"] == [
        f"0.yaml: VSI type {OPEN} is in use with another content: give it a new version"
    ]


def test_more_than_is_checked_at_a_time_is_refused() -> None:
    world = connected()
    assert world.refusal("/evb/vsitypes/check", "POST", b'{"policies": []}')[0] == 422
    assert world.request("/evb/vsitypes/check", "POST", b" " * 4_000_001).status_code == 413
