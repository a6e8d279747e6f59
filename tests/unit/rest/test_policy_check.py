"""Policies that a VSI manager is about to serve, checked at a bridge; nothing there changes."""

from __future__ import annotations

import json

from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.wire.vdp import VdpMode
from tests.worlds.bridge import HV1, OPEN, Vm, two_switches
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
