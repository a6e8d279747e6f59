"""Load balancers: state of their back ends, and the resource by which health checks and operators set it."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.events import BackendJudged
from ryu_apps.evb.policy.validate import Strict
from ryu_apps.evb.topology.balancer import LoadBalancer
from ryu_apps.evb.vsi.pools import PoolMember
from ryu_apps.evb.wire.mac import mac_to_text
from ryu_apps.rest.bridge import Bridge, JsonValue, RestError


class Judgement(Strict):
    """New state of a back end; a value that is left out stays."""

    up: bool | None = None
    weight: Annotated[int, Field(ge=1, le=255)] | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Judgement:
        if self.up is None and self.weight is None:
            raise ValueError("up or weight was expected")
        return self


def load_balancers(bridge: Bridge, now: float) -> list[JsonValue]:
    """All load balancers, by name."""
    engine = bridge.engine
    return [_balancer_json(engine, balancer) for balancer in engine.fabric.balancers]


def load_balancer(bridge: Bridge, now: float, balancer: str) -> JsonValue:
    """One load balancer.

    Raises:
        RestError: 404, there is none of that name.
    """
    return _balancer_json(bridge.engine, _named(bridge.engine, balancer))


def judge(bridge: Bridge, now: float, balancer: str, backend: str, body: Judgement) -> JsonValue:
    """Set a back end up or down, or its share of new connections.

    Raises:
        RestError: 404, there is no such load balancer, or it has no such back end.
    """
    engine = bridge.engine
    if backend not in engine.pools.members[_named(engine, balancer).name]:
        raise RestError(404, f"load balancer {balancer} has no back end {backend!r}")
    bridge.deliver(BackendJudged(balancer, backend, body.up, body.weight))
    return _member_json(engine, engine.pools.members[balancer][backend])


def _named(engine: Engine, name: str) -> LoadBalancer:
    found = engine.fabric.balancer(name)
    if found is None:
        raise RestError(404, f"there is no load balancer {name!r}")
    return found


def _balancer_json(engine: Engine, balancer: LoadBalancer) -> JsonValue:
    return {
        "name": balancer.name,
        "vlan": balancer.vid,
        "mac": mac_to_text(balancer.mac),
        "addresses": [str(address) for address in balancer.addresses],
        "protocol": balancer.protocol.value,
        "port": balancer.port,
        "backends": [_member_json(engine, member) for member in engine.pools.members[balancer.name].values()],
    }


def _member_json(engine: Engine, member: PoolMember) -> JsonValue:
    vsi = engine.registry.named(member.vsi) if member.vsi is not None else None
    return {
        "name": member.backend.name,
        "mac": mac_to_text(member.backend.mac),
        "addresses": [str(address) for address in member.backend.addresses],
        "port": member.backend.port,
        "weight": member.backend.weight,
        "up": member.up,
        "present": member.present,
        "in_rotation": member.in_rotation,
        "vsi": member.vsi,
        "at": str(vsi.owner.port) if vsi is not None and vsi.owner is not None else None,
    }
