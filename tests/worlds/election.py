"""Members of a cluster and their store in simulated time: clocks of different rates, delays, stops, losses."""

from __future__ import annotations

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from random import Random

from ryu_apps.evb.cluster.election import Election, ElectionInput
from ryu_apps.evb.cluster.lease import BEAT_KEY, LEASE_KEY, Lease, read_view
from ryu_apps.evb.cluster.outputs import Claim, ElectionOutput, Lead, StandAsideNow, Write

PATIENCE = 0.7


@dataclass
class Member:
    """One life of a bridge: its clock, and what it has been told while it was stopped."""

    election: Election
    rate: float
    offset: float
    stopped: bool = False
    dead: bool = False
    waiting: list[Callable[[], None]] = field(default_factory=list)
    shown_at: float = 0.0
    generation: int = 0
    history: list[str] = field(default_factory=list)


class Cluster:
    """Members, and a store with compare-and-set whose answers and news take time or are lost."""

    def __init__(self, members: int, random: Random, drift: float = 0.1, slowest: float = 0.05) -> None:
        self.now = 0.0
        self.random = random
        self.slowest = slowest
        self.records: dict[str, tuple[bytes, int]] = {}
        self.store_lost = False
        self.reply_lost = 0.0
        self.owners: dict[int, str] = {}
        self._mistakes: set[int] = set()
        self._excused: dict[str, float] = {}
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = 0
        self.members = {
            name: Member(
                Election(name, f"http://{name}", PATIENCE), random.uniform(1 - drift, 1 + drift), random.uniform(0, 1e4)
            )
            for name in (f"c{number}" for number in range(1, members + 1))
        }
        for name in self.members:
            self._tell(name)

    # --- time ---
    def at(self, time: float, action: Callable[[], None]) -> None:
        """Do something at a time."""
        self._order += 1
        heapq.heappush(self._events, (time, self._order, action))

    def run(self, until: float) -> None:
        """Let time pass; at each moment at most one member leads."""
        while True:
            due = [(time, name) for name in self.members if (time := self._due(name)) is not None]
            first = min((time for time, _ in due), default=until)
            event = self._events[0][0] if self._events else until
            if min(first, event) >= until:
                break
            # Before the event too: a member may act at any time.
            self.now = max(min(first, event), self.now)
            self.check()
            if event <= first:
                heapq.heappop(self._events)[2]()
            else:
                name = min(due)[1]
                self._perform(name, self.members[name].election.tick(self.clock(name)))
            self.check()
        self.now = until
        self.check()

    def clock(self, name: str) -> float:
        """Time of a member's clock."""
        member = self.members[name]
        return self.now * member.rate + member.offset

    def _due(self, name: str) -> float | None:
        member = self.members[name]
        if member.stopped or member.election.deadline is None:
            return None
        # A little late, so that the member's own clock has passed its deadline.
        return max((member.election.deadline - member.offset) / member.rate + 1e-6, self.now + 1e-6)

    # --- what has to hold ---
    def leaders(self) -> list[str]:
        """Members that would answer a station now."""
        return [
            name
            for name, member in self.members.items()
            if not member.stopped and member.election.leads(self.clock(name))
        ]

    def check(self) -> None:
        """At most one member leads; one that was taken for dead by mistake counts from when the store has told it."""
        leaders = [name for name in self.leaders() if self.now > self._excused.get(name, -1.0)]
        assert len(leaders) <= 1, f"at {self.now}: {leaders}"

    # --- faults ---
    def stop(self, name: str) -> None:
        """As SIGSTOP does."""
        self.members[name].stopped = True

    def wake(self, name: str) -> None:
        """As SIGCONT does: what has come meanwhile is read in any order, and deadlines are late."""
        member = self.members[name]
        if member.dead:
            return
        member.stopped = False
        waiting, member.waiting = member.waiting, []
        for action in waiting:
            action()

    def kill(self, name: str, noticed: float | None) -> None:
        """As SIGKILL does; the others notice it some seconds later at the most, or (None) do not.

        What was sent is under way, and what comes is lost.
        """
        member, version = self.members[name], self.lease_version
        owner = self._owner
        election = Election(name, member.election.address, PATIENCE)
        self.members[name] = replace(member, election=election, stopped=True, dead=True, waiting=[])
        if noticed is not None and owner == name:
            for other in self.members.keys() - {name}:
                self.at(self.now + self.random.uniform(0.0, noticed), partial(self._notice, other, version))

    def restart(self, name: str) -> None:
        """Start a member that was killed; it knows nothing."""
        if self.members[name].dead:
            self.members[name].dead = self.members[name].stopped = False
            self._tell(name)

    def mistake(self, name: str) -> None:
        """A member takes the leader's process for dead, whether it is or not."""
        self._mistakes.add(self.lease_version)
        self._notice(name, self.lease_version)

    def _notice(self, name: str, version: int) -> None:
        member = self.members[name]
        self._reach(member, lambda: self._perform(name, member.election.gone(version, self.clock(name))))

    @property
    def lease_version(self) -> int:
        """Of the lease in the store."""
        return self.records.get(LEASE_KEY, (b"", 0))[1]

    @property
    def _owner(self) -> str:
        lease = read_view(self.records).lease
        return lease.owner if lease else ""

    # --- effects ---
    def transfer(self, name: str, successor: str = "") -> None:
        """An operator asks a member to give the lead up."""
        if not self.members[name].stopped:
            self._perform(name, self.members[name].election.transfer(successor, self.clock(name)))

    def _perform(self, name: str, outputs: list[ElectionOutput]) -> None:
        member = self.members[name]
        for output in outputs:
            match output:
                case Claim(number, seen, beat):
                    generation = 1 + (seen.lease.generation if seen.lease else 0)
                    lease = Lease(name, generation, member.election.address)
                    member.election.claimed(number, lease)
                    member.generation = generation
                    changes: dict[str, bytes | None] = {LEASE_KEY: lease.encoded(), BEAT_KEY: beat.encoded()}
                    self._send(name, number, changes, seen.expected)
                case Write(number, changes, expected):
                    self._send(name, number, changes, expected)
                case Lead():
                    assert self.owners.setdefault(member.generation, name) == name, "one leader a generation"
                    member.history.append(f"lead {member.generation}")
                case StandAsideNow(reason):
                    member.history.append(reason.name)

    def _delay(self) -> float:
        return self.now + self.random.uniform(0.0005, self.slowest)

    def _send(self, name: str, number: int, changes: dict[str, bytes | None], expected: dict[str, int]) -> None:
        def arrived() -> None:
            if self.store_lost:
                answer = ElectionInput.FAILED
            elif any(self.records.get(key, (b"", 0))[1] != version for key, version in expected.items()):
                answer = ElectionInput.OVERTAKEN
            else:
                answer = ElectionInput.DONE
                former, version = self._owner, self.lease_version
                for key, value in changes.items():
                    assert value is not None
                    self.records[key] = (value, self.records.get(key, (b"", 0))[1] + 1)
                for other in self.members:
                    self._tell(other)
                if version in self._mistakes and LEASE_KEY in changes and former not in ("", name):
                    self._excused[former] = self.members[former].shown_at
            if self.random.random() >= self.reply_lost:
                self.at(self._delay(), lambda: self._reach(member, answered(answer)))

        def answered(answer: ElectionInput) -> Callable[[], None]:
            return lambda: self._perform(name, member.election.answered(number, answer, self.clock(name)))

        member = self.members[name]

        self.at(self._delay(), arrived)

    def _tell(self, name: str) -> None:
        """Show a member the store as it is now, some time later; news do not overtake each other."""
        view, member = read_view(self.records), self.members[name]
        member.shown_at = max(member.shown_at, self._delay())

        def show() -> None:
            self._perform(name, member.election.show(view, self.clock(name)))

        self.at(member.shown_at, lambda: self._reach(member, show))

    def _reach(self, member: Member, action: Callable[[], None]) -> None:
        if self.members[member.election.name] is not member:
            return
        if member.stopped:
            member.waiting.append(action)
        else:
            action()
