"""Rotation of each load balancer: the back ends that get new connections.

A back end that is a VM is in rotation while its VSI is active and of a type that may be a back end; a configured end
system always is.  A health check or an operator may take either out.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

import msgpack

from ryu_apps.evb.flow.rule import Group
from ryu_apps.evb.model import Binding
from ryu_apps.evb.pipeline.load_balancers import rotation
from ryu_apps.evb.record_kinds import BALANCER
from ryu_apps.evb.services.body import backend_of
from ryu_apps.evb.topology.balancer import Backend, LoadBalancer
from ryu_apps.evb.topology.fabric import Fabric
from ryu_apps.evb.topology.interface import Role
from ryu_apps.evb.vsi.installation import Installation


@dataclass(slots=True)
class PoolMember:
    """One back end of a load balancer and its state.

    Attributes:
        backend: its configuration, with the present weight.
        configured: it is an end system at a host port.
        vsi: canonical text of its active VSI; None: there is none.
        up: the newest state from a health check or an operator.
    """

    backend: Backend
    configured: bool
    vsi: str | None = None
    up: bool = True

    @property
    def present(self) -> bool:
        """True for an end system, and for a VM while its VSI is active."""
        return self.configured or self.vsi is not None

    @property
    def in_rotation(self) -> bool:
        """True if it gets new connections."""
        return self.present and self.up


#: Back ends by load balancer and name, with their VSIs from then on.
_Moves = Mapping[tuple[str, str], str | None]
_NO_MOVES: _Moves = {}


class Pools:
    """Back ends of all load balancers of a fabric.

    Attributes:
        members: back ends by load balancer and name.
        version: a number that grows with each change of any of them.
    """

    def __init__(self, fabric: Fabric) -> None:
        self.members = {balancer.name: _members(balancer, _hosts(fabric)) for balancer in fabric.balancers}
        self._balancers = {balancer.name: balancer for balancer in fabric.balancers}
        self._configured_weight = {
            (balancer.name, backend.name): backend.weight
            for balancer in fabric.balancers
            for backend in balancer.backends
        }
        self.version = 0
        self._at: dict[Binding, list[tuple[str, PoolMember]]] = {}
        for name, members in self.members.items():
            for member in members.values():
                binding = Binding(self._balancers[name].vid, member.backend.mac)
                self._at.setdefault(binding, []).append((name, member))

    def place(self, vsi: str, program: Installation | None) -> tuple[Group, ...]:
        """Record that a VSI is active by a program, None: at no port; returns the groups that this changes."""
        if not (moves := self._moves(vsi, program)):
            return ()
        groups = self._changed(moves)
        for (balancer, backend), taker in moves.items():
            self.members[balancer][backend].vsi = taker
        self.version += 1
        return groups

    def preview(self, vsi: str, program: Installation | None) -> tuple[Group, ...]:
        """Return the groups that :meth:`place` would, and record nothing."""
        return self._changed(self._moves(vsi, program))

    def basis(self, vsi: str, program: Installation) -> int:
        """Return a number that grows when :meth:`preview` may return other groups; 0: a VSI is no back end."""
        is_backend = any(binding in self._at for binding in program.binding.bindings)
        return 1 + self.version if is_backend or next(self._of(vsi), None) is not None else 0

    def set_state(self, balancer: str, backend: str, up: bool | None, weight: int | None) -> tuple[Group, ...]:
        """Set the state or weight of a back end; returns the groups that this changes.

        Raises:
            KeyError: there is no such back end.
        """
        member = self.members[balancer][backend]
        before = member.in_rotation, member.backend
        member.up = member.up if up is None else up
        member.backend = member.backend if weight is None else replace(member.backend, weight=weight)
        # Also of a back end that is not there: what it may be then is foreseen.
        self.version += 1
        return () if before == (member.in_rotation, member.backend) else tuple(self._groups(balancer))

    def groups(self) -> Iterator[Group]:
        """Yield all groups in their desired state."""
        for name in self.members:
            yield from self._groups(name)

    # --- records ---
    def record(self, balancer: str) -> tuple[str, bytes | None]:
        """Key and record of the states and weights of a load balancer's back ends; None: all are as configured."""
        states = {
            name: [member.up, member.backend.weight]
            for name, member in self.members[balancer].items()
            if not member.up or member.backend.weight != self._configured_weight[balancer, name]
        }
        return BALANCER.key(balancer), msgpack.packb(states) if states else None

    def restore(self, records: dict[str, bytes]) -> Iterator[str]:
        """Restore states and weights from their records; yields the keys of records that cannot be used."""
        for key, data in records.items():
            try:
                states = msgpack.unpackb(data)
                for name, (up, weight) in states.items():
                    self.set_state(BALANCER.subject_of(key), name, bool(up), int(weight))
            except (KeyError, ValueError, TypeError, AttributeError, msgpack.UnpackException):
                yield key

    def _moves(self, vsi: str, program: Installation | None) -> _Moves:
        if not self._at:
            return _NO_MOVES
        moves: dict[tuple[str, str], str | None] = {
            (name, member.backend.name): None
            for name, member in self._of(vsi)
            if program is None or not _serves(program, name, member)
        }
        for binding in program.binding.bindings if program is not None else ():
            for name, member in self._at.get(binding, ()):
                if member.vsi != vsi and program is not None and _serves(program, name, member):
                    moves[name, member.backend.name] = vsi
        return moves

    def _changed(self, moves: _Moves) -> tuple[Group, ...]:
        return tuple(group for name in sorted({name for name, _ in moves}) for group in self._groups(name, moves))

    def _of(self, vsi: str) -> Iterator[tuple[str, PoolMember]]:
        return (
            (name, member) for name, members in self.members.items() for member in members.values() if member.vsi == vsi
        )

    def _groups(self, name: str, moves: _Moves = _NO_MOVES) -> Iterable[Group]:
        members = (
            replace(member, vsi=moves[name, backend]) if (name, backend) in moves else member
            for backend, member in self.members[name].items()
        )
        return rotation(self._balancers[name], (member.backend for member in members if member.in_rotation))


def _hosts(fabric: Fabric) -> set[Binding]:
    interfaces = [fabric.interface(port) for port in fabric.ports(Role.HOST)]
    return {
        Binding(vid, mac)
        for interface in interfaces
        if interface is not None
        for vid in interface.vids
        for mac in interface.macs
    }


def _members(balancer: LoadBalancer, hosts: set[Binding]) -> dict[str, PoolMember]:
    return {
        backend.name: PoolMember(backend, Binding(balancer.vid, backend.mac) in hosts) for backend in balancer.backends
    }


def _serves(program: Installation, balancer: str, member: PoolMember) -> bool:
    """True if a VSI with this program may be this back end."""
    macs = {binding.mac for binding in program.binding.bindings}
    return member.backend.mac in macs and balancer in backend_of(program.vsi_type)
