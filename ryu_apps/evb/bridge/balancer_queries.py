"""Questions about the load balancers of a running bridge."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.topology.balancer import Backend, LoadBalancer
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.pools import PoolMember


class BackendStatus(NamedTuple):
    """One back end of a load balancer.

    Attributes:
        backend: its configuration, with the present weight.
        up: the newest state from a health check or an operator.
        present: it is an end system, or a VM whose VSI is active.
        in_rotation: it gets new connections.
        vsi, port: canonical text of its active VSI, and the port of its gate; None: there is none.
    """

    backend: Backend
    up: bool
    present: bool
    in_rotation: bool
    vsi: str | None
    port: PortId | None


class BalancerStatus(NamedTuple):
    """One load balancer and its back ends, by name."""

    balancer: LoadBalancer
    backends: dict[str, BackendStatus]


class BalancerQueries:
    """The questions; see :class:`~ryu_apps.evb.bridge.queries.BridgeQueries`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self) -> Iterator[BalancerStatus]:
        """Yield all load balancers, in the order of the configuration."""
        return map(self._balancer, self._engine.fabric.balancers)

    def named(self, name: str) -> BalancerStatus | None:
        """Return the load balancer of a name; None: there is none."""
        found = self._engine.fabric.balancer(name)
        return None if found is None else self._balancer(found)

    def _balancer(self, balancer: LoadBalancer) -> BalancerStatus:
        members = self._engine.pools.members[balancer.name]
        return BalancerStatus(balancer, {name: self._backend(member) for name, member in members.items()})

    def _backend(self, member: PoolMember) -> BackendStatus:
        vsi = None if member.vsi is None else self._engine.registry.named(member.vsi)
        port = vsi.owner.port if vsi is not None and vsi.owner is not None else None
        return BackendStatus(member.backend, member.up, member.present, member.in_rotation, member.vsi, port)
