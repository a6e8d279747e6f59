"""Rule budget of the switches: the most rules of each, and the rules reserved for programs, types and detours."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Owner of a reservation: ``("type", epoch)``, ``("vsi", index)`` or ``("detour", index)``.
Owner = tuple[str, int]


class RuleBudget:
    """Reservations of rules, per switch, against a budget."""

    def __init__(self) -> None:
        self._budget: dict[int, int | None] = {}
        self._reserved: dict[int, dict[Owner, int]] = {}
        self._used: dict[int, int] = {}
        self._base: dict[int, int] = {}

    def limit(self, dpid: int, max_rules: int | None, base: int = 0) -> None:
        """Set the budget of a switch.

        Args:
            max_rules: most rules that it may hold; None: unlimited.
            base: rules of the budget that do not depend on VSIs.
        """
        self._budget[dpid] = max_rules
        self._base[dpid] = base

    def budget(self, dpid: int) -> int | None:
        """The budget of a switch in rules; None: unlimited."""
        return self._budget.get(dpid)

    def used(self, dpid: int) -> int:
        """Rules reserved on a switch."""
        return self._used.get(dpid, 0)

    def reservations(self, dpid: int) -> Mapping[Owner, int]:
        """Reserved rules on a switch, by owner."""
        return MappingProxyType(self._reserved.get(dpid, {}))

    def reserve(self, dpid: int, owner: Owner, rules: int) -> bool:
        """Reserve ``rules`` for ``owner``, in place of an earlier reservation of the same owner.

        Returns:
            False, and nothing changes, if the budget does not allow it.
        """
        reserved = self._reserved.setdefault(dpid, {})
        budget = self._budget.get(dpid)
        used = self.used(dpid) - reserved.get(owner, 0) + rules
        if budget is not None and used + self._base.get(dpid, 0) > budget:
            return False
        reserved[owner] = rules
        self._used[dpid] = used
        return True

    def release(self, dpid: int, owner: Owner) -> None:
        """Release a reservation; an unknown owner has none."""
        self._used[dpid] = self.used(dpid) - self._reserved.get(dpid, {}).pop(owner, 0)
