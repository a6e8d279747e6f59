"""Which counters count for which VSI, when they are read, and when they may go.

A program's counters are in its switch before its gate opens.  When its body is swept they stay a little
longer: a switch goes on with what it has cached after it has confirmed a change, and what went by then is
counted too.  They go when no rule refers to them any more, they have been read once more, and the total is
in the store; so a controller that dies loses nothing that a switch has counted.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable, Mapping
from typing import NamedTuple

from ryu_apps.evb.events import Apply, LogEvent, Mode, ReadMeters, Save
from ryu_apps.evb.flow.rule import MeterCount, RuleChange
from ryu_apps.evb.model import AN_HOUR, Retention
from ryu_apps.evb.pipeline.tables import Direction, counter_id, parse_counter
from ryu_apps.evb.policy.model import Trigger
from ryu_apps.evb.services.statistics import STATISTICS
from ryu_apps.evb.services.statistics.entries import DIRECTIONS, entries, statistics_of
from ryu_apps.evb.topology.fabric import PortId
from ryu_apps.evb.vsi.pending import PendingChanges
from ryu_apps.evb.vsi.registry import Attachment, Installation, Vsi
from ryu_apps.evb.vsi.statistics.accounts import Accounts
from ryu_apps.evb.vsi.statistics.totals import Account, AccountKey, CounterReading, CounterValue, Tally
from ryu_apps.evb.vsi.steps import LifecycleOutput

#: Questions that the counters of a retired program have to answer: the second one is asked an interval later.
_LAST_LOOKS = 2
#: Counters that are asked for one by one; for more of them a switch is asked for all it has.
_FEW = 16
#: Seconds after which totals are written that have changed.  A controller that restarts goes on from what the
#: switches show, so what a crash costs is only what a switch has counted that ends with it.
SAVE_INTERVAL = 10.0


class CounterQuery(NamedTuple):
    """What a switch has been asked.

    Attributes:
        tallies: whose counters; None: all there are.
        told: the port whose VSI it is extracted from; None: nobody has to be told.
    """

    tallies: tuple[Tally, ...] | None
    told: PortId | None


class CounterReader:
    """The statistics of one bridge.

    Attributes:
        accounts: what has come together for each VSI.
        open: questions that switches still owe an answer to, by their tokens.
    """

    def __init__(self, desk: PendingChanges, retention: Retention = AN_HOUR) -> None:
        self.accounts = Accounts(retention)
        self.open: dict[int, CounterQuery] = {}
        self._desk = desk
        self._at: dict[tuple[int, int], tuple[Account, Tally]] = {}
        self._settling: dict[int, tuple[list[Tally], list[Account]]] = {}
        self._saved = 0.0

    # --- what the lifecycle says ---
    def staged(self, attachment: Attachment, program: Installation) -> None:
        """A program is on its way into its switch, or has been taken up from an earlier life."""
        vsi_type, binding = program.vsi_type, program.binding
        if not statistics_of(vsi_type):
            return
        place = attachment.port.dpid, binding.vsi_index
        account = self.accounts.open(attachment, vsi_type)
        _, tally = self._at.get(place, (account, None))
        if tally is None or tally.generation != binding.generation or tally not in account.tallies:
            self._forget(place)
            keys = {
                one.slot: AccountKey(vsi_type.key, one.direction, one.number, one.passed) for one in entries(vsi_type)
            }
            # One that a gate has led to already comes from an earlier life, which has written nothing of it.
            tally = Tally(*place, binding.generation, keys, read=not program.opened)
            account.tallies.append(tally)
            self._at[place] = account, tally
        tally.retired = None
        account.become(vsi_type.key)

    def retired(self, attachment: Attachment, program: Installation) -> tuple[int, ...]:
        """The body of a program is about to be swept.

        Returns:
            The counters that may go with it: those of a program that no frame has ever reached.
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
        """The VM does not run at the source any more."""
        program = attachment.vsi.gate_program
        if attachment.vsi.owner is not attachment or program is None:
            return
        found = self._at.get((attachment.port.dpid, program.binding.vsi_index))
        if found is not None and STATISTICS.trigger(program.vsi_type) is Trigger.DUAL:
            self._ask(attachment.port.dpid, (found[1],), attachment.port)

    # --- what the engine says ---
    @property
    def wanted(self) -> bool:
        """Whether anybody has statistics, or has had some that are not written or settled yet."""
        return bool(self._at) or self.accounts.unsettled or bool(self.accounts.changed())

    def kept(self, dpid: int) -> frozenset[int]:
        """Counters of a switch that stay although no program needs them."""
        there = (tally for (where, _), (_, tally) in self._at.items() if where == dpid)
        return frozenset(one for tally in there for one in _ids(tally))

    def poll(self, now: float) -> list[LifecycleOutput]:
        """Ask all switches for all counters; write what has changed if it is time, forget what is gone for too long."""
        for dpid in dict.fromkeys(dpid for dpid, _ in self._at):
            self._ask(dpid, None, None)
        if now >= self._saved + SAVE_INTERVAL:
            self._saved = now
            self._save([], self.accounts.changed())
        return self.expire(now)

    def expire(self, now: float) -> list[LifecycleOutput]:
        """Forget what was counted of VSIs that are gone for too long."""
        if gone := self.accounts.expire(now):
            self._desk.say(Save(self._desk.next_token(), gone))
        return self._desk.take()

    def away(self, dpid: int) -> list[LifecycleOutput]:
        """A switch has gone, perhaps with all its counters: write what it has told."""
        self._save([], [account for (where, _), (account, _) in self._at.items() if where == dpid and account.changed])
        return self._desk.take()

    def returned(self, dpid: int, meters: frozenset[int] | None) -> list[LifecycleOutput]:
        """A switch is there, with these meters (None: it does not say); the other counters will begin anew."""
        anew: dict[Account, None] = {}
        for (where, _), (account, tally) in self._at.items():
            if where != dpid or meters is None:
                continue
            for slot in [one for one in tally.last if counter_id(one, tally.vsi_index) not in meters]:
                del tally.last[slot]
                anew[account] = None
        # At once: after a crash nobody could tell the new counters from those that the record is about.
        self._save([], list(anew))
        return self._desk.take()

    def ask(self, vsi: str | None) -> list[LifecycleOutput]:
        """Ask for the counters of one VSI, or of all, now."""
        tallies = [tally for account in self.accounts.of(vsi) for tally in account.tallies]
        for dpid in dict.fromkeys(tally.dpid for tally in tallies):
            there = None if vsi is None else tuple(tally for tally in tallies if tally.dpid == dpid)
            self._ask(dpid, there, None)
        return self._desk.take()

    def shown(self, named: Callable[[str], Vsi | None]) -> list[Account]:
        """One account of each VSI: that of its gate, or the newest; none that an earlier life knew more of."""
        newest = {account.vsi: account for account in self.accounts}
        for text in newest:
            vsi = named(text)
            newest[text] = (self.account_in_force(vsi) if vsi is not None else None) or newest[text]
        return [account for account in newest.values() if account.complete]

    def account_in_force(self, vsi: Vsi) -> Account | None:
        """The account that a VSI's gate leads to; None: its gate is shut, or its type has no statistics."""
        if vsi.owner is None or vsi.gate_program is None:
            return None
        found = self._at.get((vsi.owner.port.dpid, vsi.gate_program.binding.vsi_index))
        return None if found is None else found[0]

    def populate(self, vsi: Vsi | None, base: Mapping[Direction, CounterValue]) -> None:
        """The NMS says what had been counted before the VSI came to where it is."""
        account = self.account_in_force(vsi) if vsi is not None else None
        if account is not None:
            account.base = dict(base)
            account.changed = True

    def read(self, dpid: int, token: int, counts: Iterable[MeterCount], now: float) -> list[LifecycleOutput]:
        """A switch has answered."""
        if token not in self.open:
            return []
        question = self.open.pop(token)
        touched: dict[Tally, Account] = {}
        for one in counts:
            slot, index = parse_counter(one.meter_id) or (0, 0)
            account, tally = self._at.get((dpid, index), (None, None))
            if account is not None and tally is not None:
                tally.rules = one.rules if tally not in touched else tally.rules + one.rules
                account.take(tally, slot, CounterReading(CounterValue(one.packets, one.octets), one.age))
                account.read = now
                touched[tally] = account
        self._tell(question.told, touched)
        gone = self._told_their_last(dpid, touched) if question.tallies is None else {}
        at_once = [account for tally, account in touched.items() if tally.retired is not None and account.changed]
        if gone or at_once:
            self._save(list(gone), list(dict.fromkeys([*at_once, *gone.values()])))
        return self.expire(now) if gone else self._desk.take()

    def lost(self, token: int) -> bool:
        """A switch will not answer a question; whether it was one of these."""
        return self.open.pop(token, None) is not None

    # --- records ---
    def saved(self, token: int, failure: str | None = None) -> list[LifecycleOutput] | None:
        """The store has written, or cannot: either way counters that were read to the end may go.

        Returns:
            What is to be done; None: that was no writing of these.
        """
        if token not in self._settling:
            return None
        gone, accounts = self._settling.pop(token)
        for account in accounts if failure is not None else ():
            account.changed = True
        for tally in gone:
            if tally.dpid in self._desk.up:
                change = RuleChange(delete_meters=_ids(tally))
                self._desk.say(Apply(tally.dpid, 0, change, Mode.BULK, tally.vsi_index))
        return self._desk.take()

    def restore(self, records: Mapping[str, bytes], switches: Container[int]) -> list[LogEvent]:
        """Take up what an earlier life has counted in these switches.

        What nobody resumes is read once more, and goes.
        """
        told = self.accounts.restore(records)
        for account in self.accounts:
            account.tallies = [tally for tally in account.tallies if tally.dpid in switches]
            self._left(account)
            for tally in account.tallies:
                self._at[tally.dpid, tally.vsi_index] = account, tally
        return told

    # --- inside ---
    def _ask(self, dpid: int, tallies: tuple[Tally, ...] | None, told: PortId | None) -> None:
        if dpid not in self._desk.up:
            return
        asked = tuple(one for tally in tallies or () for one in _ids(tally))
        token = self._desk.next_token()
        self._desk.say(ReadMeters(dpid, token, asked if len(asked) <= _FEW else ()))
        self.open[token] = CounterQuery(tallies, told)

    def _tell(self, port: PortId | None, touched: Mapping[Tally, Account]) -> None:
        """What was extracted at the source is part of the story of the migration."""
        if port is None:
            return
        for account in dict.fromkeys(touched.values()):
            totals = {one.name.lower(): account.total(one)._asdict() for one in DIRECTIONS}
            self._desk.say(LogEvent("statistics.extracted", port, port.dpid, account.vsi, {**totals}))

    def _told_their_last(self, dpid: int, touched: Mapping[Tally, Account]) -> dict[Tally, Account]:
        """All counters of a switch have been read: whose may go, since no rule leads to them any more."""
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

    def _save(self, gone: list[Tally], accounts: list[Account]) -> None:
        if changes := self.accounts.write(accounts):
            token = self._desk.next_token()
            self._desk.say(Save(token, changes))
            self._settling[token] = gone, accounts


def _ids(tally: Tally) -> tuple[int, ...]:
    return tuple(counter_id(slot, tally.vsi_index) for slot in tally.keys)
