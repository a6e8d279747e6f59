"""Who is in rotation: the back ends of each load balancer that new connections go to.

One that is a VM is there exactly while its VSI is active and of a type that may be a back end; one that is a
configured end system always is.  Whoever knows better, a health check or an operator, may take either out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import msgpack

from ryu_apps.evb.flow.rule import Group
from ryu_apps.evb.model import Binding
from ryu_apps.evb.pipeline.load_balancers import rotation
from ryu_apps.evb.services.body import backend_of
from ryu_apps.evb.topology.balancer import Backend, LoadBalancer
from ryu_apps.evb.topology.fabric import Fabric, Role
from ryu_apps.evb.vsi.registry import Installation

#: What the keys of records about load balancers begin with.
PREFIX = "balancer/"


@dataclass(slots=True)
class PoolMember:
    """One back end of a load balancer, and what is known of it.

    Attributes:
        backend: as configured, with the weight it has now.
        configured: it is an end system at a host port.
        vsi: canonical text of the VSI that it is; None: of none that is active.
        up: what a health check or an operator said last.
    """

    backend: Backend
    configured: bool
    vsi: str | None = None
    up: bool = True

    @property
    def present(self) -> bool:
        """Whether there is anybody."""
        return self.configured or self.vsi is not None

    @property
    def in_rotation(self) -> bool:
        """Whether it gets new connections."""
        return self.present and self.up


class Pools:
    """The back ends of all load balancers of a fabric."""

    def __init__(self, fabric: Fabric) -> None:
        self.members = {one.name: _members(one, _hosts(fabric)) for one in fabric.balancers}
        self._balancers = {one.name: one for one in fabric.balancers}
        self._usual = {(one.name, backend.name): backend.weight for one in fabric.balancers for backend in one.backends}
        self._at: dict[Binding, list[tuple[str, PoolMember]]] = {}
        for name, members in self.members.items():
            for member in members.values():
                binding = Binding(self._balancers[name].vid, member.backend.mac)
                self._at.setdefault(binding, []).append((name, member))

    def place(self, vsi: str, program: Installation | None) -> tuple[Group, ...]:
        """A VSI is active by this program, None: nowhere; returns the groups that this changes."""
        changed = {name for name, member in self._of(vsi) if program is None or not _serves(program, name, member)}
        for name, member in self._of(vsi):
            if name in changed:
                member.vsi = None
        for binding in program.binding.bindings if program is not None else ():
            for name, member in self._at.get(binding, ()):
                if member.vsi != vsi and program is not None and _serves(program, name, member):
                    member.vsi = vsi
                    changed.add(name)
        return tuple(group for name in sorted(changed) for group in self._groups(name))

    def judge(self, balancer: str, backend: str, up: bool | None, weight: int | None) -> tuple[Group, ...]:
        """A health check or an operator says how a back end is; returns the groups that this changes.

        Raises:
            KeyError: there is no such back end.
        """
        member = self.members[balancer][backend]
        before = member.in_rotation, member.backend
        member.up = member.up if up is None else up
        member.backend = member.backend if weight is None else replace(member.backend, weight=weight)
        return () if before == (member.in_rotation, member.backend) else tuple(self._groups(balancer))

    def groups(self) -> Iterator[Group]:
        """All groups as they should be."""
        for name in self.members:
            yield from self._groups(name)

    # --- what outlives the bridge ---
    def record(self, balancer: str) -> tuple[str, bytes | None]:
        """What has been said of its back ends, for the store; None: nothing that is not usual."""
        said = {
            name: [one.up, one.backend.weight]
            for name, one in self.members[balancer].items()
            if not one.up or one.backend.weight != self._usual[balancer, name]
        }
        return f"{PREFIX}{balancer}", msgpack.packb(said) if said else None

    def restore(self, records: dict[str, bytes]) -> Iterator[str]:
        """Take up what was said in an earlier life; yields keys of records that nobody can use any more."""
        for key, data in records.items():
            try:
                said = msgpack.unpackb(data)
                for name, (up, weight) in said.items():
                    self.judge(key.removeprefix(PREFIX), name, bool(up), int(weight))
            except (KeyError, ValueError, TypeError, AttributeError, msgpack.UnpackException):
                yield key

    def _of(self, vsi: str) -> Iterator[tuple[str, PoolMember]]:
        return ((name, one) for name, members in self.members.items() for one in members.values() if one.vsi == vsi)

    def _groups(self, name: str) -> Iterable[Group]:
        there = (one.backend for one in self.members[name].values() if one.in_rotation)
        return rotation(self._balancers[name], there)


def _hosts(fabric: Fabric) -> set[Binding]:
    interfaces = [fabric.interface(port) for port in fabric.ports(Role.HOST)]
    return {Binding(vid, mac) for one in interfaces if one is not None for vid in one.vids for mac in one.macs}


def _members(balancer: LoadBalancer, hosts: set[Binding]) -> dict[str, PoolMember]:
    return {one.name: PoolMember(one, Binding(balancer.vid, one.mac) in hosts) for one in balancer.backends}


def _serves(program: Installation, balancer: str, member: PoolMember) -> bool:
    """Whether a VSI may be this back end by this program."""
    macs = {one.mac for one in program.binding.bindings}
    return member.backend.mac in macs and balancer in backend_of(program.vsi_type)
