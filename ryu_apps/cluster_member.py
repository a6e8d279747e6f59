"""This bridge as a member of a cluster: the election on one side, the store and the bridge on the other.

An adapter: what the store shows and answers becomes inputs of the election, its outputs become commits, and the bridge
is told to lead or to stand aside.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial

from ryu_apps.evb.cluster.election import Election, ElectionInput, ElectionState
from ryu_apps.evb.cluster.lease import BEAT_KEY, LEASE_KEY, Beat, Lease, read_view
from ryu_apps.evb.cluster.members import Report, Standbys
from ryu_apps.evb.cluster.outputs import Claim, ClaimReason, ElectionOutput, EndReason, Lead, StandAsideNow, Write
from ryu_apps.evb.cluster.status import ClusterStatus
from ryu_apps.evb.event_catalogue.base import LogEvent
from ryu_apps.evb.event_catalogue.cluster import LeadBegun, LeadEnded, LeaderFollowed, LeaderMissing
from ryu_apps.evb.generation import SALT_BITS, Life, begin_life, text
from ryu_apps.evb.record_kinds import GENERATION, MEMBER
from ryu_apps.evb.store import Store, StoreChanges, StoreConflict, StoreEnded, StoreError
from ryu_apps.evb.switches.recovery import UNKNOWN

#: Seconds between two reports of a standby, and after which a leader counts as settled although a switch is not ready.
_REPORT, _SETTLED = 1.0, 60.0
#: Seconds for which a standby reaches more switches than the leader until it is given the lead.
_OUTDONE = 2.0
_NO_ANSWER = "the store does not answer"

Records = Mapping[str, bytes]


class ClusterMember:
    """This bridge in its cluster.

    Args:
        store: shared with the other members.
        election: of this member.
        lead: begins to lead, with the records of the store and a generation.
        stand_aside: ends that at once.
        report: takes events.
        version: of this program.
        switches: returns the number of connected switches.
        watch: looks after the process that has the lease of a version and REST resources at a URL; empty: after none.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        store: Store,
        election: Election,
        lead: Callable[[Records, Life], None],
        stand_aside: Callable[[], None],
        report: Callable[[LogEvent], None],
        version: str,
        switches: Callable[[], int],
        watch: Callable[[int, str], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._election = election
        self._lead = lead
        self._stand_aside = stand_aside
        self._tell = report
        self._version = version
        self._switches = switches
        self._watch = watch
        self._clock = clock
        self._life = Life(0, False, {}, standby=True)
        self._standbys = Standbys(0)
        self._followed: tuple[str, int] | None = None
        self._missing = False
        self._lost = 0
        self._reason: ClaimReason | None = None
        self._busy_since = self._seen_at = self._reported_at = 0.0
        self._outdone_since: float | None = None
        self._end_watch: Callable[[], None] = lambda: None

    def begin(self) -> None:
        """Watch the store, and take part in the election."""
        self._end_watch = self._store.watch(self._changed)
        self._show()

    # --- the bridge asks ---
    @property
    def leads(self) -> bool:
        """True between a :meth:`lead` and a :meth:`stand_aside` of the bridge."""
        return self._election.state is ElectionState.LEADING

    @property
    def deadline(self) -> float | None:
        """Time at which to call :meth:`tick`, monotonic seconds."""
        return self._election.deadline

    def look(self, now: float) -> None:
        """Stand aside if the time of the lead is over; to be called before anything that only a leader may do."""
        if self.leads and not self._election.leads(now):
            self.tick(now)

    def tick(self, now: float) -> None:
        """Claim or renew the lease, if it is time."""
        claimed = self._election.state is ElectionState.CLAIMING
        self._perform(self._election.tick(now), now)
        if claimed and self._election.state is ElectionState.FOLLOWING:
            self._miss(_NO_ANSWER)
        self._compare(now)

    def _compare(self, now: float) -> None:
        """Give the lead to a standby that has reached more switches for a while."""
        better = self._standbys.better(self._switches(), now) if self.leads else ""
        if not better:
            self._outdone_since = None
        elif self._outdone_since is None:
            self._outdone_since = now
        elif now >= self._outdone_since + _OUTDONE:
            self._outdone_since = None
            self.transfer(better)

    def settle(self, ready: bool, now: float) -> None:
        """Note whether all connected switches are ready; to bring one up may keep a leader busy for seconds."""
        if ready or not self.leads:
            self._busy_since = now
        self._election.settled = ready or now > self._busy_since + _SETTLED

    def save(self, changes: StoreChanges, ended: StoreEnded) -> None:
        """Write records as the leader; none gets into the store when another member leads."""

        def answered(error: StoreError | None) -> None:
            if isinstance(error, StoreConflict):
                now = self._clock()
                self._perform(self._election.refused(now), now)
            ended(error)

        self._store.begin(changes, answered, self._election.fence)

    def transfer(self, successor: str) -> None:
        """Give the lead up, to one member or (empty) to any."""
        now = self._clock()
        self._perform(self._election.transfer(successor, now), now)

    def gone(self, version: int) -> None:
        """The process that has the lease of a version is gone."""
        now = self._clock()
        self._perform(self._election.gone(version, now), now)

    def close(self) -> None:
        """End the part in the election; a leader gives the lead up, so that no member waits for it."""
        self._end_watch()
        self._watch(0, "")
        if self.leads:
            for output in self._election.transfer("", self._clock()):
                if isinstance(output, StandAsideNow):
                    self._stand_aside()
                elif isinstance(output, Write):
                    try:
                        self._store.commit(output.changes, output.expected)
                    except StoreError:
                        # The others wait for a renewal then, as after a crash.
                        return

    def status(self, now: float) -> ClusterStatus:
        """Return what this member knows of the cluster."""
        election = self._election
        lease = election.seen.lease or Lease("", 0)
        leads = election.leads(now)
        known = leads or (bool(lease.owner) and not self._missing and lease.owner != election.name)
        return ClusterStatus(
            election.name,
            leads,
            lease.owner if known else "",
            lease.address if known else "",
            lease.generation,
            lease.since if known else 0.0,
            self._reason.value if leads and self._reason else "",
            self._lost,
            now - self._seen_at,
            self._standbys.status(now) if leads else (),
        )

    # --- the store answers ---
    def _changed(self, changes: StoreChanges) -> None:
        if LEASE_KEY in changes or BEAT_KEY in changes:
            self._show()
        if self.leads:
            now = self._clock()
            for key in changes:
                if key.startswith(MEMBER.prefix) and MEMBER.subject_of(key) != self._election.name:
                    self._standbys.reported(MEMBER.subject_of(key), changes[key], now)

    def _show(self) -> None:
        now = self._clock()
        try:
            records = {key: record for key in (LEASE_KEY, BEAT_KEY) if (record := self._store.get(key))}
        except StoreError as error:
            self._miss(str(error))
            return
        self._seen_at = now
        self._perform(self._election.show(read_view(records), now), now)
        self._watch(self._election.seen.versions[0], self._address_of_another())
        if not self.leads:
            self._follow(now)

    def _address_of_another(self) -> str:
        """Return the URL of the REST resources of another member that has the lease; empty: there is none."""
        lease = self._election.seen.lease
        return lease.address if lease is not None and lease.owner != self._election.name else ""

    def _follow(self, now: float) -> None:
        """Note who leads, and report how far this standby is."""
        lease, beat = self._election.seen.lease, self._election.seen.beat
        if lease is None or beat is None or not lease.owner or lease.owner == self._election.name:
            return
        if self._followed != (lease.owner, lease.generation) or self._missing:
            self._followed, self._missing = (lease.owner, lease.generation), False
            self._tell(LeaderFollowed(lease.owner, text(lease.generation), lease.address))
        if now >= self._reported_at + _REPORT:
            self._reported_at = now
            report = Report(lease.generation, beat.number, self._switches(), self._version)
            self._store.begin({MEMBER.key(self._election.name): report.encoded()}, lambda _: None)

    def _answered(self, number: int, beat: bool, error: StoreError | None) -> None:
        now = self._clock()
        given = ElectionInput.DONE
        if error is not None:
            given = ElectionInput.OVERTAKEN if isinstance(error, StoreConflict) else ElectionInput.FAILED
        claimed = self._election.state is ElectionState.CLAIMING
        self._perform(self._election.answered(number, given, now), now)
        if beat and given is ElectionInput.DONE:
            self._standbys.renewed(self._election.beats, now)
        if claimed and given is ElectionInput.FAILED:
            self._miss(str(error))

    def _miss(self, reason: str) -> None:
        self._missing = True
        self._tell(LeaderMissing(reason))

    # --- the election decides ---
    def _perform(self, outputs: list[ElectionOutput], now: float) -> None:
        for output in outputs:
            match output:
                case Claim(number, seen, beat):
                    self._claim(number, seen.expected, beat)
                case Write(number, changes, expected):
                    self._store.begin(changes, partial(self._answered, number, BEAT_KEY in changes), expected)
                case Lead(reason):
                    self._begin_to_lead(reason, now)
                case StandAsideNow(reason):
                    self._stand_aside()
                    self._tell(LeadEnded(reason.value))
                    self._lost += reason is not EndReason.TRANSFERRED
                    if reason is EndReason.LAPSED:
                        self._miss(_NO_ANSWER)

    def _claim(self, number: int, expected: dict[str, int], beat: Beat) -> None:
        try:
            known = self._store.snapshot()
        except StoreError as error:
            self._answered(number, False, error)
            return
        records = {key: record.value for key, record in known.items()}
        self._life = begin_life(records, int(time.time() * 1000), secrets.randbits(SALT_BITS), UNKNOWN)
        election = self._election
        lease = Lease(election.name, self._life.generation, election.address, since=time.time())
        election.claimed(number, lease)
        changes = {**self._life.changes, LEASE_KEY: lease.encoded(), BEAT_KEY: beat.encoded()}
        generation = GENERATION.key()
        expected = {**expected, generation: known[generation].version if generation in known else 0}
        self._store.begin(changes, partial(self._answered, number, False), expected)

    def _begin_to_lead(self, reason: ClaimReason, now: float) -> None:
        """Lead with all records that were written before the claim: those come with its answer at the latest."""
        before = self._followed[0] if self._followed and reason is not ClaimReason.FREE else ""
        self._reason = reason
        self._busy_since, self._missing, self._followed = now, False, None
        self._standbys = Standbys(self._life.generation)
        try:
            records = {key: record.value for key, record in self._store.snapshot().items()}
        except StoreError as error:
            self._miss(str(error))
            self._perform(self._election.transfer("", now), now)
            return
        self._lead(records, self._life)
        self._tell(LeadBegun(text(self._life.generation), before, reason.value))
