"""Places for VMs all at once, for goals whose VMs do not all find one when each takes the best place that is left.

Depth first: the VM with the fewest candidates is placed next, at its best one first; the rest is looked at before the
search goes on, so that a VM without a candidate ends a branch early.  Bounded, deterministic, and never worse than
what it is given.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ryu_apps.vcm.inventory import InventoryVm, Occupancy
from ryu_apps.vcm.placement import Ranking

#: Most rankings of one search: seconds on large clusters.
MOST_RANKINGS = 4_000

#: The ranking of a VM, with the others where the occupancy says.
RankVm = Callable[[InventoryVm, Occupancy], Ranking]
#: The occupancy when a VM has taken a node.
TakePlace = Callable[[Occupancy, InventoryVm, str], Occupancy]


@dataclass(slots=True)
class _Search:
    rank: RankVm
    take: TakePlace
    left: int
    best: list[tuple[InventoryVm, str]] = field(default_factory=list)

    def go(self, now: Occupancy, open_vms: list[InventoryVm], placed: list[tuple[InventoryVm, str]]) -> bool:
        """Place the open VMs; returns True when all have a place, or the bound is reached."""
        if len(placed) > len(self.best):
            self.best = list(placed)
        if not open_vms or self.left < len(open_vms):
            return True
        self.left -= len(open_vms)
        choices = {vm.name: [found.node for found in self.rank(vm, now).candidates] for vm in open_vms}
        placeable = [vm for vm in open_vms if choices[vm.name]]
        # What cannot be placed any more is left out, as long as the rest is more than the best so far.
        if len(placed) + len(placeable) <= len(self.best):
            return False
        vm = min(placeable, key=lambda other: len(choices[other.name]))
        rest = [other for other in placeable if other is not vm]
        for node in choices[vm.name]:
            if self.go(self.take(now, vm, node), rest, [*placed, (vm, node)]) and self._is_done(open_vms, placed):
                return True
        return False

    def _is_done(self, open_vms: list[InventoryVm], placed: list[tuple[InventoryVm, str]]) -> bool:
        return self.left < len(open_vms) or len(self.best) >= len(placed) + len(open_vms)


def assign(
    vms: Iterable[InventoryVm], now: Occupancy, rank: RankVm, take: TakePlace, more_than: int = 0
) -> list[tuple[InventoryVm, str]]:
    """Find places.

    Args:
        vms: those that need one.
        now: who is where.
        more_than: VMs that have a place already by other means; fewer, or as many, are of no use.

    Returns:
        VMs and nodes in an order in which each takes its place; empty: none better was found.
    """
    search = _Search(rank, take, MOST_RANKINGS)
    search.best = []
    search.go(now, list(vms), [])
    return search.best if len(search.best) > more_than else []
