"""State of each service that switches learn, read at one bridge and put to another one: connections go on there."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pytest

from ryu_apps.evb.events.other import BackendJudged
from ryu_apps.evb.policy.model import PolicySet
from ryu_apps.evb.services.body import SERVICES
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.wire.vdp import VdpMode
from tests.unit.services import test_load_balancer as balanced
from tests.unit.services import test_tcp_proxy as proxied
from tests.worlds.bridge import HV1, HV2, HV4, Vm, two_switches
from tests.worlds.rest import RestWorld

RR, ASSOCIATE = VdpMode.PREASSOCIATE_RR, VdpMode.ASSOCIATE


@dataclass
class Bridge(RestWorld):
    """A bridge with switches of its own."""


def bridge(fabric: Fabric, policies: PolicySet) -> Bridge:
    world = Bridge(fabric, policies)
    world.connect()
    return world


def carried(there: Bridge, here: Bridge, vm: Vm) -> dict[str, int]:
    """Put the state of a VM to a bridge at which it is reserved, and associate it; returns the rules by service."""
    path = f"/evb/vsis/{vm.text}/state"
    here.ask(HV1, vm, RR)
    assert here.answer(HV1).success
    response = here.request(path, "PUT", json.dumps(there.get(path)).encode())
    assert response.status_code == 200, response.text
    here.ask(HV1, vm, ASSOCIATE)
    assert here.answer(HV1).success
    (staged,) = response.json["staged"]
    services: dict[str, int] = staged["services"]
    return services


def test_the_services_with_state_are_those_of_these_tests_and_of_the_firewall() -> None:
    learned = {service.name for service in SERVICES if service.learned is not None}
    assert learned == {"firewall", "load_balancer", "tcp_proxy"}


@pytest.mark.parametrize("is_put", [True, False])
def test_connections_of_a_client_keep_their_back_end(is_put: bool) -> None:
    there, here = (
        bridge(Fabric(two_switches().switches, (balanced.balancer(),)), balanced.policies()) for _ in range(2)
    )
    client, w1, w2 = balanced.A, balanced.W1, balanced.W2
    balanced.active(there, client, HV1)
    balanced.active(there, w1, HV2)
    balanced.talks(there, HV1, client.mac, HV2, w1)
    # At the next bridge, new connections go to the other back end.
    balanced.active(here, w1, HV2)
    balanced.active(here, w2, HV4)
    here.feed(BackendJudged("web", "w1", up=False))
    if is_put:
        assert carried(there, here, client) == {"load_balancer": 4}
        balanced.goes_on(here, HV1, client.mac, HV2, w1)
    else:
        balanced.active(here, client, HV1)
        with pytest.raises(AssertionError):
            balanced.goes_on(here, HV1, client.mac, HV2, w1)
    balanced.talks(here, HV1, client.mac, HV4, w2, 40002)


@pytest.mark.parametrize("is_put", [True, False])
def test_connections_stay_with_their_proxy(is_put: bool) -> None:
    fabric = proxied.with_vlans(proxied.with_proxies(two_switches()), proxied.OTHER_VLAN)
    there, here = (bridge(fabric, proxied.policies()) for _ in range(2))
    proxied.active(there)
    proxied.opened(there, 40000, proxied.PROXY1, proxied.PROXY1_MAC, HV1)
    if is_put:
        assert carried(there, here, proxied.A) == {"tcp_proxy": 2}
        proxied.goes_on(here, 40000, proxied.PROXY1, proxied.PROXY1_MAC, HV1)
    else:
        proxied.active(here)
        with pytest.raises(AssertionError):
            proxied.goes_on(here, 40000, proxied.PROXY1, proxied.PROXY1_MAC, HV1)
