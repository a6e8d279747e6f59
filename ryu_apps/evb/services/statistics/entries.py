"""Entries of statistics: one for each rule number that a frame may carry."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum
from typing import NamedTuple

from ryu_apps.evb.pipeline.tables import GUARDED, Direction
from ryu_apps.evb.policy.model import Acl, VsiType
from ryu_apps.evb.services.base import UNJUDGED
from ryu_apps.evb.services.statistics.schema import NAME, StatisticsPolicy

#: The number of refused frames of types that do not count by rule.
REFUSED = 1

DIRECTIONS = (Direction.FROM_VM, Direction.TO_VM)


class CountedTraffic(Enum):
    """Kind of traffic that an entry counts."""

    ALL = "all"
    UNJUDGED = "unjudged"
    RULE = "rule"
    IMPLIED = "implied"
    DEFAULT = "default"
    GUARDED = "guarded"


class StatisticsEntry(NamedTuple):
    """One counter of each VSI of a type.

    Attributes:
        number: of the rule; counts from 1 in the order of the file, then the implied rules, then the default; or
            GUARDED, for what guards drop.
        passed: the frames go on; or else they are refused.
        line: of the rule in its file, 0 for what does not stand there.
    """

    direction: Direction
    number: int
    passed: bool
    what: CountedTraffic
    description: str = ""
    line: int = 0

    @property
    def slot(self) -> int:
        """Position of its counter among those of a VSI."""
        return 2 * self.number + (self.direction is Direction.TO_VM)


def statistics_of(vsi_type: VsiType) -> StatisticsPolicy | None:
    """Return the statistics section of a type, None if it has none."""
    found: StatisticsPolicy | None = vsi_type.service(NAME)
    return found


def entries(vsi_type: VsiType) -> tuple[StatisticsEntry, ...]:
    """All entries of a type; none if it has no statistics."""
    wanted = statistics_of(vsi_type)
    if wanted is None:
        return ()
    acls = zip(DIRECTIONS, (vsi_type.from_vm, vsi_type.to_vm), strict=True)
    make = _by_rule if wanted.per_rule else _in_all
    guarded = StatisticsEntry(Direction.FROM_VM, GUARDED, False, CountedTraffic.GUARDED, "guards")
    return (*(entry for direction, acl in acls for entry in make(acl, direction)), guarded)


def _in_all(acl: Acl, direction: Direction) -> Iterator[StatisticsEntry]:
    yield StatisticsEntry(direction, UNJUDGED, True, CountedTraffic.ALL)
    yield StatisticsEntry(direction, REFUSED, False, CountedTraffic.ALL)


def _by_rule(acl: Acl, direction: Direction) -> Iterator[StatisticsEntry]:
    yield StatisticsEntry(direction, UNJUDGED, True, CountedTraffic.UNJUDGED, "announcements, group membership")
    for number, rule in enumerate(acl.rules, start=1):
        yield StatisticsEntry(direction, number, rule.allow, CountedTraffic.RULE, rule.description, rule.place.line)
    if acl.implied:
        yield StatisticsEntry(direction, acl.implied_number, True, CountedTraffic.IMPLIED, "neighbour discovery")
    yield StatisticsEntry(direction, acl.default_number, acl.default, CountedTraffic.DEFAULT, "default")
