"""Reservations of what the switches can hold: rules, rooms of tables, meters and groups.

A reservation is made on all switches that it concerns, or on none.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from ryu_apps.evb.events.switch import SwitchCapacity
from ryu_apps.evb.vsi.bandwidth import BandwidthReservations

#: Owner of a reservation: ``("type", epoch)``, ``("vsi", index)``, ``("member", index)``, ``("detour", index)``,
#: ``("copy", index)``, ``("flood", vid)`` or, for the meters of all gates, ``("gates", 0)``.
Owner = tuple[str, int]


class ResourceKind(StrEnum):
    """Kinds of what is reserved; the value is its name in reasons and in REST.

    Strings: amounts of resources are counted for each VSI and switch, and an enumeration is hashed in Python.
    """

    RULES = "rules"
    TABLE = "table"
    METERS = "meters"
    GROUPS = "groups"


class SwitchResource(NamedTuple):
    """Something of a switch that is reserved; ``number`` is that of a table."""

    kind: ResourceKind
    number: int = 0

    def __str__(self) -> str:
        return f"rules in table {self.number}" if self.kind is ResourceKind.TABLE else self.kind.value


RULES, METERS, GROUPS = (
    SwitchResource(ResourceKind.RULES),
    SwitchResource(ResourceKind.METERS),
    SwitchResource(ResourceKind.GROUPS),
)

#: Amount of each resource of one switch.
Amounts = Mapping[SwitchResource, int]


class Demand(NamedTuple):
    """Amounts that an owner needs of a switch."""

    dpid: int
    owner: Owner
    amounts: Amounts


class ReservedAmount(NamedTuple):
    """One resource of a switch.

    Attributes:
        budget: None: no limit.
        base: what does not depend on VSIs.
        used: what is reserved.
    """

    budget: int | None
    base: int
    used: int


def in_tables(rules: Mapping[int, int]) -> Counter[SwitchResource]:
    """Amounts of a number of rules by table."""
    amounts = Counter({SwitchResource(ResourceKind.TABLE, table): count for table, count in rules.items()})
    amounts[RULES] = sum(rules.values())
    return amounts


def budgets(capacity: SwitchCapacity, max_rules: int | None) -> dict[SwitchResource, int | None]:
    """Return the budgets of a switch.

    Args:
        capacity: what it says that it can hold.
        max_rules: the configured rule budget; None: the rules of the largest table.
    """
    tables = {SwitchResource(ResourceKind.TABLE, table): most for table, most in capacity.tables.items()}
    rules = capacity.rules if max_rules is None else max_rules
    return {RULES: rules, METERS: capacity.meters, GROUPS: capacity.groups, **tables}


class Reservations:
    """Reservations of all switches against their budgets.

    Attributes:
        bandwidth: those of their ports.
    """

    def __init__(self, bandwidth: BandwidthReservations) -> None:
        self.bandwidth = bandwidth
        self._budgets: dict[int, dict[SwitchResource, int | None]] = {}
        self._base: dict[int, Amounts] = {}
        self._reserved: dict[int, dict[Owner, Amounts]] = {}
        self._used: dict[int, Counter[SwitchResource]] = {}

    def limit(
        self, dpid: int, budgets: Mapping[SwitchResource, int | None], base: Amounts = MappingProxyType({})
    ) -> None:
        """Set the budgets of a switch.

        Args:
            budgets: the most of each resource; None, or a resource that is missing: no limit.
            base: parts of the budgets that do not depend on VSIs.
        """
        self._budgets[dpid] = dict(budgets)
        self._base[dpid] = base

    def used(self, dpid: int, resource: SwitchResource = RULES) -> int:
        """Return what is reserved of a resource."""
        return self._used[dpid][resource] if dpid in self._used else 0

    def budget(self, dpid: int, resource: SwitchResource = RULES) -> int | None:
        """Return the budget of a resource; None: no limit."""
        return self._budgets.get(dpid, {}).get(resource)

    def amounts(self, dpid: int) -> dict[SwitchResource, ReservedAmount]:
        """Return the budget and use of each resource of a switch that has a budget or a reservation."""
        base, used = self._base.get(dpid, {}), self._used.get(dpid, Counter())
        return {
            resource: ReservedAmount(self.budget(dpid, resource), base.get(resource, 0), used[resource])
            for resource in sorted({*self._budgets.get(dpid, {}), *used}, key=_order)
        }

    def reservations(self, dpid: int) -> Mapping[Owner, Amounts]:
        """Return what is reserved on a switch, by owner."""
        return MappingProxyType(self._reserved.get(dpid, {}))

    def reserve(self, *demands: Demand) -> SwitchResource | None:
        """Reserve all demands, each in place of an earlier reservation of the same owner on the same switch.

        Returns:
            The first resource of which a switch has too little: then nothing has changed; None: all is reserved.
        """
        before = self._before(demands)
        for demand in demands:
            if shortage := self._shortage(demand):
                self.force(before)
                return shortage
            self.force((demand,))
        return None

    def shortage(self, *demands: Demand) -> SwitchResource | None:
        """Return the first resource of which a switch has too little for demands; None: they could be reserved."""
        before = self._before(demands)
        shortage = self.reserve(*demands)
        self.force(before)
        return shortage

    def _before(self, demands: Iterable[Demand]) -> list[Demand]:
        return [demand._replace(amounts=self.reservations(demand.dpid).get(demand.owner, {})) for demand in demands]

    def force(self, demands: Iterable[Demand]) -> None:
        """Reserve demands whatever the budgets are: what a switch holds already has its resources."""
        for demand in demands:
            self.release(demand.dpid, demand.owner)
            if demand.amounts:
                self._reserved.setdefault(demand.dpid, {})[demand.owner] = demand.amounts
                used = self._used.setdefault(demand.dpid, Counter())
                for resource, amount in demand.amounts.items():
                    used[resource] += amount

    def release(self, dpid: int, owner: Owner) -> None:
        """Release a reservation; an unknown owner has none."""
        released = self._reserved.get(dpid, {}).pop(owner, None)
        if released is not None:
            self._used[dpid].subtract(released)
            self._used[dpid] += Counter()

    def _shortage(self, demand: Demand) -> SwitchResource | None:
        before = self._reserved.get(demand.dpid, {}).get(demand.owner, {})
        base = self._base.get(demand.dpid, {})
        for resource, amount in demand.amounts.items():
            budget = self.budget(demand.dpid, resource)
            total = base.get(resource, 0) + self.used(demand.dpid, resource) - before.get(resource, 0) + amount
            if amount and budget is not None and total > budget:
                return resource
        return None


def _order(resource: SwitchResource) -> tuple[int, int]:
    return list(ResourceKind).index(resource.kind), resource.number
