"""VMs that are not moved at the same time: what serves others, and those that it serves.

A move waits only for others that go on by themselves, so no two wait for each other.
"""

from __future__ import annotations

from collections.abc import Iterable

from ryu_apps.vcm.inventory import Inventory, InventoryVm, Purpose
from ryu_apps.vcm.move import Move
from ryu_apps.vcm.move_events import Ladder
from ryu_apps.vcm.move_states import MoveState

#: Nothing is being done to a VM in these, but for its reservation.
_AT_REST = frozenset(
    {
        MoveState.WAITING,
        MoveState.PUSHING,
        MoveState.PROBING,
        MoveState.RESERVING,
        MoveState.STAGING,
        MoveState.RESERVED,
        MoveState.RELEASING,
    }
)


def waits_for(inventory: Inventory, move: Move, moves: Iterable[Move]) -> Move | None:
    """The first move that has to end before another one uses its reservation; None: it has its turn."""
    vm = inventory.vms[move.vm]
    others = ((other, inventory.vms[other.vm]) for other in moves if other.vm != move.vm and not other.ended)
    if move.way is Ladder.RESTART:
        return next((other for other, server in others if _starts_first(other, server, vm)), None)
    moving = ((other, peer) for other, peer in others if other.state not in _AT_REST)
    return next((other for other, peer in moving if _exclude(vm, peer)), None)


def _starts_first(other: Move, server: InventoryVm, vm: InventoryVm) -> bool:
    """A VM of a dead node starts after infrastructure, and after the appliances that it needs, if they do start."""
    serves = server.purpose is Purpose.INFRASTRUCTURE or (
        server.purpose is Purpose.APPLIANCE and server.name in vm.reaches
    )
    starts = other.way is Ladder.RESTART and not other.kept and other.state is not MoveState.WAITING
    return starts and serves and server.purpose.rank < vm.purpose.rank


def _exclude(vm: InventoryVm, other: InventoryVm) -> bool:
    """Two of infrastructure move one after the other, and so do a VM and an appliance that it needs."""
    infrastructure = vm.purpose is other.purpose is Purpose.INFRASTRUCTURE
    return infrastructure or _serves(vm, other) or _serves(other, vm)


def _serves(server: InventoryVm, client: InventoryVm) -> bool:
    return server.purpose is Purpose.APPLIANCE and server.name in client.reaches
