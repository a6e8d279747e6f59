"""Load balancers: state of their back ends, and the resource by which health checks and operators set it."""

from __future__ import annotations

from typing import Annotated

from pydantic import ConfigDict, Field, model_validator
from typing_extensions import TypedDict

from ryu_apps.evb.bridge.balancer_queries import BackendStatus, BalancerStatus
from ryu_apps.evb.events.other import BackendJudged
from ryu_apps.evb.policy.validate import Strict
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.rest.bridge import Bridge, RestError
from ryu_apps.rest.numbers import INTEGRAL


class BackendJson(TypedDict):
    """A back end of a load balancer."""

    name: str
    mac: str
    addresses: list[str]
    port: int
    weight: int
    up: bool
    present: bool
    in_rotation: bool
    vsi: str | None
    at: str | None


class BalancerJson(TypedDict):
    """A load balancer."""

    name: str
    vlan: int
    mac: str
    addresses: list[str]
    protocol: str
    port: int
    backends: list[BackendJson]


class Judgement(Strict):
    """New state of a back end; a value that is left out stays."""

    model_config = ConfigDict(
        json_schema_extra={
            "anyOf": [
                {"required": ["up"], "properties": {"up": {"type": "boolean"}}},
                {"required": ["weight"], "properties": {"weight": {"type": "integer"}}},
            ]
        }
    )

    up: bool | None = None
    weight: Annotated[int, Field(ge=1, le=255), INTEGRAL] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Judgement:
        if self.up is None and self.weight is None:
            raise ValueError("up or weight was expected")
        return self


def load_balancers(bridge: Bridge, now: float, vlan: int | None = None, after: str = "") -> list[BalancerJson]:
    """All load balancers, or those of a VLAN, by name."""
    found = sorted(bridge.queries.balancers.all(), key=lambda status: status.balancer.name)
    return [
        _balancer_json(status)
        for status in found
        if status.balancer.name > after and vlan in (None, status.balancer.vid)
    ]


def load_balancer(bridge: Bridge, now: float, balancer: str) -> BalancerJson:
    """One load balancer.

    Raises:
        RestError: 404, there is none of that name.
    """
    return _balancer_json(_named(bridge, balancer))


def judge(bridge: Bridge, now: float, balancer: str, backend: str, body: Judgement) -> BackendJson:
    """Set a back end up or down, or its share of new connections.

    Raises:
        RestError: 404, there is no such load balancer, or it has no such back end.
    """
    if backend not in _named(bridge, balancer).backends:
        raise RestError(404, f"load balancer {balancer} has no back end {backend!r}")
    bridge.deliver(BackendJudged(balancer, backend, body.up, body.weight))
    return _backend_json(_named(bridge, balancer).backends[backend])


def _named(bridge: Bridge, name: str) -> BalancerStatus:
    found = bridge.queries.balancers.named(name)
    if found is None:
        raise RestError(404, f"there is no load balancer {name!r}")
    return found


def _balancer_json(status: BalancerStatus) -> BalancerJson:
    balancer = status.balancer
    return {
        "name": balancer.name,
        "vlan": balancer.vid,
        "mac": mac_to_text(balancer.mac),
        "addresses": [str(address) for address in balancer.addresses],
        "protocol": balancer.protocol.value,
        "port": balancer.port,
        "backends": [_backend_json(backend) for backend in status.backends.values()],
    }


def _backend_json(status: BackendStatus) -> BackendJson:
    return {
        "name": status.backend.name,
        "mac": mac_to_text(status.backend.mac),
        "addresses": [str(address) for address in status.backend.addresses],
        "port": status.backend.port,
        "weight": status.backend.weight,
        "up": status.up,
        "present": status.present,
        "in_rotation": status.in_rotation,
        "vsi": status.vsi,
        "at": str(status.port) if status.port is not None else None,
    }
