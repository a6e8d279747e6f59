"""Rules as a switch shows them, until they have been compared with those that it should hold.

Of thousands that a switch shows, nearly all are those that it should hold.  They are recognized without being decoded;
only the others are looked at one by one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator

from ryu_apps.evb.flow.plan import rule_set
from ryu_apps.evb.flow.rule import Rule


class ShownRules(ABC):
    """The rules that a switch has shown, less those that were taken out."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of those that are left."""

    @abstractmethod
    def cookies(self) -> set[int]:
        """Return the cookies of those that are left."""

    @abstractmethod
    def take(self, rules: Iterable[Rule]) -> list[Rule]:
        """Take out rules that are shown exactly so; returns the others, in their order."""

    @abstractmethod
    def left(self) -> Iterator[Rule]:
        """Yield those that are left."""


class DecodedRules(ShownRules):
    """Rules that are decoded already; of two with the same key the later one counts."""

    def __init__(self, rules: Iterable[Rule]) -> None:
        self._left = rule_set(rules)

    def __len__(self) -> int:
        return len(self._left)

    def cookies(self) -> set[int]:
        return {rule.cookie for rule in self._left.values()}

    def take(self, rules: Iterable[Rule]) -> list[Rule]:
        return [rule for rule in rules if not self._take(rule)]

    def _take(self, rule: Rule) -> bool:
        key = rule.key
        return self._left.get(key) == rule and bool(self._left.pop(key))

    def left(self) -> Iterator[Rule]:
        return iter(self._left.values())
