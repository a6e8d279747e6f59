"""Questions about the statistics of VSIs in a running bridge."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from ryu_apps.evb.bridge.engine import Engine
from ryu_apps.evb.model import VsiTypeKey
from ryu_apps.evb.pipeline.tables import Direction
from ryu_apps.evb.services.statistics.entries import DIRECTIONS, StatisticsEntry, entries, statistics_of
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.statistics.totals import Account, AccountKey, CounterValue, GroupCount, Verdict

#: Packets, and their octets from the destination address on.
Count = tuple[int, int]


class CountedFrames(NamedTuple):
    """Frames of a VSI in one direction: passed, refused by its ACL, dropped by guards."""

    passed: Count
    refused: Count
    guarded: Count


class CountedRule(NamedTuple):
    """Frames that one rule of a VSI type has counted."""

    entry: StatisticsEntry
    counted: Count


class DirectionTotals(NamedTuple):
    """Totals of a VSI in one direction.

    Attributes:
        base: the part that the NMS has given.
        earlier: the part that rules of earlier VSI types have counted.
        rules: counts of each rule; None: the VSI type does not count them apart, or is not in force any more.
    """

    frames: CountedFrames
    base: Count
    earlier: Count
    rules: tuple[CountedRule, ...] | None


class CountedVsi(NamedTuple):
    """Counts of a VSI with complete totals.

    Attributes:
        port: as of :class:`AccountStatus`.
        carried_by_nms: each port has totals of its own.
        base: the part that others have given to this bridge, by direction.
    """

    vsi: str
    port: PortId | None
    carried_by_nms: bool
    base: Mapping[Direction, Count]
    frames: Mapping[Direction, CountedFrames]


class AccountStatus(NamedTuple):
    """Totals of one VSI, or of one of its ports.

    Attributes:
        vsi: canonical text.
        port: port of the totals or, if the controller carries them, of the VSI's gate; None: there is none.
        carried_by_nms: each port has totals of its own.
        in_force: they are those of an open gate.
        read: time of the newest reading, monotonic seconds; None: there is none.
        away: disconnected switches that hold some of its counters.
        complete: no earlier total can exceed these.
        totals: None as long as they are not complete.
    """

    vsi: str
    type: VsiTypeKey
    port: PortId | None
    carried_by_nms: bool
    in_force: bool
    read: float | None
    away: tuple[int, ...]
    totals: Mapping[Direction, DirectionTotals] | None

    @property
    def complete(self) -> bool:
        """True if no earlier total can exceed these."""
        return self.totals is not None


class StatisticsQueries:
    """The questions; see :class:`~ryu_apps.evb.bridge.queries.BridgeQueries`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def all(self, after: str = "") -> Iterator[AccountStatus]:
        """Yield the totals of VSIs behind a text, in the order of their texts; each is read when it is its turn."""
        chosen = [account for account in self._engine.counters.accounts if account.vsi > after]
        return map(self._account, sorted(chosen, key=lambda account: account.vsi))

    def of(self, text: str) -> AccountStatus | None:
        """Return the totals of a VSI: those of its gate, or else the newest; None: there are none."""
        found = self._in_force(text) or next(reversed(self._engine.counters.accounts.of(text)), None)
        return None if found is None else self._account(found)

    def counted(self) -> Iterator[CountedVsi]:
        """Yield the counted frames of each VSI with complete totals: those of its gate, or else the newest."""
        for account in self._engine.counters.shown(self._engine.registry.named):
            yield CountedVsi(
                account.vsi,
                self._port_of(account),
                account.port is not None,
                {direction: account.base.get(direction, CounterValue()) for direction in DIRECTIONS},
                {direction: _frames(account, direction) for direction in DIRECTIONS},
            )

    def sums(self) -> tuple[dict[str, dict[Direction, CountedFrames]], frozenset[str]]:
        """Return the frames of all VSIs that have been in each group, and the groups whose sums are not complete."""
        found: dict[str, dict[Direction, CountedFrames]] = {}
        counts, incomplete = self._engine.counters.accounts.sums()
        for group in dict.fromkeys(key.group for key in counts):
            found[group] = {
                direction: CountedFrames(
                    *(counts.get(GroupCount(group, direction, verdict), CounterValue()) for verdict in Verdict)
                )
                for direction in DIRECTIONS
            }
        return found, incomplete

    def reads_under_way(self) -> frozenset[int]:
        """Return the tokens of reads of counters that switches have not answered."""
        return frozenset(self._engine.counters.open)

    def _in_force(self, text: str) -> Account | None:
        vsi = self._engine.registry.named(text)
        return None if vsi is None else self._engine.counters.account_in_force(vsi)

    def _account(self, account: Account) -> AccountStatus:
        up = self._engine.lifecycle.up
        return AccountStatus(
            account.vsi,
            account.type,
            self._port_of(account),
            account.port is not None,
            self._in_force(account.vsi) is not None,
            account.read,
            tuple(tally.dpid for tally in account.tallies if tally.dpid not in up),
            {direction: self._totals(account, direction) for direction in DIRECTIONS} if account.complete else None,
        )

    def _port_of(self, account: Account) -> PortId | None:
        vsi = self._engine.registry.named(account.vsi)
        return account.port or (vsi.owner.port if vsi is not None and vsi.owner is not None else None)

    def _totals(self, account: Account, direction: Direction) -> DirectionTotals:
        return DirectionTotals(
            _frames(account, direction),
            account.base.get(direction, CounterValue()),
            account.earlier(direction),
            self._rules(account, direction),
        )

    def _rules(self, account: Account, direction: Direction) -> tuple[CountedRule, ...] | None:
        vsi_type = self._engine.policies.types.get(account.type)
        wanted = None if vsi_type is None else statistics_of(vsi_type)
        if vsi_type is None or wanted is None or not wanted.per_rule:
            return None
        return tuple(_rule(account, entry) for entry in entries(vsi_type) if entry.direction is direction)


def _frames(account: Account, direction: Direction) -> CountedFrames:
    return CountedFrames(account.total(direction), account.refused(direction), account.guarded(direction))


def _rule(account: Account, entry: StatisticsEntry) -> CountedRule:
    key = AccountKey(account.type, entry.direction, entry.number, entry.passed)
    return CountedRule(entry, account.counts.get(key, CounterValue()))
