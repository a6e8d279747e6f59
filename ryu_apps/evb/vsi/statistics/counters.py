"""Counters of VSIs: assignment to accounts, reading and removal.

A program's counters are in its switch before its gate opens.  When its body is removed they stay a little longer:
Open vSwitch uses cached flows for a while after it has confirmed a change, and counts their frames too.  Counters are
removed when no rule refers to them any more, they have been read once more, and the total is in the store.  So a crash
of the controller loses nothing that a switch has counted.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from typing import NamedTuple

from ryu_apps.evb.effects import EffectSink
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.vsis import CountersExtracted
from ryu_apps.evb.events.effect import Apply, Mode, ReadMeters, Save
from ryu_apps.evb.flow.change import RuleChange
from ryu_apps.evb.flow.rule import MeterCount
from ryu_apps.evb.model import AN_HOUR, Retention
from ryu_apps.evb.pipeline.tables import Direction, counter_id, parse_counter
from ryu_apps.evb.policy.model import Trigger
from ryu_apps.evb.services.statistics.entries import entries, statistics_of
from ryu_apps.evb.services.statistics.service import STATISTICS
from ryu_apps.evb.tokens import TokenOwner, TokenTable
from ryu_apps.evb.topology.port_id import PortId
from ryu_apps.evb.vsi.installation import Installation
from ryu_apps.evb.vsi.registry import Attachment, Vsi
from ryu_apps.evb.vsi.statistics.accounts import Accounts
from ryu_apps.evb.vsi.statistics.totals import Account, AccountKey, CounterReading, CounterValue, Tally

#: Readings of the counters of a retired program until they are removed: the second one is an interval later.
_LAST_LOOKS = 2
#: Counters that are read one by one; for more of them the switch is asked for all.
_FEW = 16
#: Seconds after which changed totals are written.  A controller that restarts continues from the counters of the
#: switches, so a crash loses only the counters of a switch that ends at the same time.
SAVE_INTERVAL = 10.0
_NOTHING: Mapping[str, bytes | None] = {}


class CounterQuery(NamedTuple):
    """A pending read of counters of a switch.

    Attributes:
        tallies: the counters to read; None: all.
        extracted_from: port of the VSI whose counters are extracted, for an event; None: no event.
    """

    tallies: tuple[Tally, ...] | None
    extracted_from: PortId | None


class CounterReader(TokenOwner):
    """Statistics of one bridge.

    Attributes:
        accounts: counts of each VSI.
        open: pending reads, by their tokens.
        group_of: group of ports, such as a vSwitch, in which a VSI is counted at a port; empty: none.
    """

    def __init__(
        self, tokens: TokenTable, effects: EffectSink, up: Container[int], retention: Retention = AN_HOUR
    ) -> None:
        """
        Args:
            up: datapath ids of the switches that may be asked.
        """
        self.accounts = Accounts(retention)
        self.open: dict[int, CounterQuery] = {}
        self.group_of: Callable[[Attachment], str] = lambda attachment: ""
        self._tokens = tokens
        self._effects = effects
        self._up = up
        self._at: dict[tuple[int, int], tuple[Account, Tally]] = {}
        self._settling: dict[int, tuple[list[Tally], list[Account]]] = {}
        self._saved = 0.0

    # --- notifications of the lifecycle ---
    def staged(self, attachment: Attachment, program: Installation) -> None:
        """Open an account for a program that is being staged or was restored."""
        vsi_type, binding = program.vsi_type, program.binding
        if not statistics_of(vsi_type):
            return
        place = attachment.port.dpid, binding.vsi_index
        account = self.accounts.open(attachment, vsi_type)
        _, tally = self._at.get(place, (account, None))
        if tally is None or tally.generation != binding.generation or tally not in account.tallies:
            self._forget(place)
            keys = {
                entry.slot: AccountKey(vsi_type.key, entry.direction, entry.number, entry.passed)
                for entry in entries(vsi_type)
            }
            # A program whose gate was open already was restored, and its counters are not in the record.
            tally = Tally(*place, binding.generation, keys, read=not program.opened)
            account.tallies.append(tally)
            self._at[place] = account, tally
        tally.retired, tally.group = None, self.group_of(attachment)
        account.become(vsi_type.key)

    def retired(self, attachment: Attachment, program: Installation) -> tuple[int, ...]:
        """Retire the counters of a program whose body is about to be removed.

        Returns:
            The counters that nothing will read: those of a program whose gate was never open.
        """
        place = attachment.port.dpid, program.binding.vsi_index
        found = self._at.get(place)
        if found is None or found[1].generation != program.binding.generation:
            return ()
        tally = found[1]
        if not program.opened:
            self._forget(place)
            return _ids(tally)
        tally.retired = 0
        self._ask(tally.dpid, (tally,), attachment.port)
        return ()

    def suspended(self, attachment: Attachment) -> None:
        """Read the counters of a VM that has stopped at the source."""
        program = attachment.vsi.gate_program
        if attachment.vsi.owner is not attachment or program is None:
            return
        found = self._at.get((attachment.port.dpid, program.binding.vsi_index))
        if found is not None and STATISTICS.trigger(program.vsi_type) is Trigger.DUAL:
            self._ask(attachment.port.dpid, (found[1],), attachment.port)

    # --- calls of the engine ---
    @property
    def wanted(self) -> bool:
        """True if a VSI has statistics, or has had some that are not written or expired yet."""
        return bool(self._at) or self.accounts.pending

    def kept(self, dpid: int) -> frozenset[int]:
        """Counters of a switch that stay, also those of retired programs."""
        there = (tally for (where, _), (_, tally) in self._at.items() if where == dpid)
        return frozenset(counter for tally in there for counter in _ids(tally))

    def poll(self, now: float) -> None:
        """Read all counters of all switches, write changed accounts if it is time, and remove expired ones."""
        for dpid in dict.fromkeys(dpid for dpid, _ in self._at):
            self._ask(dpid, None, None)
        if now >= self._saved + SAVE_INTERVAL:
            self._saved = now
            self._save([], self.accounts.changed())
        self.expire(now)

    def expire(self, now: float) -> None:
        """Remove the accounts of VSIs that have been gone for too long."""
        if gone := self.accounts.expire(now):
            self._effects.put(Save(self._tokens.take(), gone))

    def away(self, dpid: int) -> None:
        """Write the accounts of a switch that has disconnected: its counters may be lost."""
        self._save([], [account for (where, _), (account, _) in self._at.items() if where == dpid and account.changed])

    def returned(self, dpid: int, meters: frozenset[int] | None) -> None:
        """Reset the readings of counters that a returned switch does not have; ``meters`` None: not reported."""
        anew: dict[Account, None] = {}
        for (where, _), (account, tally) in self._at.items():
            if where != dpid or meters is None:
                continue
            for slot in [known for known in tally.last if counter_id(known, tally.vsi_index) not in meters]:
                del tally.last[slot]
                anew[account] = None
        # At once: after a crash the new counters could not be distinguished from those of the record.
        self._save([], list(anew))

    def ask(self, vsi: str | None) -> None:
        """Read the counters of one VSI, or of all, now."""
        tallies = [tally for account in self.accounts.of(vsi) for tally in account.tallies]
        for dpid in dict.fromkeys(tally.dpid for tally in tallies):
            there = None if vsi is None else tuple(tally for tally in tallies if tally.dpid == dpid)
            self._ask(dpid, there, None)

    def shown(self, named: Callable[[str], Vsi | None]) -> list[Account]:
        """Return one account of each VSI: that of its gate, or the newest; none that is not complete."""
        newest = {account.vsi: account for account in self.accounts}
        for text in newest:
            vsi = named(text)
            newest[text] = (self.account_in_force(vsi) if vsi is not None else None) or newest[text]
        return [account for account in newest.values() if account.complete]

    def account_in_force(self, vsi: Vsi) -> Account | None:
        """Return the account of a VSI's gate; None: the gate is closed, or its type has no statistics."""
        if vsi.owner is None or vsi.gate_program is None:
            return None
        found = self._at.get((vsi.owner.port.dpid, vsi.gate_program.binding.vsi_index))
        return None if found is None else found[0]

    def populate(
        self,
        vsi: Vsi | None,
        base: Mapping[Direction, CounterValue],
        together: Mapping[str, bytes | None] = _NOTHING,
    ) -> None:
        """Set the counts from before the VSI came to its port, as given by the NMS, and write them at once.

        Args:
            together: further changes of the store, in the same writing.
        """
        account = self.account_in_force(vsi) if vsi is not None else None
        if account is not None:
            account.base = dict(base)
        # At once: after a crash nothing else has them.
        self._save([], [] if account is None else [account], together)

    def meters_read(self, dpid: int, token: int, counts: tuple[MeterCount, ...], now: float) -> None:
        """Process the answer to a read of counters."""
        query = self.open.pop(token, None)
        if query is None:
            return
        touched: dict[Tally, Account] = {}
        for count in counts:
            slot, index = parse_counter(count.meter_id) or (0, 0)
            account, tally = self._at.get((dpid, index), (None, None))
            if account is not None and tally is not None:
                tally.rules = count.rules if tally not in touched else tally.rules + count.rules
                account.take(tally, slot, CounterReading(CounterValue(count.packets, count.octets), count.age))
                account.read = now
                touched[tally] = account
        self._log_extraction(query.extracted_from, touched)
        gone = self._remove_retired(dpid, touched) if query.tallies is None else {}
        at_once = [account for tally, account in touched.items() if tally.retired is not None and account.changed]
        if gone or at_once:
            self._save(list(gone), list(dict.fromkeys([*at_once, *gone.values()])))
        if gone:
            self.expire(now)

    def rejected(self, dpid: int, token: int, reason: str, now: float) -> None:
        """Remove a read that the switch will not answer."""
        self.open.pop(token, None)

    # --- records ---
    def saved(self, token: int, failure: str | None, now: float) -> None:
        """Process the confirmation or failure of a writing: either way retired counters are removed."""
        gone, accounts = self._settling.pop(token, ([], []))
        for account in accounts if failure is not None else ():
            account.changed = True
        for tally in gone:
            if tally.dpid in self._up:
                change = RuleChange(delete_meters=_ids(tally))
                self._effects.put(Apply(tally.dpid, 0, change, Mode.BULK, tally.vsi_index))

    def restore(
        self, records: Mapping[str, bytes], sums: Mapping[str, bytes], switches: Container[int]
    ) -> list[LogEvent]:
        """Restore the accounts, the sums of groups, and the counters in these switches.

        Counters whose program is not restored are read once more and removed.
        """
        failures = self.accounts.restore(records, sums)
        for account in self.accounts:
            account.tallies = [tally for tally in account.tallies if tally.dpid in switches]
            self._left(account)
            for tally in account.tallies:
                self._at[tally.dpid, tally.vsi_index] = account, tally
        return failures

    # --- inside ---
    def _ask(self, dpid: int, tallies: tuple[Tally, ...] | None, extracted_from: PortId | None) -> None:
        if dpid not in self._up:
            return
        asked = tuple(counter for tally in tallies or () for counter in _ids(tally))
        token = self._tokens.take(self)
        self._effects.put(ReadMeters(dpid, token, asked if len(asked) <= _FEW else ()))
        self.open[token] = CounterQuery(tallies, extracted_from)

    def _log_extraction(self, port: PortId | None, touched: Mapping[Tally, Account]) -> None:
        """Emit the totals extracted at the source, for the log of the migration."""
        if port is None:
            return
        for account in dict.fromkeys(touched.values()):
            totals = [account.total(direction)._asdict() for direction in (Direction.FROM_VM, Direction.TO_VM)]
            self._effects.put(CountersExtracted(port, account.vsi, *totals))

    def _remove_retired(self, dpid: int, touched: Mapping[Tally, Account]) -> dict[Tally, Account]:
        """Remove the counters of retired programs that no rule of the switch refers to any more; all were just read."""
        gone: dict[Tally, Account] = {}
        for place, (account, tally) in list(self._at.items()):
            if tally.dpid != dpid or tally.retired is None:
                continue
            tally.retired += 1
            if tally.retired >= _LAST_LOOKS and (tally not in touched or not tally.rules):
                self._forget(place)
                gone[tally] = account
        return gone

    def _forget(self, place: tuple[int, int]) -> None:
        found = self._at.pop(place, None)
        if found is not None:
            account, tally = found
            account.tallies.remove(tally)
            account.changed = True
            self._left(account)

    def _left(self, account: Account) -> None:
        if not account.tallies:
            self.accounts.left(account)

    def _save(
        self, gone: list[Tally], accounts: list[Account], together: Mapping[str, bytes | None] = _NOTHING
    ) -> None:
        if changes := {**self.accounts.write(accounts), **together}:
            token = self._tokens.take(self)
            self._effects.put(Save(token, changes))
            self._settling[token] = gone, accounts


def _ids(tally: Tally) -> tuple[int, ...]:
    return tuple(counter_id(slot, tally.vsi_index) for slot in tally.keys)
