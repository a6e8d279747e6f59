"""Room in the switches: how many rules each may hold, and who has been promised how many."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

#: Whom a promise was made to: ``("type", epoch)``, ``("vsi", index)`` or ``("detour", index)``.
Owner = tuple[str, int]


class RuleBudget:
    """Promises of rules, per switch, against a budget."""

    def __init__(self) -> None:
        self._budget: dict[int, int | None] = {}
        self._promised: dict[int, dict[Owner, int]] = {}
        self._used: dict[int, int] = {}
        self._base: dict[int, int] = {}

    def limit(self, dpid: int, max_rules: int | None, base: int = 0) -> None:
        """Set the budget of a switch.

        Args:
            max_rules: how many rules it may hold; None: unlimited.
            base: rules of the budget that it holds whoever is there.
        """
        self._budget[dpid] = max_rules
        self._base[dpid] = base

    def budget(self, dpid: int) -> int | None:
        """The budget of a switch in rules; None: unlimited."""
        return self._budget.get(dpid)

    def used(self, dpid: int) -> int:
        """Rules promised on a switch."""
        return self._used.get(dpid, 0)

    def promises(self, dpid: int) -> Mapping[Owner, int]:
        """Who has been promised how many rules on a switch."""
        return MappingProxyType(self._promised.get(dpid, {}))

    def promise(self, dpid: int, owner: Owner, rules: int) -> bool:
        """Set aside ``rules`` for ``owner`` (replacing an earlier promise of the same owner).

        Returns:
            False, and nothing changes, if the budget does not allow it.
        """
        promised = self._promised.setdefault(dpid, {})
        budget = self._budget.get(dpid)
        used = self.used(dpid) - promised.get(owner, 0) + rules
        if budget is not None and used + self._base.get(dpid, 0) > budget:
            return False
        promised[owner] = rules
        self._used[dpid] = used
        return True

    def release(self, dpid: int, owner: Owner) -> None:
        """Give a promise back; unknown owners are nothing to give back."""
        self._used[dpid] = self.used(dpid) - self._promised.get(dpid, {}).pop(owner, 0)
